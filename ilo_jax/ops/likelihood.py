"""How likely a measurement is under clipped Gaussian noise: `y = clip(m + sigma n, -1, 1)`.

In units of a squared error, `2 sigma^2` times the negative log-likelihood less its constants, so
that without clipping it is `(y - m)^2`.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr, ndtr

_FAR = 12.0
"""Standard deviations from which on a series is better than a quotient."""

LEAST = 1e-4
"""Of standard deviations, below which nothing changes in float32."""


@jax.custom_jvp
def log_phi(z: jax.Array) -> jax.Array:
    """`log Phi(z)`, with a derivative that stays right in float32 however far in the tail."""
    return log_ndtr(z)


@log_phi.defjvp
def _log_phi_jvp(primals, tangents):
    (z,), (z_dot,) = primals, tangents
    near = jnp.maximum(z, -_FAR)
    ratio = jnp.exp(-(near**2) / 2 - log_ndtr(near)) * (2 * jnp.pi) ** -0.5
    far = jnp.minimum(z, -_FAR)  # Mills' ratio, to 1e-6
    ratio = jnp.where(z < -_FAR, -far * (1 + far**-2 - 2 * far**-4), ratio)
    return log_phi(z), ratio * z_dot


def censored(predicted: jax.Array, measured: jax.Array, sigma: jax.Array) -> jax.Array:
    """Of each entry: the squared error inside of the range, and at its ends, where all that is
    known is that the noisy value lies beyond, `-2 sigma^2 log Phi` of the distance to the end.

    Args:
      predicted: `m`, of any shape.
      measured: `y`, likewise, in [-1, 1].
      sigma: standard deviation of the noise, a scalar.
    """
    sigma = jnp.maximum(sigma, LEAST)
    outside = jnp.where(measured >= 1, predicted - 1, -1 - predicted) / sigma
    at_end = -2 * sigma**2 * log_phi(outside)
    return jnp.where(jnp.abs(measured) < 1, (measured - predicted) ** 2, at_end)


def expected_censored(predicted: jax.Array, sigma: jax.Array) -> jax.Array:
    """What `censored` is on average where `predicted` is the truth; `sigma^2` without clipping."""
    sigma = jnp.maximum(sigma, LEAST)
    low, high = (-1 - predicted) / sigma, (1 - predicted) / sigma
    ends = sum(ndtr(z) * log_ndtr(z) for z in (low, -high))
    return sigma**2 * (_squares_inside(low, high) - 2 * ends)


def information(predicted: jax.Array, sigma: jax.Array) -> jax.Array:
    """What a clipped value says of its truth, `predicted`, where one that is not clipped says 1:
    the Fisher information, times `sigma^2`."""
    sigma = jnp.maximum(sigma, LEAST)
    low, high = (-1 - predicted) / sigma, (1 - predicted) / sigma
    ends = sum(jnp.exp(-(z**2) - log_ndtr(z)) for z in (low, -high))
    return _squares_inside(low, high) + ends / (2 * jnp.pi)


def _squares_inside(low: jax.Array, high: jax.Array) -> jax.Array:
    """Mean square of a standard normal number, which counts as 0 where it is not between them."""
    return ndtr(high) - ndtr(low) + _moment(low) - _moment(high)


def _moment(z: jax.Array) -> jax.Array:
    """`z phi(z)`."""
    return z * jnp.exp(-(z**2) / 2) * (2 * jnp.pi) ** -0.5

"""How much of an image a measurement determines."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ilo_jax.ops.base import Measurement, Operator, draw
from ilo_jax.ops.least_squares import least_squares

_ITERATIONS = 20
_CONVERGED = 1e-3
PROBE = 0x5EED
"""A seed that no operator is likely to be drawn with: its own rows would be seen whole."""
_LEAST = 1e-4
"""Of the variance of what is measured: what is weaker counts as not measured."""


class Determined(NamedTuple):
    """Shares in [0, 1] of an image.

    Attributes:
      share: what its measurement determines.
      noiseless: what it would without noise, at least as much.
    """

    share: jax.Array
    noiseless: jax.Array


def repeats(operator: Operator, measurement: Measurement, *, grey: bool) -> jax.Array:
    """How often a measurement has each of its values, noise and all: a grey file as often as it has
    channels, any other once.

    Args:
      measurement: of one image.
      grey: whether all channels of images are equal.

    Returns:
      A scalar.
    """
    channels = operator.image_shape[-1]
    if not (grey and operator.measures_image and operator.measurement_shape[-1] == channels):
        return jnp.float32(1)
    return jnp.where(jnp.all(measurement == measurement[..., :1]), channels, 1).astype(jnp.float32)


def determined_share(
    operator: Operator,
    variance: jax.typing.ArrayLike,
    repeats: jax.typing.ArrayLike = 1,
    *,
    grey: bool = False,
) -> Determined:
    """Independent measurements a pixel: the effective degrees of freedom of an image's linear
    estimate, as a share of its values.

    `tr(J^T (J J^T + s / v I)^-1 J) / n`, where `J` is the operator's derivative (at a random image,
    which matters where it is not linear), `s` the variance of its noise and `v` that of what is to
    be determined: `rank(A) / n` of a linear operator without noise, less where noise hides what is
    measured. By conjugate gradients, with one random vector for the trace, always the same.

    Args:
      operator: of one image; differentiable.
      variance: `v`, of an image's values in [-1, 1].
      repeats: of each value and its noise, which then hides so much more.
      grey: whether all channels are equal, which makes an image `H W` values.

    Returns:
      Scalars.
    """
    height, width, channels = operator.image_shape
    shape = (height, width, 1 if grey else channels)

    def measured(x: jax.Array) -> Measurement:
        return operator(jnp.broadcast_to(x, operator.image_shape))

    k_image, k_probe = jax.random.split(jax.random.key(PROBE))
    image, probe = (draw(jax.random.normal, k, shape) for k in (k_image, k_probe))
    _, forward = jax.linearize(measured, 0.3 * image)
    transposed = jax.linear_transpose(forward, probe)
    seen, energy = forward(probe), jnp.sum(probe**2)
    weakest = _LEAST * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(seen)) / energy
    weakest = jnp.maximum(weakest, jnp.finfo(jnp.float32).tiny)

    def share(ridge: jax.Array) -> jax.Array:
        estimate = least_squares(
            forward, lambda y: transposed(y)[0], seen, ridge, _ITERATIONS, _CONVERGED
        )
        return jnp.clip(jnp.sum(probe * estimate) / energy, 0, 1)

    ridge = jnp.maximum(repeats * jnp.asarray(operator.noise_variance) / variance, weakest)
    with_noise, without = jax.vmap(share)(jnp.stack([ridge, weakest]))
    return Determined(with_noise, jnp.maximum(with_noise, without))

"""Photon counts: Poisson noise, strongest where an image is bright and worst where it is dark."""

import functools

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr

from ilo_jax.errors import InputError
from ilo_jax.ops.base import Shape, array
from ilo_jax.ops.inversion import Identity
from ilo_jax.ops.likelihood import log_phi
from ilo_jax.ops.noise import Noise, through

DARK = 0.05
"""Photons that are counted at black, on average."""

_BRIGHT = 100.0
"""Photons from which on the expected deviance is 1, to 0.2 %."""


class PhotonCounts(Noise):
    """`y = 2 k / photons - 1`, `k` Poisson with rate `max(photons (A(x) + 1) / 2, DARK)`.

    An entry's loss is the deviance of `k` times `2 / photons`, the variance of `y` at mid-grey,
    where it is about the squared error. Rates below `DARK` go on along the tangent, so that an
    image that is too dark has a gradient. Where a file cannot hold more than white, all that is
    known of a white entry is that as many photons or more were counted.

    Attributes:
      operator: `A`, of images in [-1, 1].
      photons: counted at white, on average.
      clip: whether values are clipped to white.
    """

    photons: jax.Array = flax.struct.field(metadata=array(0))
    clip: bool = flax.struct.field(pytree_node=False, default=False)

    def add(self, key: jax.Array, y: jax.Array) -> jax.Array:
        # JAX draws from this distribution by this kind of keys alone.
        bits = jax.random.bits(key, (2,), jnp.uint32)
        key = jax.random.wrap_key_data(bits, impl="threefry2x32")
        rate = jnp.maximum(self._rate(y), DARK)
        count = jax.random.poisson(key, rate, dtype=jnp.int32).astype(jnp.float32)
        counted = 2 * count / self.photons - 1
        return through(jnp.minimum(counted, 1) if self.clip else counted, y)

    def losses(self, predicted: jax.Array, measured: jax.Array) -> jax.Array:
        count = jnp.maximum(self._rate(measured), 0)
        rate = self._rate(predicted)
        below, rate = jnp.maximum(DARK - rate, 0), jnp.maximum(rate, DARK)
        some = jnp.where(count > 0, count, 1)
        half = jnp.where(count > 0, _half_deviance(some, rate), rate)
        if self.clip:
            half = jnp.where(measured >= 1, -log_phi(-_white(self.photons, rate)), half)
        half += below * jnp.maximum(count / DARK - 1, 0)
        return 2 * self.noise_variance * half

    def levels(self, predicted: jax.Array) -> jax.Array:
        rate = self._rate(predicted)
        below, rate = jnp.maximum(DARK - rate, 0), jnp.maximum(rate, DARK)
        logs, deviances = _expected_deviances()
        deviance = jnp.interp(jnp.log(rate), jnp.asarray(logs), jnp.asarray(deviances))
        if self.clip:
            z = _white(self.photons, rate)
            density = jnp.exp(-(z**2) / 2) * (2 * jnp.pi) ** -0.5
            # The mean of z^2 below z, and what is lost of it by counts being whole.
            inside = deviance * (ndtr(z) - z * density) + density / (3 * jnp.sqrt(rate))
            deviance = inside - 2 * ndtr(-z) * log_phi(-z)
        return self.noise_variance * (deviance + 2 * np.exp(-DARK).astype(np.float32) * below)

    def log_black(self, predicted: jax.Array) -> jax.Array:
        return -jnp.maximum(self._rate(predicted), DARK)

    def rounded(self, step: jax.typing.ArrayLike, clip: bool = True) -> "PhotonCounts":
        """As if there were fewer photons: of the same variance at mid-grey."""
        fewer = 1 / (1 / self.photons + jnp.float32(step) ** 2 / 24)
        return self.replace(photons=fewer, clip=self.clip or clip)

    @property
    def noise_variance(self) -> jax.Array:
        return 2 / self.photons

    def _rate(self, y: jax.Array) -> jax.Array:
        return self.photons * (y + 1) / 2


def _half_deviance(count: jax.Array, rate: jax.Array) -> jax.Array:
    """`rate - k + k log(k / rate)`, without differences of large numbers."""
    excess = (rate - count) / count
    return count * (excess - jnp.log1p(excess))


def _white(photons: jax.Array, rate: jax.Array) -> jax.Array:
    """`z` such that `Phi(-z)` is the probability that at least `photons` are counted, to 1e-3 of
    its logarithm from 2 photons on (Peizer & Pratt, 1968)."""
    middle = jnp.maximum(photons - 0.5, 0.1)
    excess = (rate - middle) / middle
    near = jnp.abs(excess) < 0.01
    far = jnp.where(near, 1, excess)
    curvature = jnp.where(near, 0.5 - excess / 3 + excess**2 / 4, (far - jnp.log1p(far)) / far**2)
    return (photons - 1 / 3 - rate + 0.02 / photons) * jnp.sqrt(2 * curvature / middle)


@functools.cache
def _expected_deviances() -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of rates, and `2 E[k log(k / rate)]` of each."""
    logs = np.linspace(np.log(DARK), np.log(_BRIGHT), 256)
    rates = np.exp(logs)[:, None]
    counts = np.arange(1, 4 * _BRIGHT)
    log_p = counts * np.log(rates) - rates - np.cumsum(np.log(counts))
    deviances = 2 * np.sum(np.exp(log_p) * counts * (np.log(counts) - np.log(rates)), 1)
    return logs.astype(np.float32), deviances.astype(np.float32)


def photon_counts(image_shape: Shape, photons: float) -> PhotonCounts:
    """Images of counted photons.

    Args:
      photons: that are counted at white, more than 0 and at most 1e6.

    Raises:
      InputError: out of range.
    """
    if not 0 < photons <= 1e6:
        raise InputError(f"photons {photons}: expected more than 0 and at most 1e6")
    return PhotonCounts(image_shape, Identity(image_shape), jnp.float32(photons))

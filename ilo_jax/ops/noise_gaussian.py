"""Denoising: additive Gaussian noise (Section 4.3), and rounding, which is much like it."""

import math

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Measurement, Operator, Shape, array, draw
from ilo_jax.ops.inversion import Identity
from ilo_jax.ops.likelihood import LEAST, censored, expected_censored, information, log_phi
from ilo_jax.ops.noise import Noise, noiseless, through
from ilo_jax.ops.noise_estimate import estimate_sigma


class Noisy(Noise):
    """`A(x) + sigma * n`, `n` standard normal.

    Attributes:
      operator: `A`.
      sigma: standard deviation, in the units of the measurement ([-1, 1] for images).
      clip: whether noisy values are clipped to [-1, 1], as the paper does.
    """

    sigma: jax.Array = flax.struct.field(metadata=array(0))
    clip: bool = flax.struct.field(pytree_node=False)

    def add(self, key: jax.Array, y: jax.Array) -> jax.Array:
        noisy = y + self.sigma * draw(jax.random.normal, key, y.shape)
        return jnp.clip(noisy, -1, 1) if self.clip else noisy

    def losses(self, predicted: jax.Array, measured: jax.Array) -> jax.Array:
        """The squared error; under clipping that of `likelihood.censored`."""
        if not self.clip:
            return (predicted - measured) ** 2
        return censored(predicted, measured, self.sigma)

    def levels(self, predicted: jax.Array) -> jax.Array:
        if not self.clip:
            return jnp.broadcast_to(self.sigma**2, predicted.shape)
        return expected_censored(predicted, self.sigma)

    def information(self, predicted: jax.Array) -> jax.Array:
        """Of each entry, the inverse of the variance that what it says of the truth has, if that is
        `predicted`."""
        variance = jnp.maximum(jnp.asarray(self.noise_variance), LEAST**2)
        if not self.clip:
            return jnp.broadcast_to(1 / variance, predicted.shape)
        return information(predicted, jnp.sqrt(variance)) / variance

    def log_black(self, predicted: jax.Array) -> jax.Array:
        if not self.clip:  # a single value of a continuum
            return jnp.full_like(predicted, -1e30)
        return log_phi((-1 - predicted) / jnp.maximum(self.sigma, LEAST))

    def rounded(self, step: jax.typing.ArrayLike, clip: bool = True) -> "Noisy":
        sigma = jnp.sqrt(self.sigma**2 + jnp.float32(step) ** 2 / 12)
        return self.replace(sigma=sigma, clip=self.clip or clip)

    @property
    def noise_is_additive(self) -> bool:
        return not self.clip and (not self.operator.is_noisy or self.operator.noise_is_additive)

    @property
    def noise_variance(self) -> jax.Array:
        return self.sigma**2 + self.operator.noise_variance


class UnknownNoise(Noise):
    """`Noisy`, clipped, of an image's measurement and with a sigma that nobody knows."""

    @property
    def is_unknown(self) -> bool:
        return True

    def known(self, y: Measurement) -> Noisy:
        """`Noisy` with sigma by `estimate_sigma`."""
        sigma = jnp.float32(estimate_sigma(np.asarray(y)))
        return Noisy(self.image_shape, self.operator, sigma, clip=True)


class Quantized(Noisy):
    """`A(x)`, rounded to the nearest of values that are a step apart, -1 among them; clipped, also
    to [-1, 1]. Its likelihood is that of Gaussian noise of the same variance, `step^2 / 12`.

    Attributes:
      operator: `A`. Of noise in it, likelihood and level are those of both.
      sigma: `step / sqrt(12)`.
    """

    def add(self, key: jax.Array, y: jax.Array) -> jax.Array:
        step = jnp.maximum(self._step, jnp.finfo(jnp.float32).eps)
        rounded = jnp.round((y + 1) / step) * step - 1
        return through(jnp.clip(rounded, -1, 1) if self.clip else rounded, y)

    def losses(self, predicted: jax.Array, measured: jax.Array) -> jax.Array:
        if isinstance(self.operator, Noise):
            return self.operator.rounded(self._step, self.clip).losses(predicted, measured)
        return super().losses(predicted, measured)

    def levels(self, predicted: jax.Array) -> jax.Array:
        if isinstance(self.operator, Noise):
            return self.operator.rounded(self._step, self.clip).levels(predicted)
        return super().levels(predicted)

    @property
    def noise_is_known(self) -> bool:
        return self.operator.noise_is_known

    @property
    def noise_is_additive(self) -> bool:
        return False

    @property
    def _step(self) -> jax.Array:
        return self.sigma * math.sqrt(12)


def denoising(image_shape: Shape, sigma: float | np.ndarray) -> Noisy:
    """Images with Gaussian noise, clipped to [-1, 1].

    Args:
      sigma: standard deviation on the scale of 0-255 pixels, from 0 to 1000; `[B]` for a batch,
        one for each image.

    Raises:
      InputError: out of range, or of another shape.
    """
    of_pixels = np.asarray(sigma, np.float64)
    if of_pixels.ndim > 1 or not np.all((of_pixels >= 0) & (of_pixels <= 1000)):
        raise InputError(f"sigma {sigma}: expected 0 to 1000, on the scale of 0-255 pixels")
    scaled = jnp.asarray(of_pixels / 127.5, jnp.float32)
    return Noisy(image_shape, Identity(image_shape), scaled, clip=True)


def unknown_noise(image_shape: Shape) -> UnknownNoise:
    """`denoising` where nobody knows sigma: `known` estimates it."""
    return UnknownNoise(image_shape, Identity(image_shape))


def quantization(image_shape: Shape, bits: int) -> Quantized:
    """Images of `2^bits` grey values from -1 to 1, the nearest ones.

    Raises:
      InputError: `bits` is not from 1 to 16.
    """
    if not 1 <= bits <= 16:
        raise InputError(f"bits {bits}: expected 1 to 16")
    return _quantized(Identity(image_shape), 2 / (2**bits - 1))


def as_stored(operator: Operator, y: Measurement, step: float) -> Noise:
    """The operator of a measurement that was made elsewhere and stored as an image, in [-1, 1].

    Args:
      y: the measurement of one image, from which noise that is unknown is estimated.
      step: between two values that the file can hold; 0 for floating-point numbers.
    """
    if not isinstance(operator, Noise):
        return _quantized(operator, step)
    known = operator.known(y)
    return known.rounded(step) if step else known


def can_be_consistent(operator: Operator) -> bool:
    """Whether `make_consistent` knows how far to go: `A` is linear, and noise at its end, if there
    is any, is Gaussian or rounding."""
    known = operator.noise_is_known and isinstance(noiseless(operator), LinearOperator)
    return known and (
        not isinstance(operator, Noise) or isinstance(operator, (Noisy, UnknownNoise))
    )


def _quantized(operator: Operator, step: float) -> Quantized:
    sigma = jnp.float32(step / math.sqrt(12))
    return Quantized(operator.image_shape, operator, sigma, clip=True)

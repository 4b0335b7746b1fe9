"""Phase retrieval (Hand, Leong & Voroninski, 2018): magnitudes of a Fourier transform."""

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import Operator, Shape, align, array, draw, random_signs
from ilo_jax.ops.entries import opposite, some_of


class FourierMagnitude(Operator):
    """`A(x)_k = |F (s_k * x)|`: `[..., H, W, C]` -> `[..., K, f H, f W, C]`.

    `F` is the orthonormal Fourier transform of each channel, zero-padded to `f` times the size.
    The sign patterns `s_k` (coded diffraction: Candes, Li & Soltanolkotabi, 2015) make magnitudes
    tell images apart that are shifted or turned; `x` and `-x` remain for the prior to tell apart.
    The gradient of a magnitude at 0 is taken to be 0.

    Attributes:
      signs: `[K, H, W, 1]`, +1 or -1.
      oversampling: `f`.
    """

    signs: jax.Array = flax.struct.field(metadata=array(4))
    oversampling: int = flax.struct.field(pytree_node=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        height, width, _ = self.image_shape
        size = (self.oversampling * height, self.oversampling * width)
        of_all_patterns = x[..., None, :, :, :]
        coded = align(self.signs, of_all_patterns) * of_all_patterns
        return jnp.abs(jnp.fft.fft2(coded, size, axes=(-3, -2), norm="ortho"))

    def hold_out(self, key: jax.Array, fraction: float) -> jax.Array:
        """Some of the magnitudes, each with its opposite, which is the same."""
        scores = draw(jax.random.uniform, key, (*self.measurement_shape[:-1], 1))
        return some_of(jnp.minimum(scores, opposite(scores, (1, 2))), fraction)

    def picture(self, y: jax.Array) -> jax.Array:
        """The first pattern's magnitudes on a logarithmic scale, zero frequency in the middle."""
        first = jnp.fft.fftshift(jnp.log1p(y[..., 0, :, :, :]), (-3, -2))
        largest = jnp.max(first, axis=(-3, -2, -1), keepdims=True)
        return 2 * first / jnp.where(largest > 0, largest, 1) - 1


def phase_retrieval(
    key: jax.Array, image_shape: Shape, patterns: int = 1, oversampling: int = 2
) -> FourierMagnitude:
    """Magnitudes of images with random signs.

    Args:
      patterns: of signs, 0 to 64; 0 measures the image as it is.
      oversampling: zero-padding to so many times the size, 1 to 8.

    Raises:
      InputError: out of range.
    """
    if not 0 <= patterns <= 64:
        raise InputError(f"patterns {patterns}: expected 0 to 64")
    if not 1 <= oversampling <= 8:
        raise InputError(f"oversampling {oversampling}: expected 1 to 8")
    height, width, _ = image_shape
    plain = jnp.ones((1, height, width, 1), jnp.float32)
    signs = sign_patterns(key, image_shape, patterns) if patterns else plain
    return FourierMagnitude(image_shape, signs, oversampling)


def sign_patterns(key: jax.Array, image_shape: Shape, count: int) -> jax.Array:
    """`[count, H, W, 1]` random signs."""
    height, width, _ = image_shape
    return draw(random_signs, key, (count, height, width, 1))

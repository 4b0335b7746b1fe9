"""Phase retrieval (Hand, Leong & Voroninski, 2018): magnitudes of a Fourier transform."""

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import Operator, Option, Shape, Task, least_part, opposite


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

    signs: jax.Array
    oversampling: int = flax.struct.field(pytree_node=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        height, width, _ = self.image_shape
        size = (self.oversampling * height, self.oversampling * width)
        coded = self.signs * x[..., None, :, :, :]
        return jnp.abs(jnp.fft.fft2(coded, size, axes=(-3, -2), norm="ortho"))

    def hold_out(self, key: jax.Array, fraction: float) -> jax.Array:
        """Some of the magnitudes, each with its opposite, which is the same."""
        scores = jax.random.uniform(key, (*self.measurement_shape[:-1], 1))
        scores = jnp.minimum(scores, opposite(scores, (1, 2)))
        return least_part(scores, jnp.ones_like(scores), fraction)

    def picture(self, y: jax.Array) -> jax.Array:
        """The first pattern's magnitudes on a logarithmic scale, zero frequency in the middle."""
        first = jnp.fft.fftshift(jnp.log1p(y[..., 0, :, :, :]), (-3, -2))
        largest = jnp.max(first, axis=(-3, -2, -1), keepdims=True)
        return 2 * first / jnp.where(largest > 0, largest, 1) - 1


def sign_patterns(key: jax.Array, image_shape: Shape, count: int) -> jax.Array:
    """`[count, H, W, 1]` random signs."""
    height, width, _ = image_shape
    return jax.random.rademacher(key, (count, height, width, 1), jnp.float32)


def _build(
    key: jax.Array, image_shape: Shape, patterns: int, oversampling: int
) -> FourierMagnitude:
    if not 0 <= patterns <= 64:
        raise InputError(f"patterns {patterns}: expected 0 to 64")
    if not 1 <= oversampling <= 8:
        raise InputError(f"oversampling {oversampling}: expected 1 to 8")
    height, width, _ = image_shape
    signs = (
        sign_patterns(key, image_shape, patterns) if patterns else jnp.ones((1, height, width, 1))
    )
    return FourierMagnitude(image_shape, signs, oversampling)


TASK = Task(
    "phase",
    "phase retrieval from Fourier magnitudes",
    _build,
    forms=(
        (
            Option("patterns", int, "random sign patterns on the image; 0: none", default=1),
            Option("oversampling", int, "zero-padding to so many times the size", default=2),
        ),
    ),
    examples=({"patterns": 2, "oversampling": 1}, {"patterns": 0, "oversampling": 2}),
)

"""Magnetic resonance imaging: a part of the image's Fourier transform (Lustig et al., 2007), as one
coil or several see it."""

import math

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Shape, align, array, draw
from ilo_jax.ops.entries import opposite, some_of
from ilo_jax.ops.inpaint import as_mask


class UndersampledFourier(LinearOperator):
    """`A(x) = mask * F x`, single coil: `[..., H, W, C]` -> `[..., H, W, C, 2]`.

    `F` is the orthonormal Fourier transform of each channel, zero frequency in the middle of
    image and k-space, as fastMRI has it. The last axis holds real and imaginary part; where
    nothing is sampled both are 0.

    Attributes:
      mask: `[H, W, 1]`, 1 where k-space is sampled, else 0.
    """

    mask: jax.Array = flax.struct.field(metadata=array(3))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.restrict(_k_space(x))

    def restrict(self, y: jax.Array) -> jax.Array:
        return align(self.observed, y) * y

    @property
    def observed(self) -> jax.Array:
        return self.mask[..., None]

    def hold_out(self, key: jax.Array, fraction: float) -> jax.Array:
        """Some of the samples, each with its opposite, which has the same value, conjugated."""
        scores = draw(jax.random.uniform, key, self.mask.shape)
        scores = jnp.fft.fftshift(jnp.minimum(scores, opposite(scores, (0, 1))), (0, 1))
        return some_of(scores, fraction, self.mask)[..., None]

    def picture(self, y: jax.Array) -> jax.Array:
        """The zero-filled reconstruction: the real part of `F^H y`."""
        return self.adjoint(y)

    @property
    def measures_k_space(self) -> bool:
        return True


class ParallelFourier(UndersampledFourier):
    """`A(x)_k = mask * F (s_k * x)`, of `K` coils: `[..., H, W, C]` -> `[..., K, H, W, C, 2]`.

    `s_k` is the complex sensitivity of a coil (SENSE: Pruessmann et al., 1999). A map of one coil
    alone gives real images a phase. What is held out is held out of all coils, which see one image.

    Attributes:
      maps: `[K, H, W, 1]` complex, `s_k`; in the usual units `sum_k |s_k|^2 = 1`.
    """

    maps: jax.Array = flax.struct.field(metadata=array(4))

    def __call__(self, x: jax.Array) -> jax.Array:
        of_all_coils = x[..., None, :, :, :].astype(jnp.complex64)
        return self.restrict(_k_space(align(self.maps, of_all_coils) * of_all_coils))


def _k_space(x: jax.Array) -> jax.Array:
    """`F x` of real or complex images `[..., H, W, C]`, real and imaginary part last."""
    axes = (-3, -2)
    transformed = jnp.fft.fft2(jnp.fft.ifftshift(x, axes), axes=axes, norm="ortho")
    k_space = jnp.fft.fftshift(transformed, axes)
    return jnp.stack([k_space.real, k_space.imag], axis=-1)


def masked_mri(
    image_shape: Shape, mask: jax.typing.ArrayLike, maps: jax.typing.ArrayLike | None = None
) -> UndersampledFourier:
    """A known part of k-space, of one coil or, with maps, of several.

    Args:
      mask: `[H, W, 1]` of 0 and 1, 1 where k-space is sampled; `[B, H, W, 1]` for a batch.
      maps: sensitivities `[K, H, W, 1]`, complex; `[B, K, H, W, 1]` for a batch.

    Raises:
      InputError: another shape, or other values.
    """
    checked = as_mask(image_shape, mask)
    if maps is None:
        return UndersampledFourier(image_shape, checked)
    height, width, _ = image_shape
    if np.ndim(maps) not in (4, 5) or np.shape(maps)[-3:] != (height, width, 1):
        raise InputError(
            f"maps of shape {np.shape(maps)}: expected (K, {height}, {width}, 1), of K coils, or a "
            "batch of them"
        )
    return ParallelFourier(image_shape, checked, jnp.asarray(maps, jnp.complex64))


def cartesian_mri(
    key: jax.Array,
    image_shape: Shape,
    acceleration: float,
    centre: float | None = None,
    maps: jax.typing.ArrayLike | None = None,
) -> UndersampledFourier:
    """One in `acceleration` columns of k-space is sampled: see `cartesian_mask`, `masked_mri`."""
    return masked_mri(image_shape, cartesian_mask(key, image_shape, acceleration, centre), maps)


def radial_mri(
    image_shape: Shape, spokes: int, maps: jax.typing.ArrayLike | None = None
) -> UndersampledFourier:
    """Diameters of k-space are sampled: see `radial_mask`, `masked_mri`."""
    return masked_mri(image_shape, radial_mask(image_shape, spokes), maps)


def cartesian_mask(
    key: jax.Array, image_shape: Shape, acceleration: float, centre: float | None = None
) -> jax.Array:
    """Mask `[H, W, 1]` of `W / acceleration` columns: those in the middle and random others.

    Args:
      acceleration: at least 1.
      centre: fraction of all columns that is sampled in the middle, from 0 to 1 / acceleration;
        by default 0.08, or half of what is sampled where that is less.

    Raises:
      InputError: out of range.
    """
    if not 1 <= acceleration < math.inf:
        raise InputError(f"acceleration {acceleration}: expected a number >= 1")
    if centre is None:
        centre = min(0.08, 0.5 / acceleration)
    if not 0 <= centre <= 1 / acceleration:
        raise InputError(
            f"centre {centre}: expected a fraction from 0 to 1 / acceleration = "
            f"{1 / acceleration:.3g}"
        )
    height, width, _ = image_shape
    middle = round(centre * width)
    first = width // 2 - middle // 2
    order = jax.random.permutation(key, width)
    order = order.at[first : first + middle].add(-width)
    lines = jnp.argsort(order)[: max(round(width / acceleration), 1)]
    return jnp.zeros((height, width, 1), jnp.float32).at[:, lines].set(1)


def radial_mask(image_shape: Shape, spokes: int) -> jax.Array:
    """Mask `[H, W, 1]` of diameters of k-space at equal angles, the first horizontal.

    Raises:
      InputError: `spokes` is not from 1 to four times the longer side.
    """
    height, width, _ = image_shape
    if not 1 <= spokes <= max(height, width) * 4:
        raise InputError(f"spokes {spokes}: expected 1 to {max(height, width) * 4}")
    angles = math.pi * np.arange(spokes) / spokes
    radii = np.linspace(-0.5, 0.5, 2 * max(height, width), endpoint=False)
    rows = np.rint(height // 2 + height * np.outer(np.sin(angles), radii)).astype(int)
    columns = np.rint(width // 2 + width * np.outer(np.cos(angles), radii)).astype(int)
    mask = np.zeros((height, width, 1), np.float32)
    mask[rows % height, columns % width] = 1  # k-space is periodic
    return jnp.asarray(mask)

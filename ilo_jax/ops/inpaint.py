"""Inpainting: some of the pixels are observed (Section 4.3)."""

import flax.struct
import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Shape, align, array, draw
from ilo_jax.ops.entries import some_of


class Inpaint(LinearOperator):
    """`A(x) = mask * x`, a missing pixel measured as 0.

    Attributes:
      mask: `[H, W, 1]`, 1 where a pixel is observed, else 0.
    """

    mask: jax.Array = flax.struct.field(metadata=array(3))

    def __call__(self, x: jax.Array) -> jax.Array:
        return align(self.mask, x) * x

    def restrict(self, y: jax.Array) -> jax.Array:
        return self(y)

    @property
    def observed(self) -> jax.Array:
        return self.mask

    def hold_out(self, key: jax.Array, fraction: float) -> jax.Array:
        """Some of the observed pixels."""
        scores = draw(jax.random.uniform, key, self.mask.shape)
        return some_of(scores, fraction, self.mask)

    def picture(self, y: jax.Array) -> jax.Array:
        return jnp.where(align(self.mask, y) > 0, y, -1.0)


def inpainting(image_shape: Shape, mask: jax.typing.ArrayLike) -> Inpaint:
    """Inpainting with a known mask.

    Args:
      mask: `[H, W, 1]` of 0 and 1, 1 where a pixel is observed; `[B, H, W, 1]` for a batch, one
        for each image.

    Raises:
      InputError: another shape, or other values.
    """
    return Inpaint(image_shape, as_mask(image_shape, mask))


def random_inpainting(key: jax.Array, image_shape: Shape, observed: float) -> Inpaint:
    """Inpainting with the fraction `observed` of the pixels, at random.

    Raises:
      InputError: `observed` is not in (0, 1].
    """
    return Inpaint(image_shape, random_mask(key, image_shape, observed))


def box_inpainting(image_shape: Shape, size: int) -> Inpaint:
    """Inpainting of a `size` x `size` box that is missing in the middle.

    Raises:
      InputError: `size` is not from 1 to one less than the shorter side.
    """
    return Inpaint(image_shape, box_mask(image_shape, size))


def random_mask(key: jax.Array, image_shape: Shape, observed: float) -> jax.Array:
    """Mask `[H, W, 1]` with the fraction `observed` in (0, 1] of the pixels, at least one.

    Raises:
      InputError: `observed` is not in (0, 1].
    """
    if not 0 < observed <= 1:
        raise InputError(
            f"observed {observed:g}: expected a fraction of the pixels in (0, 1]; 0.1 is 10 %"
        )
    height, width, _ = image_shape
    count = max(round(observed * height * width), 1)
    ranks = jax.random.permutation(key, height * width)
    return (ranks < count).astype(jnp.float32).reshape(height, width, 1)


def box_mask(image_shape: Shape, size: int) -> jax.Array:
    """Mask `[H, W, 1]` that misses a `size` x `size` box in the middle.

    Raises:
      InputError: `size` is not from 1 to one less than the shorter side.
    """
    height, width, _ = image_shape
    if not 0 < size < min(height, width):
        raise InputError(f"box {size}: expected 1 to {min(height, width) - 1} pixels")
    top, left = (height - size) // 2, (width - size) // 2
    mask = jnp.ones((height, width, 1), jnp.float32)
    return mask.at[top : top + size, left : left + size].set(0)


def as_mask(image_shape: Shape, mask: jax.typing.ArrayLike) -> jax.Array:
    """A mask `[H, W, 1]`, or a batch of them, as operators have it.

    Raises:
      InputError: another shape, or other values than 0 and 1.
    """
    height, width, _ = image_shape
    if np.ndim(mask) not in (3, 4) or np.shape(mask)[-3:] != (height, width, 1):
        raise InputError(
            f"mask of shape {np.shape(mask)}: expected ({height}, {width}, 1), or a batch of them"
        )
    if not isinstance(mask, jax.core.Tracer) and not np.isin(mask, (0, 1)).all():
        raise InputError(f"mask with values {np.unique(mask)}: expected 0 and 1 alone")
    return jnp.asarray(mask, jnp.float32)

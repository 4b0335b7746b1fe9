"""Inpainting: some of the pixels are observed (Section 4.3)."""

import flax.struct
import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Shape, align, array, draw
from ilo_jax.ops.entries import some_of

STROKE_WIDTH = 0.08
"""Of the shorter side of an image."""


class Inpaint(LinearOperator):
    """`A(x) = mask * x`, a missing pixel measured as 0.

    In pictures what is missing is black, and where a mask has soft edges they are blended with it
    (`mask (x + 1) - 1`).

    Attributes:
      mask: `[H, W, 1]`, 1 where a pixel is observed, 0 where it is missing, else how much of it
        shows.
    """

    mask: jax.Array = flax.struct.field(metadata=array(3))

    def __call__(self, x: jax.Array) -> jax.Array:
        return align(self.mask, x) * x

    def restrict(self, y: jax.Array) -> jax.Array:
        return jnp.where(align(self.mask, y) > 0, y, 0)

    @property
    def observed(self) -> jax.Array:
        return (self.mask > 0).astype(jnp.float32)

    def hold_out(self, key: jax.Array, fraction: float) -> jax.Array:
        """Some of the observed pixels."""
        scores = draw(jax.random.uniform, key, self.mask.shape)
        return some_of(scores, fraction, self.mask)

    def picture(self, y: jax.Array) -> jax.Array:
        return y + (align(self.mask, y) - 1)

    def from_picture(self, y: jax.Array) -> jax.Array:
        return self.restrict(y - (align(self.mask, y) - 1))


def inpainting(image_shape: Shape, mask: jax.typing.ArrayLike) -> Inpaint:
    """Inpainting with a known mask.

    Args:
      mask: `[H, W, 1]` of 0 and 1, 1 where a pixel is observed; `[B, H, W, 1]` for a batch, one
        for each image.

    Raises:
      InputError: another shape, or other values.
    """
    return Inpaint(image_shape, as_mask(image_shape, mask))


def soft_inpainting(image_shape: Shape, mask: jax.typing.ArrayLike) -> Inpaint:
    """Inpainting with a known mask of soft edges.

    Args:
      mask: `[H, W, 1]` in [0, 1], how much of a pixel shows; `[B, H, W, 1]` for a batch, one for
        each image.

    Raises:
      InputError: another shape, or other values.
    """
    return Inpaint(image_shape, as_mask(image_shape, mask, soft=True))


def stroke_inpainting(key: jax.Array, image_shape: Shape, strokes: int) -> Inpaint:
    """Inpainting under black strokes of a brush, at random; see `stroke_mask`.

    Raises:
      InputError: `strokes` is not from 1 to 1000.
    """
    return Inpaint(image_shape, stroke_mask(key, image_shape, strokes))


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


def stroke_mask(key: jax.Array, image_shape: Shape, strokes: int) -> jax.Array:
    """Mask `[H, W, 1]` in [0, 1] of straight strokes with round ends, `STROKE_WIDTH` of the shorter
    side wide and with soft edges, that begin and end in the outer thirds of both sides (Poirier-
    Ginter & Lalonde, 2023).

    Raises:
      InputError: `strokes` is not from 1 to 1000.
    """
    if not 1 <= strokes <= 1000:
        raise InputError(f"strokes {strokes}: expected 1 to 1000")
    height, width, _ = image_shape
    radius = jnp.float32(STROKE_WIDTH * min(height, width) / 2)
    k_place, k_side = jax.random.split(key)
    place, side = (draw(jax.random.uniform, k, (4, strokes)) for k in (k_place, k_side))
    ends = (place + jnp.where(side < 0.5, jnp.float32(0), jnp.float32(2))) / 3
    y, x = (jnp.arange(n, dtype=jnp.float32) + 0.5 for n in (height, width))

    def hide(mask: jax.Array, ends: jax.Array) -> tuple[jax.Array, None]:
        top, left, bottom, right = ends * jnp.asarray([height, width] * 2, jnp.float32)
        down, across = y[:, None] - top, x[None] - left
        long, wide = bottom - top, right - left
        part = (down * long + across * wide) / jnp.maximum(long**2 + wide**2, 1e-6)
        part = jnp.clip(part, 0, 1)
        distance = jnp.hypot(down - part * long, across - part * wide)
        return jnp.minimum(mask, jnp.clip(distance - radius + 0.5, 0, 1)), None

    mask, _ = jax.lax.scan(hide, jnp.ones((height, width), jnp.float32), ends.T)
    return mask[..., None]


def as_mask(image_shape: Shape, mask: jax.typing.ArrayLike, *, soft: bool = False) -> jax.Array:
    """A mask `[H, W, 1]`, or a batch of them, as operators have it.

    Args:
      soft: whether values between 0 and 1 are allowed.

    Raises:
      InputError: another shape, or other values than 0 and 1.
    """
    height, width, _ = image_shape
    if np.ndim(mask) not in (3, 4) or np.shape(mask)[-3:] != (height, width, 1):
        raise InputError(
            f"mask of shape {np.shape(mask)}: expected ({height}, {width}, 1), or a batch of them"
        )
    if not isinstance(mask, jax.core.Tracer):
        values, allowed = np.asarray(mask), "from 0 to 1" if soft else "0 and 1 alone"
        fits = (values >= 0) & (values <= 1) if soft else np.isin(values, (0, 1))
        if not fits.all():
            raise InputError(f"mask with values {np.unique(values)}: expected {allowed}")
    return jnp.asarray(mask, jnp.float32)

"""Inpainting: some of the pixels are observed (Section 4.3)."""

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Option, Shape, Task, least_part


class Inpaint(LinearOperator):
    """`A(x) = mask * x`, a missing pixel measured as 0.

    Attributes:
      mask: `[H, W, 1]`, 1 where a pixel is observed, else 0.
    """

    mask: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.mask * x

    def restrict(self, y: jax.Array) -> jax.Array:
        return self.mask * y

    def hold_out(self, key: jax.Array, fraction: float) -> jax.Array:
        """Some of the observed pixels."""
        return least_part(jax.random.uniform(key, self.mask.shape), self.mask, fraction)

    def picture(self, y: jax.Array) -> jax.Array:
        return jnp.where(self.mask > 0, y, -1.0)


def random_mask(key: jax.Array, image_shape: Shape, observed: float) -> jax.Array:
    """Mask `[H, W, 1]` with the fraction `observed` in (0, 1] of the pixels, at least one."""
    if not 0 < observed <= 1:
        raise InputError(f"observed fraction {observed}: expected more than 0 and at most 1")
    height, width, _ = image_shape
    count = max(round(observed * height * width), 1)
    ranks = jax.random.permutation(key, height * width)
    return (ranks < count).astype(jnp.float32).reshape(height, width, 1)


def box_mask(image_shape: Shape, size: int) -> jax.Array:
    """Mask `[H, W, 1]` that misses a `size` x `size` box in the middle."""
    height, width, _ = image_shape
    if not 0 < size < min(height, width):
        raise InputError(f"box {size}: expected 1 to {min(height, width) - 1} pixels")
    top, left = (height - size) // 2, (width - size) // 2
    return jnp.ones((height, width, 1)).at[top : top + size, left : left + size].set(0)


def _build(
    key: jax.Array,
    image_shape: Shape,
    observed: float | None = None,
    box: int | None = None,
    mask: jax.Array | None = None,
) -> Inpaint:
    if observed is not None:
        mask = random_mask(key, image_shape, observed)
    elif box is not None:
        mask = box_mask(image_shape, box)
    if mask is None:
        raise InputError("inpaint: expected one of observed, box, mask")
    return Inpaint(image_shape, jnp.asarray(mask))


TASK = Task(
    "inpaint",
    "fill in the pixels that are not observed",
    _build,
    forms=(
        (Option("observed", float, "fraction of the pixels, at random, in (0, 1]"),),
        (Option("box", int, "side of a square in the middle that is missing"),),
        (Option("mask", "mask", "image file, white = observed"),),
    ),
    examples=({"observed": 0.1}, {"observed": 1.0}, {"box": 5}),
    demo={"observed": 0.1},
)

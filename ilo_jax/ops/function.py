"""Any function as a forward operator."""

import math
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import Measurement, Operator, Shape, scale_to_one


class Custom(Operator):
    """`A(x) = f(x)`, `f` differentiable, of any JAX operations.

    Attributes:
      function: `f`, from `[..., H, W, C]` to a float32 array, or a pytree of them, with the same
        batch axes `...` in front.
    """

    function: Callable[[jax.Array], Measurement] = flax.struct.field(pytree_node=False)

    def __call__(self, x: jax.Array) -> Measurement:
        return self.function(x)

    def picture(self, y: Measurement) -> jax.Array:
        """The measurement itself if it is an image, else its values, row by row, in a square."""
        if self.measures_image:
            return y
        ones = jax.tree.leaves(self._measured)
        flat = [
            leaf.reshape(*leaf.shape[: leaf.ndim - one.ndim], -1)
            for leaf, one in zip(jax.tree.leaves(y), ones, strict=True)
        ]
        values = jnp.concatenate(flat, axis=-1)
        side = math.isqrt(values.shape[-1] - 1) + 1
        padding = [(0, 0)] * (values.ndim - 1) + [(0, side**2 - values.shape[-1])]
        square = jnp.pad(values, padding).reshape(*values.shape[:-1], side, side, 1)
        return scale_to_one(square)


def custom(image_shape: Shape, function: Callable[[jax.Array], Measurement]) -> Custom:
    """Measures by a function, which is tried on shapes.

    Raises:
      InputError: it fails, or returns anything else than `Custom.function` says.
    """
    one, batch = (_shapes(function, shape) for shape in (image_shape, (2, *image_shape)))
    if [(2, *leaf.shape) for leaf in one] != [leaf.shape for leaf in batch]:
        raise InputError(
            f"function: {_list(one)} of an image, {_list(batch)} of two; "
            "expected the batch axis in front"
        )
    return Custom(image_shape, function)


def _shapes(function: Callable[[jax.Array], Measurement], shape: Shape) -> list[Any]:
    """What the function returns for an image of this shape."""
    try:
        x = jax.ShapeDtypeStruct(shape, jnp.float32)
        found = jax.tree.leaves(jax.eval_shape(lambda x: function(x), x))
    except Exception as error:  # whatever the user's function raises
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(
            f"function: fails on images {shape} ({type(error).__name__}: {reason}); "
            "expected JAX operations on [..., H, W, C]"
        ) from error
    if not found or any(leaf.dtype != jnp.float32 or not leaf.size for leaf in found):
        raise InputError(f"function: returns {_list(found)}; expected float32 arrays")
    return found


def _list(leaves: list[Any]) -> str:
    return ", ".join(f"{leaf.dtype} {leaf.shape}" for leaf in leaves) or "no array"

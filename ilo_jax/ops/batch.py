"""Operators of a batch, whose arrays may differ from image to image.

An array that its field declares (`array`) is one for all images, or has the batch axis in front.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops.base import Operator, map_arrays

AnyOperator = TypeVar("AnyOperator", bound=Operator)


def batch_axes(operator: Operator, batch: int) -> Any:
    """Where each array of an operator has the batch axis.

    Returns:
      A pytree of the operator's structure: 0 where an array has it, None where it is shared; as
      `jax.vmap` takes for `in_axes`.

    Raises:
      InputError: an array has neither the axes of one image's, nor one of size `batch` in front.
    """

    def axis(where: str, rank: int | None, leaf: Any) -> int | None:
        shape = np.shape(leaf)
        if rank is None or len(shape) == rank:
            return None
        if len(shape) == rank + 1 and shape[0] == batch:
            return 0
        raise InputError(
            f"{where}: shape {shape}; expected {rank} axes, or an axis of {batch} images and those"
        )

    return map_arrays(axis, operator)


def map_images(function: Callable, operator: Operator, *trees: Any) -> Any:
    """`function(operator, *trees)` of every image of a batch, by `jax.vmap`.

    Args:
      function: of one image's operator and of one image of each of the trees.
      operator: one for all images, or with arrays for each.
      trees: one or more, with `B` images along the first axis of every array.

    Returns:
      What the function does, with the batch axis in front.

    Raises:
      InputError: the operator is for another number of images.
    """
    axes = batch_axes(operator, np.shape(jax.tree.leaves(trees)[0])[0])
    return jax.vmap(function, in_axes=(axes, *(0 for _ in trees)))(operator, *trees)


def stack(operators: Sequence[AnyOperator]) -> AnyOperator:
    """The operator of a batch whose images have these, one each; an array that is the same object
    in all of them stays shared.

    Raises:
      InputError: none, or operators that differ in more than the values of their declared arrays.
    """
    if not operators:
        raise InputError("no operators: expected one or more")
    first, *others = operators
    for i, other in enumerate(others, 1):
        if jax.tree.structure(other) != jax.tree.structure(first):
            raise InputError(
                f"operator {i} is another {type(other).__name__} than operator 0, a "
                f"{type(first).__name__}; expected the same kind, sizes and settings"
            )

    def of_all(where: str, rank: int | None, *leaves: Any) -> Any:
        leaf = leaves[0]
        if rank is None:
            if any(other is not leaf and not np.array_equal(other, leaf) for other in leaves):
                raise InputError(f"{where} differs; expected one for all images")
            return leaf
        shapes = {np.shape(other) for other in leaves}
        if {len(shape) for shape in shapes} != {rank} or len(shapes) > 1:
            raise InputError(
                f"{where}: shapes {', '.join(map(str, sorted(shapes)))}; "
                f"expected the same {rank} axes, of one image"
            )
        return leaf if all(other is leaf for other in leaves) else jnp.stack(leaves)

    return map_arrays(of_all, *operators)


def can_hold_out(operator: Operator, batch: int) -> np.ndarray:
    """`[B]`, of each of `batch` images whether `hold_out` finds entries in its measurement: not
    where fewer than two are independent, or a measurement has no parts. Of concrete arrays."""
    shared = not jax.tree.leaves(batch_axes(operator, batch))
    keys = jax.random.split(jax.random.key(0), 1 if shared else batch)
    return np.broadcast_to(np.asarray(_holds_some_out(operator, keys)), (batch,))


@jax.jit
def _holds_some_out(operator: Operator, keys: jax.Array) -> jax.Array:
    def one(operator: Operator, key: jax.Array) -> jax.Array:
        held = operator.hold_out(key, 0.5)
        return jnp.any(jnp.stack([jnp.any(leaf > 0) for leaf in jax.tree.leaves(held)]))

    return map_images(one, operator, keys)

"""Pytrees of classes that others may subclass: operators, priors, terms of an objective."""

from typing import Any

import flax.struct
import jax


class Node(flax.struct.PyTreeNode):
    """A pytree whose structure tells its class.

    Attributes:
      kind: the class. Without it JAX takes the structures of two dataclasses with equal fields for
        equal, and `jax.jit` may run one's program for the other.
    """

    kind: type | None = flax.struct.field(pytree_node=False, kw_only=True, default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", type(self))


def by_name(tree: Any, root: str = "") -> dict[str, Any]:
    """Leaves by name, such as `noises/0`, in the order of the tree.

    Args:
      root: before each name; that of a tree that is one leaf.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    names = (
        [root] * bool(root) + [jax.tree_util.keystr((key,), simple=True) for key in path]
        for path, _ in leaves
    )
    return {"/".join(name): leaf for name, (_, leaf) in zip(names, leaves, strict=True)}

"""Pytrees of classes that others may subclass: operators, priors, terms of an objective."""

import flax.struct


class Node(flax.struct.PyTreeNode):
    """A pytree whose structure tells its class.

    Attributes:
      kind: the class. Without it JAX takes the structures of two dataclasses with equal fields for
        equal, and `jax.jit` may run one's program for the other.
    """

    kind: type | None = flax.struct.field(pytree_node=False, kw_only=True, default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", type(self))

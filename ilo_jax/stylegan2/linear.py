"""Linear maps with a written-out adjoint, where the one that JAX derives is slower.

Such a map is a primitive of its own, since `jax.custom_vjp` has no forward mode: it can be
differentiated to any order in any mode, and `vmap`, `scan`, `checkpoint` and `shard_map` take it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Map = Callable[[jax.Array, Any], jax.Array]
_FROZEN = "weights of convolutions are frozen: no gradient with respect to them"


def apply(forward: Map, adjoint: Map, x: jax.Array, weights: Any) -> jax.Array:
    """`forward(x, weights)`, which is linear in `x` and has the transpose `adjoint(y, weights)`.

    Args:
      forward, adjoint: functions of a module, since programs are kept by them. They take any number
        of leading batch axes.
      weights: a pytree, whose static fields stay static.

    Raises:
      TypeError: derivatives with respect to the weights are asked for.
    """
    leaves, tree = jax.tree.flatten(weights)
    return _linear.bind(x, *leaves, forward=forward, adjoint=adjoint, tree=tree)


@jax.custom_jvp
def frozen(weights: Any) -> Any:
    """The weights; what asks for derivatives with respect to them is refused with a TypeError."""
    return weights


@frozen.defjvp
def _frozen_jvp(primals, tangents):
    raise TypeError(_FROZEN)


def _call(x, *leaves, forward, adjoint, tree):
    return forward(x, tree.unflatten(leaves))


_compiled = jax.jit(_call, static_argnames=("forward", "adjoint", "tree"))


def _abstract(*avals, **params):
    return _compiled.trace(*avals, **params).jaxpr.out_avals[0]


def _jvp(primals, tangents, **params):
    x_dot, *weights_dot = tangents
    if any(type(t) is not ad.Zero for t in weights_dot):
        raise TypeError(_FROZEN)
    return _linear.bind(*primals, **params), _linear.bind(x_dot, *primals[1:], **params)


def _transpose(y_bar, x, *leaves, forward, adjoint, tree):
    if type(y_bar) is ad.Zero:
        x_bar = ad.Zero(x.aval)
    else:
        x_bar = _linear.bind(y_bar, *leaves, forward=adjoint, adjoint=forward, tree=tree)
    return x_bar, *(None for _ in leaves)


def _batch(args, axes, *, forward, adjoint, tree):
    size = next(a.shape[i] for a, i in zip(args, axes, strict=True) if i is not None)
    mapped = [i is not None for i in axes[1:]]
    x, *leaves = (
        a if i is None else jnp.moveaxis(a, i, 0) for a, i in zip(args, axes, strict=True)
    )
    if any(mapped) or isinstance(forward, _Mapped):
        if axes[0] is None:
            x = jnp.broadcast_to(x, (size, *x.shape))
        forward, adjoint = (_Mapped(f, tree, tuple(mapped)) for f in (forward, adjoint))
    return _linear.bind(x, *leaves, forward=forward, adjoint=adjoint, tree=tree), 0


@dataclasses.dataclass(frozen=True)
class _Mapped:
    """A map of which some weights have a batch axis, too; equal to others like it."""

    function: Map
    tree: Any
    mapped: tuple[bool, ...]

    def __call__(self, x: jax.Array, weights: Any) -> jax.Array:
        axes = self.tree.unflatten([0 if m else None for m in self.mapped])
        return jax.vmap(self.function, (0, axes))(x, weights)


_linear = Primitive("linear_map")
_linear.def_impl(_compiled)
_linear.def_abstract_eval(_abstract)
ad.primitive_jvps[_linear] = _jvp
ad.primitive_transposes[_linear] = _transpose
batching.primitive_batchers[_linear] = _batch
mlir.register_lowering(_linear, mlir.lower_fun(_call, multiple_results=False))

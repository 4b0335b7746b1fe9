"""What a person would use who has no generator: the biharmonic equation, and total variation."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ilo_jax.ops import Inpaint, Measurement, Operator

_SMOOTHING = 1000  # iterations of conjugate gradients, at most
ITERATIONS = 300
_DUAL_ITERATIONS = 10  # of the proximal operator, from the last dual variables on

Prox = Callable[[jax.Array, jax.Array, Any], tuple[jax.Array, Any]]
"""`(x, weight, state) -> (x, state)`: a proximal operator of `weight` times a penalty."""


@jax.jit
def biharmonic_image(operator: Inpaint, measurement: jax.Array) -> jax.Array:
    """The image `[H, W, C]` that is what was observed there, and bends least everywhere: its
    Laplacian is the least in squares."""
    seen = operator.mask

    def bending(x: jax.Array) -> jax.Array:
        p = jnp.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
        sides = p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2]
        return sides - 4 * x

    back = jax.linear_transpose(bending, measurement)

    def normal(x: jax.Array) -> jax.Array:
        return (1 - seen) * back(bending((1 - seen) * x))[0]

    known = seen * measurement
    right = -(1 - seen) * back(bending(known))[0]
    found, _ = jax.scipy.sparse.linalg.cg(normal, right, maxiter=_SMOOTHING)
    return known + (1 - seen) * found


@functools.partial(jax.jit, static_argnames="grey")
def total_variation_image(
    operator: Operator, measurement: Measurement, weight: float, grey: bool
) -> jax.Array:
    """The image `[H, W, C]` with the least `|A x - y|^2 / 2` plus `weight` times total variation.

    Args:
      operator: linear, without its noise.
      grey: whether all channels are equal.
    """
    height, width, channels = operator.image_shape
    shape = (height, width, 1 if grey else channels)

    def lift(x: jax.Array) -> jax.Array:
        return jnp.broadcast_to(x, operator.image_shape)

    x = fista(
        lambda x: operator(lift(x)),
        measurement,
        total_variation,
        weight,
        jnp.zeros(shape),
        jnp.zeros((2, *shape)),
    )
    return lift(x)


def fista(
    forward: Callable[[jax.Array], Measurement],
    measurement: Measurement,
    prox: Prox,
    weight: jax.typing.ArrayLike,
    start: jax.Array,
    state: Any,
) -> jax.Array:
    """Minimises `|A x - y|^2 / 2` and a weighted penalty (Beck & Teboulle, 2009).

    Args:
      forward: `A`, linear.
      start: the first `x`.
      state: the first of the proximal operator's.
    """
    transposed = jax.linear_transpose(forward, start)

    def adjoint(y: Measurement) -> jax.Array:
        return transposed(y)[0]

    def grow(x: jax.Array, _: Any) -> tuple[jax.Array, jax.Array]:
        x = adjoint(forward(x / jnp.linalg.norm(x)))
        return x, jnp.linalg.norm(x)

    _, norms = jax.lax.scan(grow, jax.random.normal(jax.random.key(0), start.shape), length=50)
    rate = 0.95 / norms[-1]

    def step(carry: Any, _: Any) -> tuple[Any, None]:
        x, ahead, t, state = carry
        residual = jax.tree.map(jnp.subtract, forward(ahead), measurement)
        new, state = prox(ahead - rate * adjoint(residual), rate * weight, state)
        t_new = (1 + jnp.sqrt(1 + 4 * t**2)) / 2
        return (new, new + (t - 1) / t_new * (new - x), t_new, state), None

    carry = (start, start, jnp.float32(1), state)
    (x, *_), _ = jax.lax.scan(step, carry, length=ITERATIONS)
    return x


def total_variation(x: jax.Array, weight: jax.Array, dual: jax.Array) -> tuple[jax.Array, Any]:
    """Of isotropic total variation of images `[H, W, ...]` (Chambolle, 2004), by projected
    gradients of the dual, `[2, H, W, ...]`."""

    def ascend(dual: jax.Array, _: Any) -> tuple[jax.Array, None]:
        dual = dual + _differences(_divergence(dual) + x / weight) / 8
        return dual / jnp.maximum(jnp.sqrt(jnp.sum(dual**2, 0)), 1), None

    dual, _ = jax.lax.scan(ascend, dual, length=_DUAL_ITERATIONS)
    return x + weight * _divergence(dual), dual


def _differences(x: jax.Array) -> jax.Array:
    """Forward, zero beyond the border."""
    down = jnp.diff(x, axis=0, append=x[-1:])
    right = jnp.diff(x, axis=1, append=x[:, -1:])
    return jnp.stack([down, right])


def _divergence(p: jax.Array) -> jax.Array:
    """Minus the adjoint of `_differences`."""
    (adjoint,) = jax.linear_transpose(_differences, p[0])(p)
    return -adjoint

"""Least squares without a matrix."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ilo_jax.ops.base import Measurement

_TINY = jnp.finfo(jnp.float32).tiny


def least_squares(
    forward: Callable[[jax.Array], Measurement],
    back: Callable[[Measurement], jax.Array],
    residual: Measurement,
    ridge: jax.Array,
    most: int,
    converged: float,
) -> jax.Array:
    """`z` of least `|forward(z) - residual|^2 + ridge |z|^2`, by CGLS.

    Args:
      back: the adjoint of `forward`.
      most: iterations.
      converged: norm of the gradient, to its first, at which it ends.
    """

    def unfinished(state: tuple) -> jax.Array:
        i, *_, size = state
        return (i < most) & (size > converged**2 * first)

    def descend(state: tuple) -> tuple:
        i, z, residual, direction, size = state
        measured = forward(direction)
        square = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(measured))
        square += ridge * jnp.sum(direction**2)
        length = size / jnp.maximum(square, _TINY)
        z += length * direction
        residual = jax.tree.map(lambda r, m: r - length * m, residual, measured)
        gradient = back(residual) - ridge * z
        now = jnp.sum(gradient**2)
        return i + 1, z, residual, gradient + now / size * direction, now

    gradient = back(residual)
    first = jnp.sum(gradient**2)
    start = (jnp.int32(0), jnp.zeros_like(gradient), residual, gradient, first)
    return jax.lax.while_loop(unfinished, descend, start)[1]

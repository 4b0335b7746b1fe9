"""The image nearest to another among those that a measurement allows."""

import functools

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Measurement, Operator
from ilo_jax.ops.batch import map_images
from ilo_jax.ops.noise import noiseless
from ilo_jax.ops.noise_gaussian import can_be_consistent

_CONVERGED = 1e-5
"""Of the gradient, to its first."""


def make_consistent(
    operator: Operator,
    measurement: Measurement,
    x: jax.Array,
    where: Measurement | None = None,
    *,
    iterations: int = 100,
    grey: bool = False,
) -> jax.Array:
    """`x + A^+ (y - A x)`: the nearest image whose noiseless measurement is `y`, or, where the
    operator has noise, on the way there the first whose squared error is the noise's variance.

    By conjugate gradients for least squares (CGLS), whose error decreases: to stop at the level of
    the noise (Morozov) is a regularizer, without which an operator that is ill-conditioned, such as
    a blur, would have the noise back, amplified. They need no matrix, nor that `A` has full rank.

    Args:
      operator: one that `can_be_consistent`.
      measurement: `y`, of one image.
      x: `[H, W, C]`.
      where: 1 at the entries that are to be met, as `hold_out` has them; all without.
      iterations: at most; fewer suffice where `A A^T` has few different eigenvalues.
      grey: whether only grey images are allowed, from the mean of the channels of `x` on; then
        half of the measurements of a colour image may determine it.

    Raises:
      InputError: an operator that is not linear, or whose noise is neither Gaussian nor rounding.
    """
    linear = noiseless(operator)
    if not can_be_consistent(operator):
        raise InputError(
            f"{type(linear).__name__}: not linear, or with noise that is neither Gaussian nor "
            "rounding; expected an operator whose measurement can be met"
        )
    assert isinstance(linear, LinearOperator)
    level = jnp.float32(operator.noise_variance)

    def allowed(image: jax.Array) -> jax.Array:
        return jnp.broadcast_to(jnp.mean(image, -1, keepdims=True), x.shape) if grey else image

    def back(r: Measurement) -> jax.Array:
        return allowed(linear.adjoint(r))

    def error(r: Measurement) -> jax.Array:
        return operator.squared_error(r, jax.tree.map(jnp.zeros_like, r), where)

    def chosen(y: Measurement) -> Measurement:
        return y if where is None else jax.tree.map(lambda w, y: w * y, where, y)

    x = allowed(x)
    residual = chosen(jax.tree.map(lambda y, p: y - p, measurement, linear(x)))
    gradient = back(residual)
    first = jnp.sum(gradient**2)

    def unfinished(state: tuple) -> jax.Array:
        i, _, residual, _, size = state
        return (i < iterations) & (error(residual) > level) & (size > _CONVERGED**2 * first)

    def descend(state: tuple) -> tuple:
        i, x, residual, direction, size = state
        measured = chosen(linear(direction))
        square = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(measured))
        length = size / jnp.maximum(square, jnp.finfo(jnp.float32).tiny)
        # A step of t lengths takes (2 t - t^2) of what the whole one takes from the error.
        gain = length**2 * error(measured)
        excess = jnp.clip((error(residual) - level) / jnp.maximum(gain, level), 0, 1)
        length *= jnp.where(level > 0, 1 - jnp.sqrt(1 - excess), 1)
        x += length * direction
        residual = jax.tree.map(lambda r, m: r - length * m, residual, measured)
        gradient = back(residual)
        now = jnp.sum(gradient**2)
        return i + 1, x, residual, gradient + now / size * direction, now

    start = (jnp.int32(0), x, residual, gradient, first)
    return jax.lax.while_loop(unfinished, descend, start)[1]


@jax.jit(static_argnames="grey")
def make_batch_consistent(
    operator: Operator,
    measurement: Measurement,
    x: jax.Array,
    where: Measurement | None = None,
    *,
    grey: bool = False,
) -> jax.Array:
    """`make_consistent` of every image of a batch `[B, H, W, C]`, each with its measurement and
    entries; the operator is one for all, or has arrays for each."""
    make = functools.partial(make_consistent, grey=grey)
    if where is None:
        return map_images(make, operator, measurement, x)
    return map_images(make, operator, measurement, x, where)

"""The image nearest to another among those that a measurement allows."""

from typing import Any

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Measurement, Operator, draw
from ilo_jax.ops.batch import map_images
from ilo_jax.ops.error_variance import Fit, error_variance
from ilo_jax.ops.information import PROBE, Determined
from ilo_jax.ops.least_squares import least_squares
from ilo_jax.ops.noise import noiseless
from ilo_jax.ops.noise_gaussian import can_be_consistent

_CONVERGED = 1e-5
"""Of the gradient, to its first."""
_FEW = 30
"""Iterations that suffice for a variance."""
_ROUNDS = 4


def make_consistent(
    operator: Operator,
    measurement: Measurement,
    x: jax.Array,
    where: Measurement | None = None,
    *,
    iterations: int = 100,
    grey: bool = False,
    determined: Determined | None = None,
) -> jax.Array:
    """`x + A^+ (y - A x)`: the nearest image whose noiseless measurement is `y`; where the operator
    has noise of variance `s`, `x + T A^T (A T A^T + s I)^-1 (y - A x)`, the best linear estimate if
    `x` is off by noise of variance `T`, a number a pixel where images are measured and one number
    elsewhere.

    How far it is off the residual says, as James and Stein have it: `|y - A x|^2` is on average
    `t |A|^2` and what there is of noise (`error_variance`). Where it is not above the noise nothing
    moves. By conjugate gradients for least squares (CGLS), which need no matrix, nor that `A` has
    full rank.

    Args:
      operator: one that `can_be_consistent`.
      measurement: `y`, of one image.
      x: `[H, W, C]`.
      where: 1 at the entries that are to be met, as `hold_out` has them; all without.
      iterations: at most; fewer suffice where `A A^T` has few different eigenvalues.
      grey: whether only grey images are allowed, from the mean of the channels of `x` on; then
        half of the measurements of a colour image may determine it.
      determined: shares of the image (`determined_share`), where `x` was fitted to `y`: a part of
        the noise is then in `x`, and not in the residual.

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

    def allowed(image: jax.Array) -> jax.Array:
        return jnp.broadcast_to(jnp.mean(image, -1, keepdims=True), x.shape) if grey else image

    def chosen(y: Measurement) -> Measurement:
        return y if where is None else jax.tree.map(lambda w, y: w * y, where, y)

    x = allowed(x)
    residual = chosen(jax.tree.map(lambda y, p: y - p, measurement, linear(x)))
    off, noise = jnp.float32(1), jnp.float32(0)
    if operator.is_noisy:
        fit = Fit(operator, linear, measurement, where, grey, determined)
        off, noise = error_variance(fit, residual)

    def solved(residual: Measurement, spread: jax.Array, most: int) -> jax.Array:
        return least_squares(
            lambda z: chosen(linear(spread * z)),
            lambda r: spread * allowed(linear.adjoint(r)),
            *(residual, noise, most, _CONVERGED),
        )

    def more_likely(_: jax.Array, spread: jax.Array) -> jax.Array:
        z = solved(residual, spread, _FEW)
        free = jnp.sum(probe * solved(chosen(linear(spread * probe)), spread, _FEW))
        return spread * jnp.sqrt(jnp.where(free > 0, jnp.sum(z**2) / free, 1))

    spread = jnp.sqrt(off)
    if operator.is_noisy:
        probe = jnp.sign(allowed(draw(jax.random.normal, jax.random.key(PROBE), x.shape)))
        spread = jax.lax.fori_loop(0, _ROUNDS, more_likely, spread)
    return allowed(x + spread * solved(residual, spread, iterations))


@jax.jit(static_argnames="grey")
def make_batch_consistent(
    operator: Operator,
    measurement: Measurement,
    x: jax.Array,
    where: Measurement | None = None,
    determined: Determined | None = None,
    *,
    grey: bool = False,
) -> jax.Array:
    """`make_consistent` of every image of a batch `[B, H, W, C]`, each with its measurement,
    entries and shares; the operator is one for all, or has arrays for each."""

    def make(operator: Operator, y: Measurement, x: jax.Array, more: dict[str, Any]) -> jax.Array:
        return make_consistent(operator, y, x, **more, grey=grey)

    given = {"where": where, "determined": determined}
    more = {name: value for name, value in given.items() if value is not None}
    return map_images(make, operator, measurement, x, more)

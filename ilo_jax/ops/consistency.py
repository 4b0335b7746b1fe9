"""The image nearest to another among those that a measurement allows."""

from typing import Any

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Measurement, Operator, count_where, draw
from ilo_jax.ops.batch import map_images
from ilo_jax.ops.information import PROBE, Determined
from ilo_jax.ops.noise import noiseless
from ilo_jax.ops.noise_gaussian import can_be_consistent

_CONVERGED = 1e-5
"""Of the gradient, to its first."""

_FITTED = 0.5
"""Of the noise in what a measurement determines, what an image has that was fitted to it: 0.42 to
0.50 of it where radiographs have noise of sigma 5 to 25 (`benchmarks.consistency`)."""


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
    has noise of variance `s`, `x + A^T (A A^T + s / t I)^-1 (y - A x)`, the best estimate if `x`
    is off by white noise of variance `t`.

    How far it is off the residual says, as James and Stein have it: `|y - A x|^2` is on average
    `t |A|^2` and what there is of noise. Where it is not above the noise nothing moves. By
    conjugate gradients for least squares (CGLS), which need no matrix, nor that `A` has full rank.

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

    def back(r: Measurement) -> jax.Array:
        return allowed(linear.adjoint(r))

    def mean_square(r: Measurement) -> jax.Array:
        return operator.squared_error(r, jax.tree.map(jnp.zeros_like, r), where)

    def chosen(y: Measurement) -> Measurement:
        return y if where is None else jax.tree.map(lambda w, y: w * y, where, y)

    x = allowed(x)
    residual = chosen(jax.tree.map(lambda y, p: y - p, measurement, linear(x)))
    left, in_residual = _noise_left(operator, measurement, determined, x.size // _channels(x, grey))
    probe = jnp.sign(allowed(draw(jax.random.normal, jax.random.key(PROBE), x.shape)))
    least = jnp.finfo(jnp.float32).tiny
    scale = jnp.maximum(mean_square(linear(probe)), least)
    off = (mean_square(residual) - in_residual) / scale
    ridge = left / jnp.maximum(off, least) / _channels(x, grey)

    gradient = back(residual)
    first = jnp.sum(gradient**2)

    def unfinished(state: tuple) -> jax.Array:
        i, *_, size = state
        return (i < iterations) & (size > _CONVERGED**2 * first)

    def descend(state: tuple) -> tuple:
        i, moved, residual, direction, size = state
        measured = chosen(linear(direction))
        square = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(measured))
        square += ridge * jnp.sum(direction**2)
        length = size / jnp.maximum(square, least)
        moved += length * direction
        residual = jax.tree.map(lambda r, m: r - length * m, residual, measured)
        gradient = back(residual) - ridge * moved
        now = jnp.sum(gradient**2)
        return i + 1, moved, residual, gradient + now / size * direction, now

    start = (jnp.int32(0), jnp.zeros_like(x), residual, gradient, first)
    moved = jax.lax.while_loop(unfinished, descend, start)[1]
    return x + jnp.where(off > 0, moved, 0)


def _channels(x: jax.Array, grey: bool) -> int:
    """How many values of an image are one."""
    return x.shape[-1] if grey else 1


def _noise_left(
    operator: Operator, measurement: Measurement, determined: Determined | None, values: int
) -> tuple[jax.Array, jax.Array]:
    """Variance of the noise that is not in an image of so many values yet: of what it can have in
    it, and on average of the entries."""
    variance = jnp.float32(operator.noise_variance)
    if determined is None:
        return variance, variance
    entries = count_where(measurement, operator.observed)
    in_image = _FITTED * determined.share
    fitted = in_image / jnp.maximum(determined.noiseless, jnp.finfo(jnp.float32).tiny)
    return variance * (1 - fitted), variance * jnp.maximum(1 - in_image * values / entries, 0)


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

"""Projections: onto the l1 ball (Duchi et al., 2008) and onto spheres (PULSE).

Each takes one vector of any shape; `jax.vmap` makes it per image.
"""

import functools

import jax
import jax.numpy as jnp


def project_l1_ball(x: jax.Array, radius: jax.typing.ArrayLike) -> jax.Array:
    """The point nearest to `x` with `|x|_1 <= radius`; exact.

    Soft-thresholding at the `t >= 0` where `sum max(|x| - t, 0) = radius`. Instead of a sort,
    Michelot's (1986) iteration: the threshold that its current support implies rises until the
    support stays, which ends after a few passes at the threshold of Duchi et al. It starts from
    `max |x| - radius`, below which no entry survives: what is left is of the radius's size, so
    that the result is in the ball to the radius's precision, and 0 at radius 0.

    Differentiable in both, forward and backward. Inside the ball the derivative is that of `x`;
    outside, with the support `S` where the result is not 0 and its signs `s`, it is
    `dx_i - s_i (sum_S s_j dx_j - dradius) / |S|` on `S` and 0 elsewhere.

    Args:
      x: any shape, taken as one vector.
      radius: scalar >= 0; infinity switches the projection off.
    """
    return _project_l1_ball(x, jnp.asarray(radius, x.dtype))


@jax.custom_jvp
def _project_l1_ball(x: jax.Array, radius: jax.Array) -> jax.Array:
    magnitude = jnp.abs(x)
    floor = jnp.maximum(jnp.max(magnitude) - radius, 0)
    magnitude = jnp.maximum(magnitude - floor, 0)

    def implied(threshold: jax.Array) -> jax.Array:
        # From what is left, which is of the radius's size: what was taken off would round it.
        support = magnitude > threshold
        left = jnp.sum(magnitude - threshold, where=support)
        return threshold + (left - radius) / jnp.maximum(jnp.sum(support), 1).astype(x.dtype)

    def more(carry):
        threshold, last = carry
        return threshold > last

    def shrink(carry):
        threshold, _ = carry
        return jnp.maximum(implied(threshold), threshold), threshold

    def settled(passes: int, *carry):
        def several(carry):
            for _ in range(passes):
                carry = shrink(carry)
            return carry

        return jax.lax.while_loop(more, several, carry)[0]

    zero = jnp.zeros_like(floor)
    first = jnp.maximum(implied(zero), zero)
    # A GPU waits for its host between two turns of a loop; a pass too many changes nothing.
    one, eight = (functools.partial(settled, passes) for passes in (1, 8))
    threshold = jax.lax.platform_dependent(first, zero, cpu=one, default=eight)
    # No entry exceeds the radius: as a bound it holds where a compiler rounds the rest in two ways.
    return jnp.sign(x) * jnp.clip(magnitude - threshold, 0, radius)


@_project_l1_ball.defjvp
def _differentiate(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x, radius), (dx, dradius) = primals, tangents
    projected = _project_l1_ball(x, radius)
    # The support and the signs are constant almost everywhere: no derivative of the derivative.
    sign = jax.lax.stop_gradient(jnp.sign(projected))
    # Radius 0 leaves no inside, even where x is 0 itself.
    inside = jnp.all(projected == x) & (radius > 0)
    support = jnp.maximum(jnp.sum(jnp.abs(sign)), 1)
    along = (jnp.sum(sign * dx) - dradius) / support
    return projected, jnp.where(inside, dx, jnp.abs(sign) * dx - sign * along)


def rescale_to_norm(x: jax.Array, norm: jax.Array, axis: int | tuple[int, ...]) -> jax.Array:
    """Moves `x` along its ray to the sphere of radius `norm`, over `axis`.

    Args:
      norm: as `euclidean_norm(x0, axis)` gives it: `axis` kept with size one.
    """
    return x * (norm / euclidean_norm(x, axis))


def euclidean_norm(x: jax.Array, axis: int | tuple[int, ...]) -> jax.Array:
    """Euclidean norm over `axis`, kept with size one; differentiable at zero."""
    return jnp.sqrt(jnp.sum(x**2, axis, keepdims=True) + 1e-9)

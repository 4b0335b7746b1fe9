"""S-REC (Definition 1) seen on samples: how much a measurement matrix shrinks differences between
images of the extended range `G2(G1(B_2^k) + B_1^p(r2))`.

A matrix satisfies S-REC(S, gamma, 0) if `|A (x1 - x2)| >= gamma |x1 - x2|` for all pairs of S. The
smallest ratio over some pairs is an upper bound of such a gamma: sampled pairs refute S-REC, they
do not prove it.
"""

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.ops import LinearOperator
from ilo_jax.priors import Inputs, Prior
from ilo_jax.solve.variables import Variables, image, zeros
from ilo_jax.theory.parts import check_cut


def draw_l1_ball(key: jax.Array, shape: tuple[int, ...], radius: jax.Array | float) -> jax.Array:
    """A uniform draw from the l1 ball, the array taken as one vector.

    `x / (|x|_1 + e)` for i.i.d. Laplace `x_i` and one more, exponential, `e` (Barthe et al., 2005).
    """
    k_x, k_e = jax.random.split(key)
    x = jax.random.laplace(k_x, shape)
    return radius * x / (jnp.sum(jnp.abs(x)) + jax.random.exponential(k_e))


def extended_image(
    prior: Prior, cut: int, radius: jax.Array | float, inputs: Inputs, key: jax.Array
) -> jax.Array:
    """An image `[H, W, C]` of the extended range: `G2(G1(inputs) + v)`, `v` uniform in the l1 ball
    around the code."""
    shape = zeros(prior, (cut,))[cut].shape
    return image(prior, Variables(inputs, {cut: draw_l1_ball(key, shape, radius)}))


class Differences(flax.struct.PyTreeNode):
    """`x1 - x2` of pairs of the extended range, `[pairs, H, W, C]` each.

    Attributes:
      far: two inputs, two deviations: two images.
      near: the same inputs, two deviations: what the l1 ball adds around one image.
    """

    far: jax.Array
    near: jax.Array


def draw_differences(
    prior: Prior,
    cut: int,
    radius: jax.Array | float,
    first: Inputs,
    second: Inputs,
    key: jax.Array,
) -> Differences:
    """Draws deviations for pairs of both kinds.

    Args:
      cut: the layer that G2 begins with; the code there deviates.
      radius: r2.
      first, second: leaves `[pairs, ...]`.

    Raises:
      InputError: there is no such layer, or nothing before it.
    """
    check_cut(prior, cut)

    def one(first: Inputs, second: Inputs, key: jax.Array) -> Differences:
        keys = jax.random.split(key, 3)
        x1 = extended_image(prior, cut, radius, first, keys[0])
        other = extended_image(prior, cut, radius, second, keys[1])
        close = extended_image(prior, cut, radius, first, keys[2])
        return Differences(x1 - other, x1 - close)

    pairs = jax.tree.leaves(first)[0].shape[0]
    return jax.vmap(one)(first, second, jax.random.split(key, pairs))


def isometry_ratios(operator: LinearOperator, differences: jax.Array) -> jax.Array:
    """`|A d| / |d|` of differences `[pairs, H, W, C]`: `[pairs]`."""
    measured = operator(differences).reshape(differences.shape[0], -1)
    flat = differences.reshape(differences.shape[0], -1)
    return jnp.linalg.norm(measured, axis=-1) / jnp.linalg.norm(flat, axis=-1)

"""Lipschitz constants of G1, G2 and G (Theorem 1), from below.

The Lipschitz constant of a smooth function on a convex set is the largest singular value that its
Jacobian has there. Here it is measured at sampled points: the largest of them is a lower bound of
the constant, and nothing says how far below it is.
"""

import functools
from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from ilo_jax.priors import Inputs, Masks, Prior
from ilo_jax.theory.parts import check_cut, g1, g2, move


def spectral_norm(f: Callable, x, key: jax.Array, iterations: int = 20) -> jax.Array:
    """Largest singular value of the Jacobian `J` of `f` at `x`.

    Power iteration on `J^T J`, of which not the last vector alone is used but the best of the space
    that all of them span (Golub & Kahan's bidiagonalization): a few iterations then do where power
    iteration needs hundreds, two close singular values being the rule.

    The vector-Jacobian product `u -> J^T u` is linear in `u`, and its transpose is `v -> J v`:
    exact, and there even where a gradient is written by hand (`jax.custom_vjp`), for which
    `jax.jvp` is not.

    Args:
      f: from a pytree to a pytree.
      x: where, a pytree.
      iterations: more of them approach the value, from below.

    Returns:
      A scalar.
    """
    flat, unravel = ravel_pytree(x)
    y, pull = jax.vjp(lambda flat: ravel_pytree(f(unravel(flat)))[0], flat)
    push = jax.linear_transpose(pull, y)

    def normalize(v: jax.Array) -> tuple[jax.Array, jax.Array]:
        norm = jnp.linalg.norm(v)
        return v / jnp.where(norm > 0, norm, 1), norm

    def iterate(carry, _):
        u, v, beta = carry
        u, alpha = normalize(push((v,))[0] - beta * u)
        v, beta = normalize(pull(u)[0] - alpha * v)
        return (u, v, beta), (alpha, beta)

    v, _ = normalize(jax.random.normal(key, flat.shape))
    start = (jnp.zeros_like(y), v, jnp.float32(0))
    _, (alphas, betas) = jax.lax.scan(iterate, start, length=iterations)
    return jnp.linalg.norm(jnp.diag(alphas) + jnp.diag(betas[:-1], 1), 2)


class CutNorms(flax.struct.PyTreeNode):
    """Spectral norms of the Jacobians on both sides of a cut, at sampled points.

    Attributes:
      g1: `[samples]`, of inputs -> state; their maximum is the estimate of L1.
      g2: `[samples]`, of state -> image, at what G1 gives; of L2.
    """

    g1: jax.Array
    g2: jax.Array


@functools.partial(jax.jit, static_argnames=("cut", "iterations"))
def cut_norms(
    prior: Prior,
    cut: int,
    inputs: Inputs,
    key: jax.Array,
    free: Masks | None = None,
    iterations: int = 20,
) -> CutNorms:
    """Measures G1 and G2.

    Args:
      cut: the layer that G2 begins with.
      inputs: where, leaves `[samples, ...]`.
      key: of the vectors that the iteration starts from.
      free: masks of the inputs that are the theory's `z^k`, of one image; the others are held
        fixed. All by default.

    Raises:
      InputError: no layer before the cut, or none behind it.
    """
    check_cut(prior, cut)

    def one(inputs: Inputs, key: jax.Array) -> CutNorms:
        k_g1, k_g2 = jax.random.split(key)
        first = functools.partial(_moved, functools.partial(g1, prior, cut), inputs, free)
        second = functools.partial(g2, prior, cut, inputs)
        nowhere = jax.tree.map(jnp.zeros_like, inputs)
        return CutNorms(
            g1=spectral_norm(first, nowhere, k_g1, iterations),
            g2=spectral_norm(second, first(nowhere), k_g2, iterations),
        )

    return jax.vmap(one)(inputs, _keys(key, inputs))


@functools.partial(jax.jit, static_argnames="iterations")
def generator_norms(
    prior: Prior,
    inputs: Inputs,
    key: jax.Array,
    free: Masks | None = None,
    iterations: int = 20,
) -> jax.Array:
    """The same of G itself, inputs -> image, for CSGM's L: `[samples]`."""

    def one(inputs: Inputs, key: jax.Array) -> jax.Array:
        whole = functools.partial(_moved, functools.partial(g1, prior, prior.depth), inputs, free)
        nowhere = jax.tree.map(jnp.zeros_like, inputs)
        image = functools.partial(prior.code, prior.depth)
        return spectral_norm(lambda by: image(whole(by)), nowhere, key, iterations)

    return jax.vmap(one)(inputs, _keys(key, inputs))


def _moved(f: Callable, inputs: Inputs, free: Masks | None, by: Inputs):
    return f(move(inputs, by, free))


def _keys(key: jax.Array, inputs: Inputs) -> jax.Array:
    return jax.random.split(key, jax.tree.leaves(inputs)[0].shape[0])

"""`G = G2 o G1` (Section 2.1), as the theory has it: the two parts of any prior.

Inputs are those of one image. Those that G2 reads too, such as later latents, are held fixed in it.
"""

from typing import Any

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.priors import Inputs, Masks, Prior, State
from ilo_jax.solve.variables import Variables, compose


def g1(prior: Prior, cut: int, inputs: Inputs) -> State:
    """What layer `cut` reads: all of the state, of which the prior's code may be a part."""
    return compose(prior, Variables(inputs, {}), cut)


def g2(prior: Prior, cut: int, inputs: Inputs, state: State) -> jax.Array:
    """What layer `cut` reads -> the image `[H, W, C]`."""
    return prior.code(prior.depth, prior.layers(inputs, state, cut, prior.depth))


def check_cut(prior: Prior, cut: int) -> None:
    """Raises `InputError` unless there are layers on both sides of the cut."""
    last = prior.depth - 1
    if not 1 <= cut <= last:
        raise InputError(f"cut {cut}: expected a layer from 1 to {last}")


def draw_inputs(prior: Prior, key: jax.Array, count: int) -> Inputs:
    """Leaves `[count, ...]`, as a solver's start draws them; `InputError` unless `count >= 1`."""
    if count < 1:
        raise InputError(f"samples {count}: expected 1 or more")
    return jax.vmap(prior.starts()["random"])(jax.random.split(key, count))


def move(inputs: Inputs, by: Inputs, free: Masks | None) -> Inputs:
    """`inputs + by`, of the inputs that `free` masks; of all without."""
    if free is None:
        return jax.tree.map(jnp.add, inputs, by)

    def of_free(mask: Any, x: jax.Array, d: jax.Array) -> jax.Array:
        return jnp.where(mask, x + d, x)

    return jax.tree.map(of_free, free, inputs, by)

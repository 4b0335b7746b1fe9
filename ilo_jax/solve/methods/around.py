"""Methods that stay near variables that are given, such as those of an earlier image."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.priors import Masks, Prior
from ilo_jax.solve.method import Method, each_round
from ilo_jax.solve.variables import Variables


def around(
    prior: Prior,
    method: Method,
    layers: tuple[int, int] | None = None,
    radii_inputs: Any = None,
) -> Method:
    """The method, to be run with `initial` and `center` the variables of an earlier image: the
    inputs of some layers alone may change, in balls around that image's (Kelkar & Anastasio, 2021).

    Args:
      method: any; its radii are of the deviations from those of the earlier image.
      layers: `(start, stop)` of the layers that may change; all by default.
      radii_inputs: l1 radii, as `Method.create` has them.

    Raises:
      InputError: no such layers.
    """
    start, stop = layers or (0, prior.depth)
    if not 0 <= start < stop <= prior.depth:
        raise InputError(f"layers {start} to {stop}: expected 0 to {prior.depth}, in order")
    read = functools.partial(_read, prior)
    changes = jax.tree.map(
        lambda inside, before, behind: inside & ~before & ~behind,
        *(read(start, stop), read(0, start), read(stop, prior.depth)),
    )
    inputs = jax.tree.map(jnp.logical_and, method.free.inputs, changes)
    v = {cut: free & (start <= cut <= stop) for cut, free in method.free.v.items()}
    rounds = method.rounds
    balls = jax.tree.map(lambda radius: each_round(radius, rounds), radii_inputs)
    return method.replace(
        free=Variables(inputs, v),
        radii=method.radii.replace(inputs=balls),
        reset=jax.tree.map(
            jnp.zeros_like, method.reset
        ),  # what the earlier image deviates by stays
    )


def _read(prior: Prior, start: int, stop: int) -> Masks:
    """All inputs that these layers read, in whatever space."""
    spaces = [prior.free(start, stop, prior.depth, space) for space in prior.spaces]
    return jax.tree.map(lambda *masks: functools.reduce(jnp.logical_or, masks), *spaces)

"""States of a run on its way: the samples of a Markov chain."""

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops import Measurement, Operator
from ilo_jax.priors import Prior
from ilo_jax.solve.method import Method
from ilo_jax.solve.reconstruct import init, steps
from ilo_jax.solve.variables import Variables


def chain(
    prior: Prior,
    operator: Operator,
    measurement: Measurement,
    key: jax.Array,
    method: Method,
    *,
    burn_in: int,
    draws: int,
    every: int = 1,
    initial: Variables | None = None,
) -> Variables:
    """The variables after `burn_in` steps and each `every` more, such as `langevin`'s: samples of
    the posterior, one behind the other dependent.

    Args:
      method: of `burn_in + draws * every` steps or more.
      draws: how many.
      initial: leaves `[B, ...]`, where to start from instead of where the method says.

    Returns:
      Leaves `[draws, B, ...]`.

    Raises:
      InputError: numbers out of range, or beyond the method's steps; as `reconstruct`.
    """
    needed = burn_in + draws * every
    if burn_in < 0 or draws < 1 or every < 1:
        raise InputError(
            f"burn_in {burn_in}, draws {draws}, every {every}: expected 0 or more, 1 or more, "
            "1 or more"
        )
    if method.max_steps is None or method.max_steps < needed:
        raise InputError(f"method of {method.max_steps} steps; expected {needed} or more")
    run = init(prior, operator, measurement, key, method, initial=initial)
    run, found = steps(run, burn_in), []
    for _ in range(draws):
        run = steps(run, every)
        found.append(run.search.x)
    return jax.tree.map(lambda *states: jnp.stack(states), *found)

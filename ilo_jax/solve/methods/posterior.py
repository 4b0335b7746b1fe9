"""The maximum of the posterior in W+, and sparse deviations from there: what is sharpest where next
to nothing is measured."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.priors import Prior
from ilo_jax.solve.losses import FOR_LPIPS, Mse, NearMean, Objective, Term
from ilo_jax.solve.method import Method
from ilo_jax.solve.methods.numbers import Numbers, join, radii_of, successive

PRIOR = 0.2
"""Weight of the prior without noise."""

NARROW = 0.125
"""Of the generator's own radii."""


def map_estimate(
    prior: Prior,
    steps: int | Sequence[int] = (70, 65, 65),
    rate: Numbers = 0.1,
    radii: Numbers | None = None,
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """W+ from the mean of W on, the likelihood and a Gaussian prior on each `w`: BRGM without VGG,
    so that it goes with any measurement, and with a weight of the prior that grows with what noise
    hides. Then ILO's rounds in narrow balls, with the same prior on what W+ they search.

    Args:
      steps: of W+, and of each round at one of the generator's usual cuts.
      rate: as a multiple of the spread of a coordinate of W (`Prior.unit`).
      radii: of the l1 ball of each round at a cut; by default an eighth of the generator's own.
      objective: by default the squared error with `NearMean`, 0.2 of it without noise.
      options: of `Method.create`.

    Raises:
      InputError: a generator without W+, or more rounds than it has cuts.
    """
    prior.check_space("w_plus")
    steps = (steps,) if isinstance(steps, int) else tuple(steps)
    cuts = prior.usual_cuts[: len(steps) - 1]
    if len(cuts) != len(steps) - 1:
        raise InputError(
            f"steps {join(steps)}: expected 1 to {1 + len(prior.usual_cuts)} numbers, of W+ and of "
            "rounds at the generator's usual cuts"
        )
    if radii is None:
        radii = [NARROW * radius for radius in radii_of(prior, cuts, None)]
    objective = objective or Mse() + PRIOR * NearMean() + NearMean(FOR_LPIPS)
    count = len(steps)
    rounds = successive(prior, steps, (0, *cuts), radii, rate, ["w_plus"] * count, [None] * count)
    named: dict[str, Any] = {"start": "mean", "constraint": "none"}
    method = Method.create(prior, rounds, objective, **named | options)
    return method.replace(rate=method.rate * jnp.asarray(prior.unit("w_plus"), jnp.float32))

"""The maximum of the posterior in W+: what is sharpest where next to nothing is measured."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from ilo_jax.priors import Prior
from ilo_jax.solve.losses import FOR_LPIPS, Mse, NearMean, Objective, Term
from ilo_jax.solve.method import Method
from ilo_jax.solve.methods.numbers import Numbers, each, single
from ilo_jax.solve.rounds import Round

PRIOR = 0.2
"""Weight of the prior without noise."""


def map_estimate(
    prior: Prior,
    steps: int | Sequence[int] = 200,
    rate: Numbers = 0.1,
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """W+ from the mean of W on, the likelihood and a Gaussian prior on each `w`: BRGM without VGG,
    so that it goes with any measurement, and with a weight of the prior that grows with what noise
    hides.

    Args:
      rate: as a multiple of the spread of a coordinate of W (`Prior.unit`).
      objective: by default the squared error with `NearMean`, 0.2 of it without noise.
      options: of `Method.create`.

    Raises:
      InputError: a generator without W+, or more numbers of steps than one.
    """
    prior.check_space("w_plus")
    (count,), (rate,) = single("map", steps), each("rate", rate, 1)
    objective = objective or Mse() + PRIOR * NearMean() + NearMean(FOR_LPIPS)
    only = Round(count, inputs=(0, prior.depth), rate=rate, noise_maps=None, space="w_plus")
    named: dict[str, Any] = {"start": "mean", "constraint": "none"}
    method = Method.create(prior, [only], objective, **named | options)
    return method.replace(rate=method.rate * jnp.asarray(prior.unit("w_plus"), jnp.float32))

"""Poirier-Ginter & Lalonde (2023): W, W+, then every style, with one set of numbers for all
tasks."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from ilo_jax import lpips
from ilo_jax.errors import InputError
from ilo_jax.priors import Prior
from ilo_jax.solve.losses import Objective, PerceptualScales, Term
from ilo_jax.solve.method import Method
from ilo_jax.solve.methods.numbers import Numbers, each, join
from ilo_jax.solve.optimizers import NORMALIZED
from ilo_jax.solve.rounds import Round, constant

SPACES = ("w", "w_plus", "styles")


def robust(
    prior: Prior,
    steps: Sequence[int] = (150, 150, 150),
    rate: Numbers = (0.008, 0.002, 0.0005),
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """One `w` for all layers from the mean of W on, then one a layer (W+), then every style of
    every layer, each code moved by a fixed length a step; the last image is the result.

    Args:
      steps: of each.
      rate: lengths, as multiples of what random images spread in the space (`Prior.unit`): theirs
        are 0.08, 0.02 and 0.005 in W of a spread of 10.
      objective: by default LPIPS at many scales, `PerceptualScales`.
      options: of `Method.create`.

    Raises:
      InputError: a generator without these spaces, or numbers that do not go together.
    """
    for space in SPACES:
        prior.check_space(space)
    if len(steps) != 3:
        raise InputError(f"steps {join(steps)}: expected three numbers, of w, W+ and styles")
    rates = each("rate", rate, 3)
    whole = (0, prior.depth)
    rounds = [
        Round(count, inputs=whole, rate=r, noise_maps=None, space=space)
        for count, r, space in zip(steps, rates, SPACES, strict=True)
    ]
    named: dict[str, Any] = {"start": "mean", "constraint": "none", "ramp": constant}
    named |= {"optimizer": NORMALIZED, "keep": "last"}
    objective = objective or PerceptualScales(lpips.load("vgg"))
    method = Method.create(prior, rounds, objective, **named | options)
    units = jnp.stack([jnp.asarray(prior.unit(space), jnp.float32) for space in SPACES])
    return method.replace(rate=method.rate * units)

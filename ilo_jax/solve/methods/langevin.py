"""Noise in each step: SGILO's (Daras et al., 2022), and Langevin dynamics of the posterior."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ilo_jax import lpips
from ilo_jax.errors import InputError
from ilo_jax.priors import Prior
from ilo_jax.solve.losses import (
    Likelihood,
    Objective,
    PerceptualEnlarged,
    Regularizer,
    Term,
    usual_objective,
)
from ilo_jax.solve.method import Method
from ilo_jax.solve.methods.numbers import Numbers, each, join, single, successive
from ilo_jax.solve.optimizers import DESCENT
from ilo_jax.solve.rounds import Round, constant


def sgilo(
    prior: Prior,
    steps: Sequence[int] = (300, 300, 300),
    cuts: Sequence[int] | None = None,
    rate: Numbers = 0.05,
    noise: Numbers = 0.025,
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """ILO's rounds without balls: Adam, then Gaussian noise on latents and codes, then the
    spheres; the last image is the result. A heuristic: noise of a fixed size behind Adam samples
    from no posterior that is known. A score that was learned is a term (`Score`).

    Args:
      cuts: of each round, 0 for CSGM's; by default 0 and each layer, as theirs.
      noise: standard deviation a step.
      objective: by default the squared error, 0.05 LPIPS, geodesic distance.
      options: of `Method.create`.

    Raises:
      InputError: numbers that do not go together.
    """
    if cuts is None:
        cuts = range(len(steps))
    if len(cuts) != len(steps) or not all(0 <= cut <= prior.depth for cut in cuts):
        raise InputError(
            f"cuts {join(cuts)}: expected numbers from 0 to {prior.depth}, {len(steps)} of them"
        )
    infinite, spaces = float("inf"), [None] * len(steps)
    maps = range(-2, len(steps) - 2)  # theirs begin with one noise map, ILO's with five
    rounds = successive(prior, steps, cuts, infinite, rate, spaces, maps)
    rounds = [
        dataclasses.replace(r, noise=std)
        for r, std in zip(rounds, each("noise", noise, len(steps)), strict=True)
    ]
    if objective is None:
        objective = usual_objective(prior) + 0.05 * PerceptualEnlarged(lpips.load("vgg"))
    named: dict[str, Any] = {"ramp": constant, "keep": "last"}
    return Method.create(prior, rounds, objective, **named | options)


def langevin(
    prior: Prior,
    steps: int | Sequence[int] = 1000,
    rate: Numbers = 1e-5,
    objective: Term | Objective | None = None,
    space: str | None = None,
    **options: Any,
) -> Method:
    """A Markov chain whose states are, behind its burn-in, samples of the posterior of the inputs:
    `x - rate grad U(x) + sqrt(2 rate) n`, `U` the sum of the negative logarithms of likelihood and
    prior. No momentum, ramp, projection or keeping of the best. Noise maps stay as they were drawn.
    `solve.chain` keeps states on the way; restarts are chains of their own.

    Args:
      steps: all of them burn-in but the last, whose state is the result.
      rate: below 2 over the largest curvature of `U`, or the chain diverges.
      objective: `U`, by default for standard normal inputs (`squared_norm`) and an operator that
        knows its noise.
      space: which of `Prior.spaces`.
      options: of `Method.create`.

    Raises:
      InputError: more numbers of steps than one; a generator without a `squared_norm`.
    """
    (count,), (rate,) = single("langevin", steps), each("rate", rate, 1)
    if objective is None:
        objective = Likelihood() + 0.5 * Regularizer("squared_norm")
    only = Round(
        count,
        inputs=(0, prior.depth),
        rate=rate,
        noise_maps=None,
        space=space,
        noise=(2 * rate) ** 0.5,
    )
    named: dict[str, Any] = {"constraint": "none", "ramp": constant, "optimizer": DESCENT}
    named |= {"keep": "last", "sna": False}
    given = {name: value for name, value in options.items() if value is not None}
    return Method.create(prior, [only], objective, **named | given)

"""Marinescu, Moyer & Golland (2020): the maximum a posteriori in W+."""

from collections.abc import Sequence
from typing import Any

from ilo_jax import lpips
from ilo_jax.priors import Prior
from ilo_jax.solve.losses import Mse, Objective, PerceptualEnlarged, Regularizer, Term
from ilo_jax.solve.method import Method
from ilo_jax.solve.methods.numbers import Numbers, single
from ilo_jax.solve.methods.posterior import map_estimate
from ilo_jax.solve.rounds import constant

PIXELS = 0.001 * 127.5**2
"""Theirs is of pixels from 0 to 255."""

PERCEPTUAL = 1e7 / 7_995_392
"""Theirs is of the mean over so many features, those of VGG16 at 256 px; LPIPS is the sum."""


def brgm(
    prior: Prior,
    steps: int | Sequence[int] = 500,
    rate: Numbers = 0.23,
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """W+ from the mean of W on: a Gaussian prior on each `w`, and on the angles between them, the
    likelihood of pixels and of VGG's features; the last image is the result.

    Args:
      rate: as a multiple of the spread of a coordinate of W (`Prior.unit`); theirs is 0.1 where
        that is 0.44.
      objective: by default theirs.
      options: of `Method.create`.

    Raises:
      InputError: a generator without W+, or more numbers of steps than one.
    """
    prior.check_space("w_plus")
    steps = single("brgm", steps)
    if objective is None:
        likelihood = PIXELS * Mse() + PERCEPTUAL * PerceptualEnlarged(lpips.load("vgg"))
        objective = likelihood + 100 * Regularizer("w_gaussian") + 0.1 * Regularizer("w_cosine")
    named: dict[str, Any] = {"ramp": constant, "keep": "last"}
    return map_estimate(prior, steps, rate, objective=objective, **named | options)

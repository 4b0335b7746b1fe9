"""Marinescu, Moyer & Golland (2020): the maximum a posteriori in W+."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from ilo_jax import lpips
from ilo_jax.priors import Prior
from ilo_jax.solve.losses import Mse, Objective, PerceptualEnlarged, Regularizer, Term
from ilo_jax.solve.method import Method
from ilo_jax.solve.methods.numbers import Numbers, each, single
from ilo_jax.solve.rounds import Round, constant

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
    (count,), (rate,) = single("brgm", steps), each("rate", rate, 1)
    if objective is None:
        likelihood = PIXELS * Mse() + PERCEPTUAL * PerceptualEnlarged(lpips.load("vgg"))
        objective = likelihood + 100 * Regularizer("w_gaussian") + 0.1 * Regularizer("w_cosine")
    only = Round(count, inputs=(0, prior.depth), rate=rate, noise_maps=None, space="w_plus")
    named: dict[str, Any] = {"start": "mean", "constraint": "none", "ramp": constant}
    named["keep"] = "last"
    method = Method.create(prior, [only], objective, **named | options)
    return method.replace(rate=method.rate * jnp.asarray(prior.unit("w_plus"), jnp.float32))

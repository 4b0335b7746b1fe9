"""What the paper compares ILO with: CSGM, PULSE, Dhar et al., StyleGAN2's projector."""

from collections.abc import Sequence
from typing import Any

from ilo_jax import lpips
from ilo_jax.errors import InputError
from ilo_jax.priors import Prior
from ilo_jax.solve.losses import Mse, Objective, Perceptual, Regularizer, Term
from ilo_jax.solve.method import Method
from ilo_jax.solve.methods.ilo import ilo
from ilo_jax.solve.methods.numbers import Numbers, each, join, radii_of, single
from ilo_jax.solve.rounds import Round, projector_ramp, pulse_ramp


def csgm(
    prior: Prior,
    steps: int | Sequence[int] = 400,
    rate: Numbers = 0.1,
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """The inputs only (Bora et al., 2017; Algorithm 1, line 1), kept as the generator says."""
    return ilo(prior, single("csgm", steps), [0], rate=rate, objective=objective, **options)


def dhar(
    prior: Prior,
    steps: Sequence[int] = (200, 200),
    radii: Numbers | None = 300.0,
    rate: Numbers = 0.1,
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """CSGM's solution, then the inputs together with a sparse deviation of the image (Dhar et al.,
    2018)."""
    if len(steps) != 2:
        raise InputError(f"steps {join(steps)}: expected two numbers, of inputs and of both")
    whole, rates = (0, prior.depth), each("rate", rate, 2)
    (radius,) = radii_of(prior, [prior.depth], radii)
    rounds = [
        Round(steps[0], inputs=whole, rate=rates[0]),
        Round(steps[1], inputs=whole, deviation=prior.depth, radius=radius, rate=rates[1]),
    ]
    return Method.create(prior, rounds, objective, **options)


PULSE_MSE = Mse(floor=8e-3)
"""PULSE's floor of 2e-3, of images in [0, 1], which make squared errors a quarter of ours."""


def pulse(
    prior: Prior,
    steps: int | Sequence[int] = 100,
    rate: Numbers = 0.4,
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """CSGM with PULSE's numbers (Menon et al., 2020), for squared errors of ours."""
    objective = objective or 25 * PULSE_MSE + 0.05 * Regularizer("geocross_w")
    named = {"start": "silent", "ramp": pulse_ramp}
    return csgm(prior, single("pulse", steps), rate, objective, **named | options)


def projector(
    prior: Prior,
    steps: int | Sequence[int] = 1000,
    rate: Numbers = 0.1,
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """StyleGAN2's projector (Karras et al., 2020, appendix D): one `w` for all layers from the mean
    of W on, explored with noise, all noise maps, LPIPS."""
    (count,) = single("projector", steps)
    if objective is None:
        objective = Perceptual(lpips.load("vgg")) + 1e5 * Regularizer("noise_correlation")
    (rate,) = each("rate", rate, 1)
    whole = (0, prior.depth)
    only = Round(count, inputs=whole, rate=rate, noise_maps=prior.depth, space="w")
    named: dict[str, Any] = {"start": "mean", "ramp": projector_ramp, "exploration": 0.05}
    named |= {"constraint": "white"}
    return Method.create(prior, [only], objective, **named | options)

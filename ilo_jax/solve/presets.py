"""ILO and what the paper compares it with: methods by name, each a few rounds.

A new method is one function and one row of the table, and one in the tests.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from ilo_jax import lpips
from ilo_jax.errors import InputError
from ilo_jax.priors import Prior
from ilo_jax.solve.method import Method, Round
from ilo_jax.solve.objective import Objective, Term
from ilo_jax.solve.ramps import projector_ramp, pulse_ramp
from ilo_jax.solve.terms import Mse, Perceptual, Regularizer

Numbers = float | Sequence[float]
"""One for all rounds, or one for each."""


def ilo(
    prior: Prior,
    steps: Sequence[int] | None = None,
    cuts: Sequence[int] | None = None,
    radii: Numbers | None = None,
    rate: Numbers = 0.1,
    objective: Term | Objective | None = None,
    space: str | None = None,
    **options: Any,
) -> Method:
    """Intermediate Layer Optimization over successive layers (Section 4): CSGM's solution, then in
    each round a deviation deeper down and the inputs of `G2`.

    Args:
      steps: of each round; by default 100 in each of four, or as many as there are cuts.
      cuts: of each round, in any order and as often as wanted; 0 is CSGM's round. By default 0 and
        the generator's usual ones, `StyleGAN2`'s in front of each block.
      radii: of the l1 ball of each round with a deviation; by default the generator's own, which
        grow with what is measured.
      rate: learning rate.
      space: which of `Prior.spaces` is searched.
      options: of `Method.create`.

    Raises:
      InputError: more rounds than cuts, numbers that do not go with them.
    """
    usual = (0, *prior.usual_cuts)
    if steps is None:
        steps = (100,) * (len(cuts) if cuts is not None else min(4, len(usual)))
    if cuts is None:
        if len(steps) > len(usual):
            raise InputError(
                f"steps {_join(steps)}: expected at most {len(usual)} numbers, one for each usual "
                "cut of the generator, or cuts"
            )
        cuts = usual[: len(steps)]
    if len(cuts) != len(steps) or not all(0 <= cut <= prior.depth for cut in cuts):
        raise InputError(
            f"cuts {_join(cuts)}: expected numbers from 0 to {prior.depth}, {len(steps)} of them"
        )
    rounds = _successive(prior, steps, cuts, radii, rate, [space] * len(steps), range(len(steps)))
    return Method.create(prior, rounds, objective, **options)


def ilo_from_mean(
    prior: Prior,
    steps: Sequence[int] = (100, 100, 100, 100),
    cuts: Sequence[int] | None = None,
    radii: Numbers | None = None,
    rate: Numbers = 0.06,
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """ILO from the mean of W on: one `w` for all layers, then W+ (the first two phases of
    Poirier-Ginter & Lalonde, 2023), then ILO's rounds in W+. For measurements so few that a random
    start is worse than the mean.

    Args:
      steps: of `w`, of W+, and of each round at a cut.
      cuts: of those rounds; by default the generator's usual ones.
      radii: of their balls, as for `ilo`.
      rate: learning rates, as multiples of the spread of a coordinate of W (`Prior.unit`).

    Raises:
      InputError: a generator without W, or numbers that do not go together.
    """
    for space in ("w", "w_plus"):
        prior.check_space(space)
    if len(steps) < 2:
        raise InputError(f"steps {_join(steps)}: expected two numbers or more, of w, of W+, ...")
    if cuts is None:
        cuts = prior.usual_cuts[: len(steps) - 2]
    if len(cuts) != len(steps) - 2 or not all(1 <= cut <= prior.depth for cut in cuts):
        raise InputError(
            f"cuts {_join(cuts)}: expected numbers from 1 to {prior.depth}, {len(steps) - 2} of "
            "them, two less than steps"
        )
    spaces = ("w", *["w_plus"] * (len(steps) - 1))
    maps = (0, *range(len(steps) - 1))
    rounds = _successive(prior, steps, (0, 0, *cuts), radii, rate, spaces, maps)
    named: dict[str, Any] = {"start": "mean", "constraint": "none"}
    method = Method.create(prior, rounds, objective, **named | options)
    return method.replace(rate=method.rate * jnp.asarray(prior.unit("w"), jnp.float32))


def csgm(
    prior: Prior,
    steps: int | Sequence[int] = 400,
    rate: Numbers = 0.1,
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """The inputs only (Bora et al., 2017; Algorithm 1, line 1), kept as the generator says."""
    return ilo(prior, _one("csgm", steps), [0], rate=rate, objective=objective, **options)


def algorithm_1(
    prior: Prior,
    steps: Sequence[int] = (100, 60, 40, 60, 40, 60, 40),
    cuts: Sequence[int] | None = None,
    radii: Numbers | None = 1000.0,
    rate: Numbers = 0.1,
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """Algorithm 1 as printed: CSGM's solution, then alternately the best code in a ball, all else
    fixed, and the projection back to the range of `G1`.

    Args:
      steps: of CSGM's solution (line 1), then for each repetition of line 4 and of line 5.
      cuts: of each repetition; by default the second usual one in all of them.
      radii: of the balls of line 4.

    Raises:
      InputError: numbers of steps and cuts do not match.
    """
    if len(steps) % 2 == 0:
        raise InputError(f"steps {_join(steps)}: expected one number, then two a repetition")
    repetitions = len(steps) // 2
    if cuts is None:
        cuts = [prior.usual_cuts[:2][-1]] * repetitions
    if len(cuts) != repetitions or not all(1 <= cut <= prior.depth for cut in cuts):
        raise InputError(
            f"cuts {_join(cuts)}: expected numbers from 1 to {prior.depth}, {repetitions} of them"
        )
    rates = _each("rate", rate, len(steps))
    rounds = [Round(steps[0], inputs=(0, prior.depth), rate=rates[0])]
    for r, (cut, radius) in enumerate(zip(cuts, radii_of(prior, cuts, radii), strict=True)):
        i = 2 * r + 1
        rounds.append(Round(steps[i], deviation=cut, radius=radius, rate=rates[i]))
        rounds.append(
            Round(steps[i + 1], inputs=(0, cut), back_to=cut, rate=rates[i + 1], noise_maps=r + 1)
        )
    return Method.create(prior, rounds, objective, **options)


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
        raise InputError(f"steps {_join(steps)}: expected two numbers, of inputs and of both")
    whole, rates = (0, prior.depth), _each("rate", rate, 2)
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
    return csgm(prior, _one("pulse", steps), rate, objective, **named | options)


def projector(
    prior: Prior,
    steps: int | Sequence[int] = 1000,
    rate: Numbers = 0.1,
    objective: Term | Objective | None = None,
    **options: Any,
) -> Method:
    """StyleGAN2's projector (Karras et al., 2020, appendix D): one `w` for all layers from the mean
    of W on, explored with noise, all noise maps, LPIPS."""
    (count,) = _one("projector", steps)
    if objective is None:
        objective = Perceptual(lpips.load("vgg")) + 1e5 * Regularizer("noise_correlation")
    (rate,) = _each("rate", rate, 1)
    whole = (0, prior.depth)
    only = Round(count, inputs=whole, rate=rate, noise_maps=prior.depth, space="w")
    named: dict[str, Any] = {"start": "mean", "ramp": projector_ramp, "exploration": 0.05}
    named |= {"constraint": "white"}
    return Method.create(prior, [only], objective, **named | options)


@dataclasses.dataclass(frozen=True)
class Preset:
    """A row of the table.

    Attributes:
      make: `(prior, steps=, rate=, objective=, ...) -> Method`.
      help: what is optimized and who proposed it, one line.
      steps, rate, radii: as `make` has them by default, for help; None for the generator's.
      has_radii: whether there are balls of deviations.
      cuts: whether other cuts can be asked for.
      terms: of the objective, by name, where they are not as in `TERMS`.
    """

    make: Callable[..., Method]
    help: str
    steps: tuple[int, ...]
    rate: float = 0.1
    radii: float | None = None
    has_radii: bool = False
    cuts: bool = False
    terms: Mapping[str, Callable[[], Term]] = dataclasses.field(default_factory=dict)


PRESETS: Mapping[str, Preset] = {
    "ilo": Preset(
        ilo,
        "Intermediate Layer Optimization over successive layers (Section 4)",
        (100, 100, 100, 100),
        has_radii=True,
        cuts=True,
    ),
    "ilo-mean": Preset(
        ilo_from_mean,
        "ILO from the mean of W: one w, then W+, then rounds at the cuts",
        (100, 100, 100, 100),
        rate=0.06,
        has_radii=True,
        cuts=True,
    ),
    "ilo-range": Preset(
        algorithm_1,
        "Algorithm 1 as printed: balls around the range of G1 and projections back to it",
        (100, 60, 40, 60, 40, 60, 40),
        radii=1000.0,
        has_radii=True,
        cuts=True,
    ),
    "csgm": Preset(csgm, "inputs only (Bora et al., 2017, with PULSE's sphere)", (400,)),
    "pulse": Preset(
        pulse,
        "the same with PULSE's numbers (Menon et al., 2020)",
        (100,),
        0.4,
        terms={"mse": lambda: PULSE_MSE},
    ),
    "dhar": Preset(
        dhar,
        "inputs and sparse deviations of the image, in an l1 ball (Dhar et al., 2018)",
        (200, 200),
        radii=300.0,
        has_radii=True,
    ),
    "projector": Preset(
        projector,
        "StyleGAN2's projector: one w, all noise maps, LPIPS (Karras et al., 2020)",
        (1000,),
    ),
}
"""By the name on the command line."""


def radii_of(prior: Prior, cuts: Sequence[int], radii: Numbers | None) -> list[float]:
    """l1 radii of deviations at these cuts: given, or the generator's own."""
    if radii is None:
        return [prior.facts.radius(cut) for cut in cuts]
    return _each("radii", radii, len(cuts))


def _successive(
    prior: Prior,
    steps: Sequence[int],
    cuts: Sequence[int],
    radii: Numbers | None,
    rate: Numbers,
    spaces: Sequence[str | None],
    maps: Sequence[int],
) -> list[Round]:
    """Rounds that free the inputs of `G2` and, at a cut that is not 0, the deviation there, in a
    ball that grows if it is the generator's own."""
    each = iter(radii_of(prior, [cut for cut in cuts if cut], radii))
    rates = _each("rate", rate, len(steps))
    return [
        Round(
            count,
            inputs=(cut, prior.depth),
            deviation=cut or None,
            radius=next(each) if cut else math.inf,
            growth=prior.facts.growth if cut and radii is None else 0.0,
            rate=r,
            noise_maps=index,
            space=space,
        )
        for count, cut, r, space, index in zip(steps, cuts, rates, spaces, maps, strict=True)
    ]


def _each(what: str, values: Numbers, count: int) -> list[float]:
    values = [values] if isinstance(values, int | float) else list(values)
    if len(values) not in (1, count):
        raise InputError(
            f"{what} {_join(values)}: expected one number, or one for each of {count} rounds"
        )
    return [float(v) for v in values] * (count if len(values) == 1 else 1)


def _one(what: str, steps: int | Sequence[int]) -> tuple[int, ...]:
    steps = (steps,) if isinstance(steps, int) else tuple(steps)
    if len(steps) != 1:
        raise InputError(f"steps {_join(steps)}: expected one number, since {what} is one round")
    return steps


def _join(values: Sequence[float]) -> str:
    return ",".join(f"{v:g}" for v in values)

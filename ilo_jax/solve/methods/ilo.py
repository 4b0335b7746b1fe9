"""Intermediate Layer Optimization, and Algorithm 1 as it is printed."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.priors import Prior
from ilo_jax.solve.losses import Objective, Term
from ilo_jax.solve.method import Method
from ilo_jax.solve.methods.numbers import Numbers, each, join, radii_of, successive
from ilo_jax.solve.rounds import Round


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
                f"steps {join(steps)}: expected at most {len(usual)} numbers, one for each usual "
                "cut of the generator, or cuts"
            )
        cuts = usual[: len(steps)]
    if len(cuts) != len(steps) or not all(0 <= cut <= prior.depth for cut in cuts):
        raise InputError(
            f"cuts {join(cuts)}: expected numbers from 0 to {prior.depth}, {len(steps)} of them"
        )
    rounds = successive(prior, steps, cuts, radii, rate, [space] * len(steps), range(len(steps)))
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
        raise InputError(f"steps {join(steps)}: expected two numbers or more, of w, of W+, ...")
    if cuts is None:
        cuts = prior.usual_cuts[: len(steps) - 2]
    if len(cuts) != len(steps) - 2 or not all(1 <= cut <= prior.depth for cut in cuts):
        raise InputError(
            f"cuts {join(cuts)}: expected numbers from 1 to {prior.depth}, {len(steps) - 2} of "
            "them, two less than steps"
        )
    spaces = ("w", *["w_plus"] * (len(steps) - 1))
    maps = (0, *range(len(steps) - 1))
    rounds = successive(prior, steps, (0, 0, *cuts), radii, rate, spaces, maps)
    named: dict[str, Any] = {"start": "mean", "constraint": "none"}
    method = Method.create(prior, rounds, objective, **named | options)
    return method.replace(rate=method.rate * jnp.asarray(prior.unit("w"), jnp.float32))


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
        raise InputError(f"steps {join(steps)}: expected one number, then two a repetition")
    repetitions = len(steps) // 2
    if cuts is None:
        cuts = [prior.usual_cuts[:2][-1]] * repetitions
    if len(cuts) != repetitions or not all(1 <= cut <= prior.depth for cut in cuts):
        raise InputError(
            f"cuts {join(cuts)}: expected numbers from 1 to {prior.depth}, {repetitions} of them"
        )
    rates = each("rate", rate, len(steps))
    rounds = [Round(steps[0], inputs=(0, prior.depth), rate=rates[0])]
    for r, (cut, radius) in enumerate(zip(cuts, radii_of(prior, cuts, radii), strict=True)):
        i = 2 * r + 1
        rounds.append(Round(steps[i], deviation=cut, radius=radius, rate=rates[i]))
        rounds.append(
            Round(steps[i + 1], inputs=(0, cut), back_to=cut, rate=rates[i + 1], noise_maps=r + 1)
        )
    return Method.create(prior, rounds, objective, **options)

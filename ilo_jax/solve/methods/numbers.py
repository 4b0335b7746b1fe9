"""Steps, radii and rates of rounds from what was given, and rounds that go deeper one by one."""

import math
from collections.abc import Sequence

from ilo_jax.errors import InputError
from ilo_jax.priors import Prior
from ilo_jax.solve.rounds import Round

Numbers = float | Sequence[float]
"""One for all rounds, or one for each."""


def radii_of(prior: Prior, cuts: Sequence[int], radii: Numbers | None) -> list[float]:
    """l1 radii of deviations at these cuts: given, or the generator's own."""
    if radii is None:
        return [prior.facts.radius(cut) for cut in cuts]
    return each("radii", radii, len(cuts))


def successive(
    prior: Prior,
    steps: Sequence[int],
    cuts: Sequence[int],
    radii: Numbers | None,
    rate: Numbers,
    spaces: Sequence[str | None],
    maps: Sequence[int | None],
) -> list[Round]:
    """Rounds that free the inputs of `G2` and, at a cut that is not 0, the deviation there, in a
    ball that grows if it is the generator's own."""
    balls = iter(radii_of(prior, [cut for cut in cuts if cut], radii))
    rates = each("rate", rate, len(steps))
    return [
        Round(
            count,
            inputs=(cut, prior.depth),
            deviation=cut or None,
            radius=next(balls) if cut else math.inf,
            growth=prior.facts.growth if cut and radii is None else 0.0,
            rate=r,
            noise_maps=index,
            space=space,
        )
        for count, cut, r, space, index in zip(steps, cuts, rates, spaces, maps, strict=True)
    ]


def each(what: str, values: Numbers, count: int) -> list[float]:
    """One for each of `count` rounds.

    Raises:
      InputError: neither one number nor so many.
    """
    values = [values] if isinstance(values, int | float) else list(values)
    if len(values) not in (1, count):
        raise InputError(
            f"{what} {join(values)}: expected one number, or one for each of {count} rounds"
        )
    return [float(v) for v in values] * (count if len(values) == 1 else 1)


def single(what: str, steps: int | Sequence[int]) -> tuple[int, ...]:
    """The steps of a method of one round.

    Raises:
      InputError: more numbers than one.
    """
    steps = (steps,) if isinstance(steps, int) else tuple(steps)
    if len(steps) != 1:
        raise InputError(f"steps {join(steps)}: expected one number, since {what} is one round")
    return steps


def join(values: Sequence[float]) -> str:
    """As they are given on the command line."""
    return ",".join(f"{v:g}" for v in values)

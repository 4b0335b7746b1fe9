"""A round, as data: what is free, how large the balls are, how long and how fast; and its ramps,
the factors on its learning rate at the fraction `t` in [0, 1) of it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.priors import Prior
from ilo_jax.solve.variables import check_cuts


@dataclasses.dataclass(frozen=True)
class Round:
    """One round of Algorithm 1, or of a method like it.

    Attributes:
      steps: how many.
      inputs: `(start, stop)`: the inputs of these layers are free; None for none.
      deviation: the cut whose `v` is free; None for none.
      radius: of `v`'s l1 ball around its value at the start of the round (line 4).
      growth: how the radius grows with what the measurement determines (`priors.growth_factor`).
      back_to: a cut: the inputs are moved so that `G1` of them is nearest to the code found there,
        and `v = 0` (line 5); no measurement is looked at. None where one is.
      rate: learning rate, at the top of the ramp.
      noise_maps: which round of ILO's this is, for the noise maps that it searches; None for none.
      space: which of `Prior.spaces` the inputs are searched in; the first by default.
      noise: standard deviation of the Gaussian noise that a step adds to what is searched; not to
        noise maps.
    """

    steps: int
    inputs: tuple[int, int] | None = None
    deviation: int | None = None
    radius: float = math.inf
    growth: float = 0.0
    back_to: int | None = None
    rate: float = 0.1
    noise_maps: int | None = 0
    space: str | None = None
    noise: float = 0.0

    @property
    def depth(self) -> int:
        """How deep the round cuts: deviations of a round before it that lie deeper end here."""
        return self.deviation or self.back_to or 0


def resets(rounds: Sequence[Round], cut: int) -> list[bool]:
    """The rounds that begin with `v = 0` at a cut: those that go back to its range, or to an
    earlier cut after a round of this run has been there."""
    visited, found = False, []
    for r in rounds:
        found.append(visited and (cut > r.depth or r.back_to == cut))
        visited = (visited and not found[-1]) or r.deviation == cut
    return found


def check_rounds(
    prior: Prior, rounds: Sequence[Round], constraint: str | None, start: str, keep: str
) -> None:
    """Whether they go together, and with the generator.

    Raises:
      InputError: as `Method.create`.
    """
    steps = ",".join(str(r.steps) for r in rounds)
    if not rounds or min(r.steps for r in rounds) < 0 or not any(r.steps for r in rounds):
        raise InputError(f"steps {steps}: expected positive numbers, one a round")
    check_cuts(prior, (cut for r in rounds for cut in (r.deviation, r.back_to) if cut is not None))
    for r in rounds:
        start_layer, stop_layer = r.inputs or (0, 0)
        if not 0 <= start_layer <= stop_layer <= prior.depth:
            raise InputError(
                f"inputs of layers {start_layer} to {stop_layer}: expected 0 to {prior.depth}"
            )
        if not r.radius >= 0:
            raise InputError(f"radius {r.radius:g}: expected 0 or more, inf for no ball")
        if not 0 <= r.growth < math.inf:
            raise InputError(f"growth {r.growth:g}: expected 0 or more")
        if not 0 <= r.rate < math.inf:
            raise InputError(f"rate {r.rate:g}: expected 0 or more")
        if not 0 <= r.noise < math.inf:
            raise InputError(f"noise {r.noise:g}: expected 0 or more")
    _named("constraint", constraint, prior.constraints())
    _named("start", start, prior.starts())
    _named("keep", keep, {"best": None, "last": None})


def _named(what: str, name: str | None, table: Mapping[str, Any]) -> None:
    if name is not None and name not in table:
        raise InputError(f"{what} {name}: expected one of {', '.join(table)}")


def ilo_ramp(t: jax.Array) -> jax.Array:
    """Linear ramp-up over the first 5 %, cosine ramp-down over the last 75 %."""
    return _ramp(t, 0.75)


def projector_ramp(t: jax.Array) -> jax.Array:
    """The same with a ramp-down over the last 25 % (Karras et al., 2020, appendix D)."""
    return _ramp(t, 0.25)


def pulse_ramp(t: jax.Array) -> jax.Array:
    """PULSE's: from a tenth up to 1 at 45 %, back at 90 %, then down to a thousandth."""
    cycle = 0.1 + 0.9 * (1 - jnp.abs(2 * t / 0.9 - 1))
    return jnp.where(t < 0.9, cycle, 0.1 + (t - 0.9) / 0.1 * (0.001 - 0.1))


def quick_ramp(t: jax.Array) -> jax.Array:
    """For rounds of few steps: no ramp-up, whose first step goes nowhere; cosine ramp-down over the
    second half."""
    return _down(t, 0.5)


def constant(t: jax.Array) -> jax.Array:
    """No ramp."""
    return jnp.ones_like(t)


def _ramp(t: jax.Array, rampdown: float) -> jax.Array:
    return jnp.minimum(t / 0.05, 1.0) * _down(t, rampdown)


def _down(t: jax.Array, rampdown: float) -> jax.Array:
    return 0.5 - 0.5 * jnp.cos(jnp.pi * jnp.minimum(1.0, (1.0 - t) / rampdown))

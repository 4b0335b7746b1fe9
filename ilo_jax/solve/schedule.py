"""What a run does: its rounds (static) and its numbers (arrays, which a sweep may vary)."""

import dataclasses
from collections.abc import Callable, Sequence

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.solve.cuts import Cut, RangeProjection
from ilo_jax.solve.spaces import Sphere
from ilo_jax.stylegan2 import GeneratorConfig


@dataclasses.dataclass(frozen=True)
class Round:
    """One round: so many optimization steps at a cut."""

    cut: Cut
    steps: int


def ilo_ramp(t: jax.Array) -> jax.Array:
    """Factor on the learning rate at the fraction `t` in [0, 1) of a round: linear ramp-up over
    the first 5 %, cosine ramp-down over the last 75 %."""
    return _ramp(t, 0.75)


def projector_ramp(t: jax.Array) -> jax.Array:
    """The same with a ramp-down over the last 25 % (Karras et al., 2020, appendix D)."""
    return _ramp(t, 0.25)


def pulse_ramp(t: jax.Array) -> jax.Array:
    """PULSE's: from a tenth up to 1 at 45 %, back at 90 %, then down to a thousandth."""
    cycle = 0.1 + 0.9 * (1 - jnp.abs(2 * t / 0.9 - 1))
    return jnp.where(t < 0.9, cycle, 0.1 + (t - 0.9) / 0.1 * (0.001 - 0.1))


def _ramp(t: jax.Array, rampdown: float) -> jax.Array:
    down = 0.5 - 0.5 * jnp.cos(jnp.pi * jnp.minimum(1.0, (1.0 - t) / rampdown))
    return jnp.minimum(t / 0.05, 1.0) * down


@dataclasses.dataclass(frozen=True)
class Search:
    """How all rounds of a run search.

    Attributes:
      space: where latents and noise maps live.
      ramp: factor on the learning rate, of the fraction of a round that is done.
      sna: Stochastic Noise Addition (Section 4.2): generated images get the operator's noise
        before they enter the loss.
    """

    space: Sphere = dataclasses.field(default_factory=Sphere)
    ramp: Callable[[jax.Array], jax.Array] = ilo_ramp
    sna: bool = False


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The static part of a run: its rounds in order, and how they search.

    Raises:
      InputError: a projection back to the range that does not follow a round at its cut.
    """

    rounds: tuple[Round, ...]
    search: Search = Search()

    def __post_init__(self):
        cuts = [r.cut for r in self.rounds]
        for before, cut in zip([None, *cuts], cuts, strict=False):
            if isinstance(cut, RangeProjection) and (before is None or before.layer != cut.layer):
                raise InputError(
                    f"projection back to layer {cut.layer}: expected a round there before it"
                )

    @property
    def coded(self) -> list[bool]:
        """`[rounds]`, whether a code is optimized, in its l1 ball."""
        return [r.cut.has_code for r in self.rounds]


def ilo_schedule(
    config: GeneratorConfig,
    steps: Sequence[int],
    layers: Sequence[int] | None = None,
    search: Search = Search(),
) -> Schedule:
    """ILO in the form of Section 4.1: a round's solution is where the next one starts.

    Args:
      steps: of each round.
      layers: the cut of each round, in any order and as often as wanted; 0 is CSGM's solution,
        `num_layers` the image itself. By default round r cuts before block r. Round r optimizes
        the first 5 + 2 r noise maps.

    Raises:
      InputError: more rounds than blocks, a layer that is not there, or a round without steps.
    """
    _check_steps(steps)
    if layers is None:
        if len(steps) > config.num_blocks:
            raise InputError(
                f"steps {_join(steps)}: expected at most {config.num_blocks} numbers, one for "
                "each block of the generator, or layers"
            )
        layers = [config.block_start(r) for r in range(len(steps))]
    _check_layers(config, steps, layers)
    cuts = [Cut(layer, _noise_maps(config, r)) for r, layer in enumerate(layers)]
    return Schedule(tuple(map(Round, cuts, steps)), search)


def algorithm_1(
    config: GeneratorConfig,
    steps: Sequence[int],
    layers: Sequence[int] | None = None,
    search: Search = Search(),
) -> Schedule:
    """Algorithm 1 as printed: CSGM's solution, then alternately the best code in a ball and the
    projection back to the range.

    Args:
      steps: of CSGM's solution (line 1), then for each repetition of line 4 and of line 5.
      layers: the cut of each repetition; by default before block 2 in all of them.

    Raises:
      InputError: numbers of steps and layers do not match, a layer is not there.
    """
    _check_steps(steps)
    if len(steps) % 2 == 0:
        raise InputError(f"steps {_join(steps)}: expected one number, then two a repetition")
    repetitions = steps[1::2]
    if layers is None:
        layers = [min(config.block_start(2), config.num_layers)] * len(repetitions)
    _check_layers(config, repetitions, layers)
    rounds = [Round(Cut(0, _noise_maps(config, 0)), steps[0])]
    for r, layer in enumerate(layers):
        maps = _noise_maps(config, r + 1)
        rounds.append(Round(Cut(layer, maps), steps[2 * r + 1]))
        rounds.append(Round(RangeProjection(layer, maps), steps[2 * r + 2]))
    return Schedule(tuple(rounds), search)


def _noise_maps(config: GeneratorConfig, index: int) -> int:
    return min(5 + 2 * index, config.num_layers)


def _check_steps(steps: Sequence[int]) -> None:
    if not steps or min(steps) < 1:
        raise InputError(f"steps {_join(steps)}: expected positive numbers, one a round")


def _check_layers(config: GeneratorConfig, steps: Sequence[int], layers: Sequence[int]) -> None:
    if len(layers) != len(steps) or not all(0 <= n <= config.num_layers for n in layers):
        raise InputError(
            f"layers {_join(layers)}: expected numbers from 0 to {config.num_layers}, "
            f"{len(steps)} of them"
        )


def _join(values: Sequence[int]) -> str:
    return ",".join(map(str, values))


class HyperParameters(flax.struct.PyTreeNode):
    """Numbers of a run, each of shape `[rounds]`, or `[B, rounds]` to differ by image.

    Attributes:
      learning_rate: Adam's, at the top of its ramp.
      weights: of the losses, by name; a loss without a weight is not in the program.
      radius_code, radius_latents, radius_noises: l1 balls around the start of the round
        (Algorithm 1, line 4), for the code at the cut, the latents as one vector, and each noise
        map. None leaves the projection out of the program; infinity switches a round's off.
      stop: steps, counted over all rounds, after which no image is kept any more, the same in all
        rounds; None for no early stopping.
    """

    learning_rate: jax.Array
    weights: dict[str, jax.Array]
    radius_code: jax.Array | None
    radius_latents: jax.Array | None
    radius_noises: jax.Array | None
    stop: jax.Array | None = None


def hyper_parameters(
    rounds: int,
    learning_rate: jax.typing.ArrayLike = 0.1,
    radius_code: jax.typing.ArrayLike | None = None,
    radius_latents: jax.typing.ArrayLike | None = None,
    radius_noises: jax.typing.ArrayLike | None = None,
    **weights: jax.typing.ArrayLike,
) -> HyperParameters:
    """Numbers of a run, a single one standing for every round.

    Args:
      weights: of the losses by name, `DEFAULT_WEIGHTS` where none are given.
    """

    def everywhere(value: jax.typing.ArrayLike) -> jax.Array:
        return jnp.broadcast_to(jnp.asarray(value, jnp.float32), (rounds,))

    def optional(value: jax.typing.ArrayLike | None) -> jax.Array | None:
        return None if value is None else everywhere(value)

    return HyperParameters(
        everywhere(learning_rate),
        {name: everywhere(value) for name, value in (weights or DEFAULT_WEIGHTS).items()},
        optional(radius_code),
        optional(radius_latents),
        optional(radius_noises),
    )


def of_rounds(values: Sequence[float], used: Sequence[bool]) -> jax.Array:
    """`[rounds]`: a single value, or one after the other, in the rounds that use one; infinity in
    the others."""
    each = iter(values if len(values) != 1 else [values[0]] * len(used))
    return jnp.array([next(each) if use else jnp.inf for use in used], jnp.float32)


DEFAULT_WEIGHTS = {"mse": 1.0, "geocross": 0.001}
"""The authors', without their LPIPS, and with a tenth of their geocross, which
`benchmarks/quality.py` finds worse on every task."""

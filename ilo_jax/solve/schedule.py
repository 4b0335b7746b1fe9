"""What a run does: its rounds (static) and its numbers (arrays, which a sweep may vary)."""

import dataclasses
from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.stylegan2 import GeneratorConfig


@dataclasses.dataclass(frozen=True)
class Cut:
    """Where a round cuts the generator into G1 and G2, and what it optimizes there.

    Attributes:
      layer: first synthesis layer of G2, whose input features are optimized; 0 is CSGM,
        where only latents and noise maps are.
      noise_maps: noise maps of layers below this index (and of G2) are optimized.
    """

    layer: int
    noise_maps: int


@dataclasses.dataclass(frozen=True)
class Round:
    """One round of ILO: so many optimization steps at a cut."""

    cut: Cut
    steps: int


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The static part of a run.

    Attributes:
      rounds: in order.
      sna: Stochastic Noise Addition (Section 4.2): generated images get the operator's noise
        before they enter the loss.
    """

    rounds: tuple[Round, ...]
    sna: bool = False


def ilo_schedule(config: GeneratorConfig, steps: Sequence[int], sna: bool = False) -> Schedule:
    """Rounds over successive blocks (Section 4.1): round r cuts before block r and optimizes the
    first 5 + 2 r noise maps. CSGM is the schedule of one round.

    Raises:
      InputError: more rounds than blocks, or a round without steps.
    """
    if not 1 <= len(steps) <= config.num_blocks or min(steps) < 1:
        raise InputError(
            f"steps {','.join(map(str, steps))}: expected positive numbers, one a round, "
            f"and at most {config.num_blocks} rounds (the generator's blocks)"
        )
    rounds = tuple(
        Round(Cut(config.block_start(r), min(5 + 2 * r, config.num_layers)), n)
        for r, n in enumerate(steps)
    )
    return Schedule(rounds, sna)


class HyperParameters(flax.struct.PyTreeNode):
    """Numbers of a run, each of shape `[rounds]`, or `[B, rounds]` to differ by image.

    Attributes:
      learning_rate: Adam's, at the top of its ramp.
      mse: weight of the mean squared error of the measurement.
      geocross: weight of the geodesic distance between latents.
      radius_features, radius_latents, radius_noises: l1 balls around the start of the round
        (Algorithm 1, line 4), for the feature map, the latents as one vector, and each noise
        map. None leaves the projection out of the program; infinity switches a round's off.
    """

    learning_rate: jax.Array
    mse: jax.Array
    geocross: jax.Array
    radius_features: jax.Array | None
    radius_latents: jax.Array | None
    radius_noises: jax.Array | None


def hyper_parameters(
    rounds: int,
    learning_rate: jax.typing.ArrayLike = 0.1,
    mse: jax.typing.ArrayLike = 1.0,
    geocross: jax.typing.ArrayLike = 0.001,
    radius_features: jax.typing.ArrayLike | None = None,
    radius_latents: jax.typing.ArrayLike | None = None,
    radius_noises: jax.typing.ArrayLike | None = None,
) -> HyperParameters:
    """The authors' defaults, a single number standing for every round.

    Only `geocross` is a tenth of theirs, 0.01, which `benchmarks/quality.py` finds worse on every
    task.
    """

    def of_rounds(value: jax.typing.ArrayLike) -> jax.Array:
        return jnp.broadcast_to(jnp.asarray(value, jnp.float32), (rounds,))

    def optional(value: jax.typing.ArrayLike | None) -> jax.Array | None:
        return None if value is None else of_rounds(value)

    return HyperParameters(
        of_rounds(learning_rate),
        of_rounds(mse),
        of_rounds(geocross),
        optional(radius_features),
        optional(radius_latents),
        optional(radius_noises),
    )


def ramp(t: jax.Array) -> jax.Array:
    """Factor on the learning rate at the fraction `t` in [0, 1) of a round: linear ramp-up over
    the first 5 %, cosine ramp-down over the last 75 % (StyleGAN2's projector)."""
    down = 0.5 - 0.5 * jnp.cos(jnp.pi * jnp.minimum(1.0, (1.0 - t) / 0.75))
    return jnp.minimum(t / 0.05, 1.0) * down

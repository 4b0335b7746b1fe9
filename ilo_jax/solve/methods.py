"""ILO and what the paper compares it with: presets of the one loop.

A new method is one row of the table, and one in the tests.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.solve.cuts import Cut, ExtendedRange
from ilo_jax.solve.losses import LOSSES, DeadZone, Loss, Mse, choose
from ilo_jax.solve.schedule import (
    DEFAULT_WEIGHTS,
    HyperParameters,
    Round,
    Schedule,
    Search,
    algorithm_1,
    hyper_parameters,
    ilo_schedule,
    of_rounds,
    projector_ramp,
    pulse_ramp,
)
from ilo_jax.solve.spaces import ProjectorW, SilentSphere
from ilo_jax.stylegan2 import GeneratorConfig


@dataclasses.dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
      name: on the command line.
      help: what is optimized and who proposed it, one line.
      steps: of each round, by default.
      schedule: `(config, steps, layers, search) -> Schedule`; `layers` as in `ilo_schedule`.
      cuts_freely: whether other cuts can be asked for.
      learning_rate: by default.
      weights: of the losses, by default.
      radius: l1 radius of the code in every round that has one, by default; None for no limit.
      search: the space and the ramp of the learning rate.
      losses: what is set otherwise than in `LOSSES`.
    """

    name: str
    help: str
    steps: tuple[int, ...]
    schedule: Callable[[GeneratorConfig, Sequence[int], Sequence[int] | None, Search], Schedule]
    cuts_freely: bool = False
    learning_rate: float = 0.1
    weights: Mapping[str, float] = dataclasses.field(default_factory=lambda: DEFAULT_WEIGHTS)
    radius: float | None = None
    search: Search = dataclasses.field(default_factory=Search)
    losses: Mapping[str, Callable[[], Loss]] = dataclasses.field(default_factory=dict)

    def plan(
        self,
        config: GeneratorConfig,
        steps: Sequence[int] | None = None,
        layers: Sequence[int] | None = None,
        learning_rate: Sequence[float] | None = None,
        radii: Sequence[float] | None = None,
        weights: Mapping[str, Sequence[float]] | None = None,
        tolerance: float | None = None,
        sna: bool = False,
    ) -> "Plan":
        """The method for a generator.

        Args:
          steps: of each round.
          layers: the cut of each round (of each repetition in Algorithm 1).
          learning_rate: one number, or one a round.
          radii: l1 radius of the code, one number, or one for each round that has a code.
          weights: of the losses, each one number, or one a round.
          tolerance: of the loss `dead_zone`.
          sna: Stochastic Noise Addition.

        Raises:
          InputError: numbers that do not go with the rounds, an unknown loss.
        """
        steps = self.steps if steps is None else steps
        if layers is not None and not self.cuts_freely:
            raise InputError(f"layers {_join(layers)}: {self.name} has none to choose")
        search = dataclasses.replace(self.search, sna=sna)
        schedule = self.schedule(config, steps, layers, search)
        rounds = len(schedule.rounds)
        values = {
            name: _one_a_round(f"weight of {name}", values, rounds)
            for name, values in (
                {n: [w] for n, w in self.weights.items()} if weights is None else weights
            ).items()
        }
        makers = {**LOSSES, **self.losses}
        if tolerance is not None:
            makers["dead_zone"] = lambda: DeadZone(tolerance)
        losses = {name: make() for name, make in choose(values, makers).items()}
        return Plan(
            schedule,
            hyper_parameters(
                rounds,
                _one_a_round("lr", learning_rate or [self.learning_rate], rounds),
                radius_code=self._radii(schedule, radii),
                **values,
            ),
            losses,
        )

    def _radii(self, schedule: Schedule, radii: Sequence[float] | None) -> jnp.ndarray | None:
        coded = schedule.coded
        if radii is None and self.radius is not None:
            radii = [self.radius]
        if radii is None:
            return None
        if len(radii) not in (1, sum(coded)):
            raise InputError(
                f"radii {_join(radii)}: expected one number, or one for each of {sum(coded)} "
                "rounds at a cut"
            )
        return of_rounds(radii, coded)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What `solve` takes of a method."""

    schedule: Schedule
    hyper: HyperParameters
    losses: dict[str, Loss]

    def without(self, name: str) -> "Plan":
        """Less a loss."""
        weights = {n: w for n, w in self.hyper.weights.items() if n != name}
        losses = {n: loss for n, loss in self.losses.items() if n != name}
        return Plan(self.schedule, self.hyper.replace(weights=weights), losses)


def _one_a_round(what: str, values: Sequence[float], rounds: int) -> jnp.ndarray:
    if len(values) not in (1, rounds):
        raise InputError(f"{what} {_join(values)}: expected one number, or one a round: {rounds}")
    return jnp.array(values, jnp.float32)


def _join(values: Sequence[float]) -> str:
    return ",".join(f"{v:g}" for v in values)


def _one_round(
    config: GeneratorConfig, steps: Sequence[int], layers: Sequence[int] | None, search: Search
) -> Schedule:
    """Latents and the first five noise maps: CSGM's solution."""
    del layers
    if len(steps) != 1:
        raise InputError(f"steps {_join(steps)}: expected one number, since there is one round")
    return ilo_schedule(config, steps, [0], search)


def _all_noise_maps(
    config: GeneratorConfig, steps: Sequence[int], layers: Sequence[int] | None, search: Search
) -> Schedule:
    """One round over the latents and every noise map."""
    (only,) = _one_round(config, steps, layers, search).rounds
    return Schedule((Round(Cut(0, config.num_layers), only.steps),), search)


def _image_deviations(
    config: GeneratorConfig, steps: Sequence[int], layers: Sequence[int] | None, search: Search
) -> Schedule:
    """CSGM's solution, then latents together with a deviation of the image."""
    del layers
    if len(steps) != 2:
        raise InputError(f"steps {_join(steps)}: expected two numbers, of latents and of both")
    first, second = ilo_schedule(config, steps, [0, 0], search).rounds
    both = ExtendedRange(config.num_layers, first.cut.noise_maps)
    return Schedule((first, Round(both, second.steps)), search)


METHODS = {
    method.name: method
    for method in (
        Method(
            "ilo",
            "Intermediate Layer Optimization over successive layers (Section 4)",
            (100, 100, 100, 100),
            ilo_schedule,
            cuts_freely=True,
        ),
        Method(
            "ilo-range",
            "Algorithm 1 as printed: balls around the range of G1 and projections back to it",
            (100, 60, 40, 60, 40, 60, 40),
            algorithm_1,
            cuts_freely=True,
            radius=1000.0,
        ),
        Method(
            "csgm",
            "latents and the first noise maps only (Bora et al., 2017, with PULSE's sphere)",
            (400,),
            _one_round,
        ),
        Method(
            "pulse",
            "the same with PULSE's numbers (Menon et al., 2020)",
            (100,),
            _one_round,
            learning_rate=0.4,
            # Its images are in [0, 1], which makes squared errors a quarter of ours.
            weights={"mse": 25.0, "geocross_w": 0.05},
            search=Search(SilentSphere(), pulse_ramp),
            losses={"mse": lambda: Mse(floor=8e-3)},
        ),
        Method(
            "dhar",
            "latents and sparse deviations of the image, in an l1 ball (Dhar et al., 2018)",
            (200, 200),
            _image_deviations,
            radius=300.0,
        ),
        Method(
            "projector",
            "StyleGAN2's projector: one w, all noise maps, LPIPS (Karras et al., 2020)",
            (1000,),
            _all_noise_maps,
            weights={"lpips": 1.0, "noise_correlation": 1e5},
            search=Search(ProjectorW(), projector_ramp),
        ),
    )
}
"""By the name on the command line."""

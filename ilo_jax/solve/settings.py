"""What a user chooses, checked and turned into what computes."""

import dataclasses
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops import TASKS, LinearOperator, Operator
from ilo_jax.solve import images
from ilo_jax.solve.auto import Auto
from ilo_jax.solve.cuts import RangeProjection
from ilo_jax.solve.memory import images_that_fit
from ilo_jax.solve.methods import METHODS, Plan
from ilo_jax.solve.options import build_operator, links
from ilo_jax.solve.schedule import Round, Schedule
from ilo_jax.stylegan2 import EMBEDDED_DEFAULT, NOTICES, Generator

RADII = {"chest64": (300.0, 100.0, 30.0)}
"""l1 radii of ILO's rounds at blocks 1, 2, ... that suit an embedded generator, whatever is
measured: the best on images that it was trained on (`benchmarks/radii.py`)."""


@dataclasses.dataclass(frozen=True)
class Video:
    """Frames in order, each started from the last one's variables and held near them.

    Attributes:
      steps: for each frame after the first, at the last cut.
      radii: l1 radii of code, latents and each noise map around the last frame's.
    """

    steps: int = 100
    radii: tuple[float, float, float] = (200.0, 200.0, 5.0)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a user chooses; two runs with equal settings are the same run. None is the method's
    default.

    Attributes:
      task: name in `TASKS`.
      options: of the task, as given: JSON-able.
      method: name in `METHODS`.
      seed: of everything random: operator, noise, initial latents.
      steps: of each round.
      layers: cuts.
      lr: learning rate, one or one a round.
      radii: l1 radius of the code, one or one for each round that has a code; None is that of
        `RADII`, or else the method's default.
      weights: of the losses, each one or one a round.
      tolerance: of the loss `dead_zone`.
      sna: Stochastic Noise Addition; None leaves it to the task.
      measured: whether the files hold measurements rather than images to be measured.
      generator: name or folder.
      reference: image, or folder of images of the same names, for the loss `reference`.
      start: output folder of a run with `save_variables`, from whose variables to start.
      save_variables: whether each image's variables are kept.
      video: frames in order; None for independent images.
      samples: restarts of each image, whose mean is the result.
      consistent: whether results are moved to the nearest image of the same measurement.
      auto: whether radii, learning rate, depth and steps are chosen for each image.
    """

    task: str
    options: Mapping[str, Any]
    method: str
    seed: int
    steps: tuple[int, ...] | None = None
    layers: tuple[int, ...] | None = None
    lr: tuple[float, ...] | None = None
    radii: tuple[float, ...] | None = None
    weights: Mapping[str, tuple[float, ...]] | None = None
    tolerance: float | None = None
    sna: bool | None = None
    measured: bool = False
    generator: str = EMBEDDED_DEFAULT
    reference: str | None = None
    start: str | None = None
    save_variables: bool = False
    video: Video | None = None
    samples: int = 1
    consistent: bool = False
    auto: bool = False

    def description(self) -> dict[str, Any]:
        """What was chosen, and the method's defaults for what was not; JSON has no infinity, so an
        infinite radius is the text `inf`."""
        method = METHODS[self.method]
        defaults = {
            "steps": method.steps,
            "lr": (method.learning_rate,),
            "weights": {name: (weight,) for name, weight in method.weights.items()},
        }
        values = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        values = defaults | values
        options = values.pop("options")
        radii = self.effective_radii
        if radii is not None:
            values["radii"] = [str(r) if math.isinf(r) else r for r in radii]
        return values | options

    @property
    def effective_radii(self) -> tuple[float, ...] | None:
        """Those that were chosen, or that suit the generator; None leaves them to the method."""
        suitable = RADII.get(self.generator)
        by_blocks = self.method == "ilo" and self.layers is None
        if self.radii is not None or suitable is None or not by_blocks:
            return self.radii
        cuts = len(self.steps or METHODS[self.method].steps) - 1
        return (suitable + suitable[-1:] * cuts)[:cuts] or None


@dataclasses.dataclass(frozen=True)
class Run:
    """Settings turned into what computes.

    Attributes:
      generator: the prior.
      operator: the forward operator.
      plan: rounds, numbers and losses of images that start at random.
      plan_from_variables: of those that start from variables; in a video, its later frames.
      batch_size: images in a compiled program, each with all its restarts.
    """

    settings: Settings
    generator: Generator
    operator: Operator
    plan: Plan
    plan_from_variables: Plan
    batch_size: int

    @classmethod
    def create(
        cls,
        settings: Settings,
        generator: Generator,
        batch_size: int | Literal["auto"] | None,
    ) -> "Run":
        """Checks the settings and builds the operator.

        Args:
          batch_size: as many as fit into memory if `auto`; by the generator's size, for each
            accelerator, if None.

        Raises:
          InputError: a setting is out of range, or does not go with another.
        """
        task, config = TASKS[settings.task], generator.config
        if settings.measured and any("observed" in o for _, o in links(task, settings.options)):
            raise InputError(
                "--observed with --measured: expected --mask FILE, the pixels observed"
            )
        key = jax.random.fold_in(jax.random.key(settings.seed), 0)
        operator = build_operator(key, task, settings.options, config.image_shape)
        if settings.measured and not operator.measures_image:
            raise InputError(
                f"{task.name} --measured: its measurements are not images; "
                "expected images to be measured, without --measured"
            )
        if settings.consistent and not isinstance(operator, LinearOperator):
            raise InputError(
                f"--consistent: {task.name} is not linear, or adds noise; expected a task whose "
                "measurements an image can meet exactly"
            )
        if settings.samples > 1 and (settings.save_variables or settings.video):
            raise InputError(
                "--samples: expected without --video and --save-variables, which go on from one "
                "solution"
            )
        plan = METHODS[settings.method].plan(
            config,
            settings.steps,
            settings.layers,
            settings.lr,
            settings.effective_radii,
            settings.weights,
            settings.tolerance,
            task.sna if settings.sna is None else settings.sna,
        )
        later = _frame_plan(plan, settings.video) if settings.video else plan
        if "reference" in plan.losses and settings.reference is None:
            if not settings.video:
                raise InputError("loss reference: no reference image; expected --reference PATH")
            plan = plan.without("reference")  # the first frame has no last one
        if settings.auto:
            _check_auto(settings, plan)
        if settings.video:
            batch_size = 1
        elif batch_size == "auto":
            batch_size = images_that_fit(generator, operator, plan, settings.samples)
        elif batch_size is None:
            batch_size = _usual_batch_size(config.resolution, settings.samples)
        return cls(settings, generator, operator, plan, later, batch_size)

    @property
    def auto(self) -> Auto | None:
        """What `--auto` tries; None without."""
        if not self.settings.auto:
            return None
        return Auto(restarts=max(Auto().restarts, self.settings.samples))

    @property
    def restarts(self) -> int:
        """Of each image, whose mean is the result."""
        return self.settings.samples if self.auto is None else self.auto.restarts

    @property
    def notice(self) -> str:
        """What must be said wherever the generator's images are shown."""
        return NOTICES.get(self.settings.generator, "")

    def reference(self, file: Path) -> np.ndarray | None:
        """`[H, W, C]`, the reference of an image file; None without.

        Raises:
          InputError: it is not there or cannot be read.
        """
        if self.settings.reference is None:
            return None
        path = Path(self.settings.reference)
        if path.is_dir():
            found = {other.stem: other for other in images.find_images([str(path)])}
            if file.stem not in found:
                raise InputError(f"{path}: no image named {file.stem}; expected a reference of it")
            path = found[file.stem]
        return images.read_image(path, self.generator.config.image_shape)[0]

    def image_key(self, file: Path) -> jax.Array:
        """Depends on the seed and the file's name alone, not on what else is in the folder."""
        key = jax.random.fold_in(jax.random.key(self.settings.seed), 1)
        return jax.random.fold_in(key, zlib.crc32(file.stem.encode(errors="surrogateescape")))


def _usual_batch_size(resolution: int, restarts: int) -> int:
    """Images at a time: what is about as fast an image as any more are (docs/scale.md)."""
    on_cpu = jax.default_backend() == "cpu"
    most, pixels = (32, 2**18) if on_cpu else (256, 2**20)
    each = max(1, min(most, pixels // resolution**2) // restarts)
    return each * (1 if on_cpu else jax.local_device_count())


def _check_auto(settings: Settings, plan: Plan) -> None:
    others = {
        "--video": settings.video,
        "--save-variables": settings.save_variables,
        "--start": settings.start,
        "--reference": settings.reference,
    }
    for name, value in others.items():
        if value:
            raise InputError(f"--auto with {name}: expected one of them")
    if plan.hyper.radius_code is None and not any(plan.schedule.coded):
        raise InputError(f"--auto: {settings.method} has no radii; expected a method that cuts")


def _frame_plan(plan: Plan, video: Video) -> Plan:
    """One round at the last cut, held near where it starts."""
    rounds = plan.schedule.rounds
    last = max(i for i, r in enumerate(rounds) if not isinstance(r.cut, RangeProjection))
    radii = dict(zip(("radius_code", "radius_latents", "radius_noises"), video.radii, strict=True))
    hyper = jax.tree.map(lambda leaf: leaf[last : last + 1], plan.hyper)
    return dataclasses.replace(
        plan,
        schedule=Schedule((Round(rounds[last].cut, video.steps),), plan.schedule.search),
        hyper=hyper.replace(**{name: jnp.full(1, radius) for name, radius in radii.items()}),
    )

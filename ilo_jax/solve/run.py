"""One run over a folder of images: from files to measurements to results."""

import dataclasses
import math
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops import TASKS, Operator
from ilo_jax.solve import images
from ilo_jax.solve.contact_sheet import MAX_ROWS, Tile
from ilo_jax.solve.loop import batch_mesh, solve
from ilo_jax.solve.losses import measurement_mse
from ilo_jax.solve.results import Results, Row, evaluate
from ilo_jax.solve.schedule import HyperParameters, Schedule, hyper_parameters, ilo_schedule
from ilo_jax.stylegan2 import EMBEDDED_DEFAULT, NOTICES, Generator

METHODS = {
    "ilo": ((100, 100, 100, 100), "Intermediate Layer Optimization, rounds at deeper blocks"),
    "csgm": ((400,), "CSGM, latents and noise maps only: one round"),
}
"""Steps of each round by default, and what it is, by name."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a user chooses; two runs with equal settings are the same run.

    Attributes:
      task: name in `TASKS`.
      options: of the task, as given: JSON-able.
      method: name in `METHODS`.
      steps: of each round.
      seed: of everything random: operator, noise, initial latents.
      lr: learning rate, one or one a round.
      radii: l1 radius of the feature map in each round after the first; empty for no limit.
      measured: whether the files hold measurements rather than images to be measured.
      generator: name or folder.
    """

    task: str
    options: Mapping[str, Any]
    method: str
    steps: tuple[int, ...]
    seed: int
    lr: tuple[float, ...] = (0.1,)
    radii: tuple[float, ...] = ()
    measured: bool = False
    generator: str = EMBEDDED_DEFAULT

    def description(self) -> dict[str, Any]:
        """All settings; JSON has no infinity, so an infinite radius is the text `inf`."""
        values = dataclasses.asdict(self)
        options = values.pop("options")
        radii = [str(r) if math.isinf(r) else r for r in self.radii]
        return values | {"radii": radii} | options


@dataclasses.dataclass(frozen=True)
class Run:
    """Settings turned into what computes.

    Attributes:
      generator: the prior.
      operator: the forward operator.
      schedule: rounds.
      hyper: numbers, `[rounds]` each.
      batch_size: images in a compiled program.
    """

    settings: Settings
    generator: Generator
    operator: Operator
    schedule: Schedule
    hyper: HyperParameters
    batch_size: int

    @classmethod
    def create(cls, settings: Settings, generator: Generator, batch_size: int | None) -> "Run":
        """Checks the settings and builds the operator.

        Args:
          batch_size: by the generator's size if None.

        Raises:
          InputError: a setting is out of range, or does not go with another.
        """
        rounds, task, config = len(settings.steps), TASKS[settings.task], generator.config
        if settings.method == "csgm" and rounds != 1:
            raise InputError(f"--steps {_join(settings.steps)}: expected one number with csgm")
        if settings.radii and len(settings.radii) != rounds - 1:
            raise InputError(
                f"--radii {_join(settings.radii)}: expected one number for each round after the "
                f"first: {rounds - 1}"
            )
        if len(settings.lr) not in (1, rounds):
            raise InputError(
                f"--lr {_join(settings.lr)}: expected one number, or one a round: {rounds}"
            )
        if settings.measured and "observed" in settings.options:
            raise InputError(
                "--observed with --measured: expected --mask FILE, the pixels observed"
            )
        options = {
            o.name: images.read_mask(settings.options[o.name], config.image_shape[:2])
            if o.type == "mask"
            else settings.options[o.name]
            for o in task.options
            if o.name in settings.options
        }
        key = jax.random.fold_in(jax.random.key(settings.seed), 0)
        operator = task.build(key, config.image_shape, **options)
        if settings.measured and len(operator.measurement_shape) != 3:
            raise InputError(
                f"{task.name} --measured: its measurements are not images; "
                "expected images to be measured, without --measured"
            )
        radii = jnp.array([jnp.inf, *settings.radii]) if settings.radii else None
        return cls(
            settings,
            generator,
            operator,
            ilo_schedule(config, settings.steps, sna=task.sna),
            hyper_parameters(rounds, learning_rate=jnp.array(settings.lr), radius_features=radii),
            batch_size or max(1, min(32, 2**18 // config.resolution**2)),
        )

    @property
    def notice(self) -> str:
        """What must be said wherever the generator's images are shown."""
        return NOTICES.get(self.settings.generator, "")

    def image_key(self, file: Path) -> jax.Array:
        """Depends on the seed and the file's name alone, not on what else is in the folder."""
        key = jax.random.fold_in(jax.random.key(self.settings.seed), 1)
        return jax.random.fold_in(key, zlib.crc32(file.stem.encode(errors="surrogateescape")))


class Reporter(Protocol):
    """Where a run tells how it goes."""

    def say(self, line: str) -> None:
        """A note or a complaint, one line."""
        ...

    def batch(self, done: int, count: int, total: int) -> None:
        """A batch of `count` images begins; `done` of `total` images are finished."""
        ...

    def progress(self, index: int, steps: int, mse: jax.Array) -> None:
        """`steps` steps of round `index` are done for the current batch."""
        ...


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a run: the summary (None if no image could be read) and the bad files."""

    summary: dict[str, Any] | None
    unreadable: list[Path]


@dataclasses.dataclass(frozen=True)
class _Sample:
    """An image file: its truth `[H, W, C]` (None with `measured`) and its measurement."""

    file: Path
    truth: np.ndarray | None
    measurement: Any


def reconstruct(run: Run, paths: Sequence[Path], out: Path | str, reporter: Reporter) -> Outcome:
    """Reconstructs image files into the folder `out`, leaving out those that are there already.

    A file that cannot be read is reported and left out.

    Raises:
      InputError: `out` cannot be used, or the only file there is cannot be read.
    """
    settings = run.settings
    results = Results.open(out, settings.description())
    finished = results.finished()
    missing = [file for file in paths if file.stem not in finished]
    size = min(run.batch_size, len(paths))
    unreadable: list[Path] = []

    def readable(files: Sequence[Path]) -> Iterator[_Sample]:
        for file in files:
            try:
                sample, note = _read(run, file)
            except InputError as error:
                if len(paths) == 1:
                    raise
                reporter.say(f"skipped: {error}")
                unreadable.append(file)
                continue
            if note:
                reporter.say(note)
            yield sample

    samples, done = readable(missing), len(paths) - len(missing)
    while batch := _take(samples, size):
        reporter.batch(done, len(batch), len(paths) - len(unreadable))
        began = time.perf_counter()
        found, errors = _solve_batch(run, batch, size, reporter.progress)
        seconds = (time.perf_counter() - began) / len(batch)
        rows = []
        for sample, image, error in zip(batch, found, errors, strict=True):
            scores = (None, None) if sample.truth is None else evaluate(sample.truth, image)
            rows.append(Row(sample.file.stem, *scores, float(error), seconds))
        results.add(rows, list(found))
        done += len(batch)
    rows = results.finished()
    shown = [file for file in paths if file.stem in rows and file not in unreadable][:MAX_ROWS]
    if not shown:
        return Outcome(None, unreadable)
    tiles = [tiles_of(run, file, [(results.image(file.stem), rows[file.stem])]) for file in shown]
    labels = ["measurement", settings.method.upper()]
    labels = labels if settings.measured else ["truth", *labels]
    return Outcome(results.finish(labels, tiles, run.notice), unreadable)


def _read(run: Run, file: Path) -> tuple[_Sample, str | None]:
    if run.settings.measured:
        image, note = images.read_exact(file, run.operator.measurement_shape)
        return _Sample(file, None, run.operator.restrict(jnp.asarray(image))), note
    truth, note = images.read_image(file, run.generator.config.image_shape)
    key = jax.random.fold_in(run.image_key(file), 0)
    return _Sample(file, truth, _measure(run.operator, key, jnp.asarray(truth))), note


@jax.jit
def _measure(operator: Operator, key: jax.Array, x: jax.Array) -> Any:
    return operator.measure(key, x)


def _take(samples: Iterator[_Sample], size: int) -> list[_Sample]:
    return [sample for _, sample in zip(range(size), samples, strict=False)]


def _solve_batch(
    run: Run,
    batch: list[_Sample],
    size: int,
    progress: Callable[[int, int, jax.Array], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Images `[n, H, W, C]` and their measurement MSE `[n]`. A batch that is not full is filled
    up with its last image, so that one program serves all."""
    filled = batch + batch[-1:] * (size - len(batch))
    measurement = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[s.measurement for s in filled])
    keys = jnp.stack([jax.random.fold_in(run.image_key(s.file), 1) for s in filled])
    solution = solve(
        run.generator,
        run.operator,
        measurement,
        keys,
        run.schedule,
        run.hyper,
        progress,
        batch_mesh(size),
    )[-1]
    image = jnp.clip(solution.image, -1, 1)
    errors = jax.vmap(measurement_mse)(run.operator(image), measurement)
    return np.asarray(image)[: len(batch)], np.asarray(errors)[: len(batch)]


def tiles_of(run: Run, file: Path, found: Sequence[tuple[np.ndarray, Row]]) -> list[Tile]:
    """A row of a contact sheet: truth (if there is one), measurement, reconstructions."""
    sample, _ = _read(run, file)
    picture = np.clip(np.asarray(run.operator.picture(sample.measurement)), -1, 1)
    if sample.truth is None:
        return [Tile(picture, file.stem), *(Tile(image) for image, _ in found)]
    return [
        Tile(sample.truth, file.stem),
        Tile(
            picture,
            " ".join(
                f"{k} {v:g}" for k, v in run.settings.options.items() if isinstance(v, (int, float))
            ),
        ),
        *(Tile(image, f"{row.psnr_db:.2f} dB") for image, row in found),
    ]


def _join(values: Sequence[float]) -> str:
    return ",".join(f"{v:g}" for v in values)

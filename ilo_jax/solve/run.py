"""One run over a folder of images: from files to measurements to results."""

import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.ops import LinearOperator, Operator, make_batch_consistent
from ilo_jax.solve import images
from ilo_jax.solve.auto import Auto, Choice, solve_auto
from ilo_jax.solve.contact_sheet import MAX_ROWS, Tile
from ilo_jax.solve.cuts import Solution
from ilo_jax.solve.hosts import ALONE, Team
from ilo_jax.solve.loop import batch_mesh, solve, stack
from ilo_jax.solve.memory import halve, is_out_of_memory
from ilo_jax.solve.methods import Plan
from ilo_jax.solve.results import Results, Row, evaluate
from ilo_jax.solve.settings import Run
from ilo_jax.solve.variables import load_solution, save_solution


class Reporter(Protocol):
    """Where a run tells how it goes."""

    def say(self, line: str) -> None:
        """A note or a complaint, one line."""
        ...

    def batch(self, done: int, count: int, total: int, steps: Sequence[int]) -> None:
        """A batch of `count` images begins; `done` of `total` images are finished; `steps` of each
        round are ahead."""
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
class Sample:
    """An image file: its truth `[H, W, C]` (None with `measured`), its measurement, the reference
    and where to start from, if there are any."""

    file: Path
    truth: np.ndarray | None
    measurement: Any
    reference: np.ndarray | None
    initial: Solution | None


def reconstruct(
    run: Run, paths: Sequence[Path], out: Path | str, reporter: Reporter, team: Team = ALONE
) -> Outcome:
    """Reconstructs image files into the folder `out`, leaving out those that are there already.

    A file that cannot be read is reported and left out. Every process of a team solves its share of
    the files; the first one writes what is said of all of them.

    Raises:
      InputError: `out` cannot be used, the only file there is cannot be read, one image does not
        fit into memory, or another process of the team has failed.
    """
    results = _open(run, paths, Path(out), team)
    mine = _solve_missing(run, team.share(paths), results, reporter, alone=len(paths) == 1)
    told = {name for names in team.exchange([str(file) for file in mine]) for name in names}
    unreadable = [file for file in paths if str(file) in told]
    summary = _finish(run, paths, results, unreadable) if team.index == 0 else None
    return Outcome(team.exchange(summary)[0], unreadable)


def _open(run: Run, paths: Sequence[Path], out: Path, team: Team) -> Results:
    """The first process opens the folder before the others do."""
    description = run.settings.description()
    results = Results.open(out, description) if team.index == 0 else None
    told = team.exchange([json.dumps(description), [str(file) for file in paths]])
    for index, (settings, files) in enumerate(told):
        if settings != told[0][0] or files != told[0][1]:
            what = "settings" if settings != told[0][0] else "images"
            raise InputError(
                f"process {index}: other {what} than process 0; expected the same command, and the "
                "same files, for all processes"
            )
    if results is not None:
        return results
    if not (out / "run.json").exists():
        raise InputError(
            f"{out}: process {team.index} does not see what process 0 wrote there; expected a "
            "folder that all processes share"
        )
    return Results.open(out, description, team.index)


def _solve_missing(
    run: Run, paths: Sequence[Path], results: Results, reporter: Reporter, alone: bool
) -> list[Path]:
    """Solves the images that are not there yet; returns the files that cannot be read.

    Where a batch does not fit into memory, it is solved in halves, and so are those behind it.
    """
    finished = results.finished()
    missing = [file for file in paths if file.stem not in finished]
    unreadable: list[Path] = []

    def readable() -> Iterator[Sample]:
        for file in missing:
            try:
                sample, note = read_sample(run, file)
                sample = _with_start(run, sample, _frame_before(run, results, paths, file))
            except InputError as error:
                if alone:
                    raise
                reporter.say(f"skipped: {error}")
                unreadable.append(file)
                continue
            if note:
                reporter.say(note)
            yield sample

    samples, done = readable(), len(paths) - len(missing)
    size = min(run.batch_size, _evenly(len(paths)))
    while batch := list(itertools.islice(samples, size)):
        plan = run.plan if batch[0].initial is None else run.plan_from_variables
        steps = [r.steps for r in plan.schedule.rounds]
        if run.auto is not None:
            steps = [sum(steps) * run.auto.runs * len(batch)]
        reporter.batch(done, len(batch), len(paths) - len(unreadable), steps)
        began = time.perf_counter()
        found = _solve_if_it_fits(run, plan, batch, size, reporter)
        if found is not None:
            seconds = (time.perf_counter() - began) / len(batch)
            _save(run, results, batch, found, seconds)
            done += len(batch)
        else:
            remedies = "fewer --samples, or a smaller generator"
            size = halve(size, "image", batch[0].file, reporter.say, remedies)
            samples = itertools.chain(batch, samples)
    return unreadable


def _evenly(count: int) -> int:
    """At least `count` images, which the local devices can divide evenly if they are fewer."""
    devices = jax.local_device_count()
    return count if count <= devices else -(-count // devices) * devices


class _Found(NamedTuple):
    """Of a batch: images and spread `[n, H, W, C]`, and what they come from."""

    image: np.ndarray
    spread: np.ndarray
    source: Solution | Choice


def _solve_if_it_fits(
    run: Run, plan: Plan, batch: list[Sample], size: int, reporter: Reporter
) -> _Found | None:
    """What was found for a batch; None if memory does not suffice."""
    try:
        if run.auto is not None:
            choice = _choose_batch(run, run.auto, batch, size, reporter)
            return _Found(choice.image, choice.spread, choice)
        solution = _solve_batch(run, plan, batch, size, reporter.progress)
        restarts = _images(run, solution, batch)
        return _Found(restarts.mean(1), restarts.std(1), solution)
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None


def _save(
    run: Run,
    results: Results,
    batch: list[Sample],
    found: _Found,
    seconds: float,
) -> None:
    settings, image = run.settings, found.image
    rows = []
    for i, sample in enumerate(batch):
        scores = (None, None) if sample.truth is None else evaluate(sample.truth, image[i])
        error = _error(run.operator, jnp.asarray(image[i]), sample.measurement)
        rows.append(Row(sample.file.stem, *scores, float(error), seconds))
        if settings.save_variables or settings.video:
            one = jax.tree.map(lambda leaf, i=i: leaf[i], found.source)
            save_solution(results.variables(sample.file.stem), one)
        if isinstance(found.source, Choice):
            results.add_choice(sample.file.stem, found.source.of_image(i))
    results.add(rows, list(image), list(found.spread) if run.restarts > 1 else None)


def _finish(
    run: Run, paths: Sequence[Path], results: Results, unreadable: Sequence[Path]
) -> dict[str, Any] | None:
    """Summary and contact sheet, of the results of all processes."""
    results.merge()
    rows, settings = results.finished(), run.settings
    readable = [file for file in paths if file not in unreadable]
    lost = [file.stem for file in readable if file.stem not in rows]
    if lost:
        raise InputError(
            f"{results.out}: {len(lost)} results are not there, of {lost[0]} the first; expected a "
            "folder that all processes share: the same command computes them"
        )
    shown = readable[:MAX_ROWS]
    if not shown:
        return None
    tiles = [tiles_of(run, file, [(results.image(file.stem), rows[file.stem])]) for file in shown]
    labels = ["measurement", settings.method.upper()]
    if run.restarts > 1:
        labels.append("spread")
        for row, file in zip(tiles, shown, strict=True):
            row.append(Tile(results.spread(file.stem)))
    labels = labels if settings.measured else ["truth", *labels]
    return results.finish(labels, tiles, run.notice)


def read_sample(run: Run, file: Path) -> tuple[Sample, str | None]:
    """Reads and measures an image file, or reads a measurement; with a note on what was changed.

    Raises:
      InputError: it cannot be read.
    """
    reference = run.reference(file)
    if run.settings.measured:
        image, note = images.read_exact(file, run.operator.measurement_shape)
        return Sample(file, None, run.operator.restrict(jnp.asarray(image)), reference, None), note
    truth, note = images.read_image(file, run.generator.config.image_shape)
    key = jax.random.fold_in(run.image_key(file), 0)
    measurement = _measure(run.operator, key, jnp.asarray(truth))
    return Sample(file, truth, measurement, reference, None), note


def _frame_before(run: Run, results: Results, paths: Sequence[Path], file: Path) -> Path | None:
    """The nearest earlier frame of a video that is finished."""
    if not run.settings.video:
        return None
    finished = results.finished()
    before = [p for p in paths[: paths.index(file)] if p.stem in finished]
    return results.variables(before[-1].stem) if before else None


def _with_start(run: Run, sample: Sample, frame_before: Path | None) -> Sample:
    """With the variables to start from: the last frame's, or those of another run."""
    if frame_before is not None:
        initial = load_solution(frame_before, run.generator)
        reference = sample.reference
        if reference is None and "reference" in run.plan_from_variables.losses:
            reference = np.asarray(initial.image)
        return dataclasses.replace(sample, initial=initial, reference=reference)
    if run.settings.start is None:
        return sample
    folder = Path(run.settings.start) / "variables" / sample.file.stem
    return dataclasses.replace(sample, initial=load_solution(folder, run.generator))


@jax.jit
def _measure(operator: Operator, key: jax.Array, x: jax.Array) -> Any:
    return operator.measure(key, x)


@jax.jit
def _error(operator: Operator, x: jax.Array, measurement: Any) -> jax.Array:
    return operator.error(operator(x), measurement)


def _solve_batch(
    run: Run,
    plan: Plan,
    batch: list[Sample],
    size: int,
    progress: Callable[[int, int, jax.Array], None],
) -> Solution:
    """The last solution of every restart, those of an image in a row. A batch that is not full is
    filled up with its last image, so that one program serves all."""
    filled = batch + batch[-1:] * (size - len(batch))
    filled = [sample for sample in filled for _ in range(run.settings.samples)]
    measurement, reference, initial = (
        None if field[0] is None else stack(field)
        for field in zip(*((s.measurement, s.reference, s.initial) for s in filled), strict=True)
    )
    restart = jnp.arange(len(filled)) % run.settings.samples + 1
    keys = jnp.stack([run.image_key(s.file) for s in filled])
    keys = jax.vmap(jax.random.fold_in)(keys, restart)
    return solve(
        run.generator,
        run.operator,
        measurement,
        keys,
        plan.schedule,
        plan.hyper,
        losses=plan.losses,
        reference=reference,
        initial=initial,
        progress=progress,
        mesh=batch_mesh(len(filled)),
    )[-1]


def _choose_batch(
    run: Run, auto: Auto, batch: list[Sample], size: int, reporter: Reporter
) -> Choice:
    steps = sum(r.steps for r in run.plan.schedule.rounds)
    return solve_auto(
        run.generator,
        run.operator,
        stack(s.measurement for s in batch),
        jnp.stack([run.image_key(s.file) for s in batch]),
        run.plan,
        auto,
        batch_size=size,
        progress=lambda done, _: reporter.progress(0, done * steps, jnp.zeros(())),
    )


def _images(run: Run, solution: Solution, batch: list[Sample]) -> np.ndarray:
    """`[n, restarts, H, W, C]` of the n images of a batch."""
    restarts = run.settings.samples
    image = jnp.clip(solution.image[: restarts * len(batch)], -1, 1)
    if run.settings.consistent:
        assert isinstance(run.operator, LinearOperator)
        measurement = stack(sample.measurement for sample in batch for _ in range(restarts))
        image = jnp.clip(make_batch_consistent(run.operator, measurement, image), -1, 1)
    return np.asarray(image).reshape(len(batch), restarts, *image.shape[1:])


def tiles_of(run: Run, file: Path, found: Sequence[tuple[np.ndarray, Row]]) -> list[Tile]:
    """A row of a contact sheet: truth (if there is one), measurement, reconstructions."""
    sample, _ = read_sample(run, file)
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

"""A task over a folder of images: from files to measurements to results."""

import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from ilo_jax.app.batch import Found, solve_batch, steps_of_choice, write_batch
from ilo_jax.app.boards import Boards
from ilo_jax.app.earlier import Inversions
from ilo_jax.app.finish import finish
from ilo_jax.app.inputs import Inputs, kept
from ilo_jax.app.metrics import Row
from ilo_jax.app.pipeline import Pipeline, Reporter
from ilo_jax.app.results import Results
from ilo_jax.app.run import Run
from ilo_jax.app.samples import Reader, Sample, kind_of
from ilo_jax.app.starts import frame_before, method_from, with_start


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a run: the summary (None if there is no image), the files without an image, and
    the folder."""

    summary: dict[str, Any] | None
    failed: list[Path]
    results: Results


def reconstruct(
    run: Run, paths: Sequence[Path], out: Path | str, reporter: Reporter, alone: bool = False
) -> Outcome:
    """Reconstructs image files into the folder `out`, leaving out those that are there already and
    are of the same inputs.

    A file that cannot be read, or whose image fails, is reported, and has a row that says why.

    Args:
      alone: whether there is only one file, which is to be refused where it cannot be read.

    Raises:
      InputError: `out` cannot be used, the only file there is cannot be read, or one image does not
        fit into memory.
    """
    inputs = Inputs(run, paths)
    results = Results.open(Path(out), run.description | {"inputs": inputs.named})
    computed = _solve_missing(run, inputs, results, reporter, alone)
    summary, failed = finish(run, paths, results, reporter.say, computed)
    return Outcome(summary, failed, results)


def _solve_missing(
    run: Run, inputs: Inputs, results: Results, reporter: Reporter, alone: bool
) -> bool:
    """Solves the images that are not there yet, or are of other inputs; whether there were any."""
    paths = inputs.files
    finished = {name: row.input for name, row in results.finished().items()}
    same = kept(finished, inputs, reporter.say)
    missing = [file for file in paths if file.stem not in same]
    results.drop(file.stem for file in missing)

    def failed(file: Path, digest: str, reason: str) -> None:
        nonlocal tried
        results.add([Row.failed(file.stem, digest, reason)], [None])
        tried += 1

    reader = Reader(run, inputs, reporter.say, failed)

    inversions = Inversions(run)

    def complete(sample: Sample) -> Sample:
        if run.earlier is not None:
            return dataclasses.replace(sample, initial=(inversions.of(sample.file),))
        return with_start(run, sample, frame_before(run, results, paths, sample.file))

    tried = len(paths) - len(missing)

    def begin(batch: list[Sample], size: int) -> None:
        method = method_from(run, batch)
        rounds = np.asarray(method.steps).tolist() * -(-len(batch) * run.restarts // size)
        if run.auto is not None:
            rounds = [steps_of_choice(run) * len(batch)]
        reporter.batch(tried, len(batch), len(paths), rounds)

    def write(batch: list[Sample], found: Found, seconds: float) -> None:
        nonlocal tried
        write_batch(run, results, dict(enumerate(batch)), found, seconds, reporter, boards)
        tried += len(batch)

    boards = Boards(results.out / "tensorboard") if run.settings.tensorboard and missing else None
    # By itself, a run is in a program of its own, whose sums are the same wherever it is.
    width, devices = (1, 1) if run.settings.reproducible else (run.width * run.restarts, None)
    pipeline = Pipeline(
        solve=lambda batch, size: solve_batch(run, batch, size, reporter),
        write=write,
        begin=begin,
        name=lambda sample: sample.file,
        kind=kind_of,
        runs=run.restarts,
        width=width,
        at_once=1 if run.settings.video else None,
        devices=devices,
        remedies="fewer --samples, or a smaller generator",
    )
    with boards or nullcontext():
        pipeline.run(reader.read(missing, complete, alone), reporter.say)
    return bool(missing)

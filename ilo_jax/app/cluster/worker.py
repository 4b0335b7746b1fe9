"""Solves batches on one device, in a process of its own."""

import contextlib
import dataclasses
import os
import pickle
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ilo_jax.app.batch import solve_batch, write_batch
from ilo_jax.app.cluster.attempts import MOST
from ilo_jax.app.cluster.work import Done, Work
from ilo_jax.app.history import COLUMNS
from ilo_jax.app.inputs import Inputs, inputs_of
from ilo_jax.app.memory import is_out_of_memory
from ilo_jax.app.metrics import Row
from ilo_jax.app.pipeline import program_size
from ilo_jax.app.results import Results
from ilo_jax.app.run import Run, prior_of
from ilo_jax.app.samples import Reader, Sample, kind_of
from ilo_jax.app.settings import Settings
from ilo_jax.app.starts import with_start
from ilo_jax.errors import one_line
from ilo_jax.files.images import write_png
from ilo_jax.priors import Prior

COLUMN = "column"
"""As `--mask`: each image's own is beside it, in the column or the field `mask`."""

KILLED = f"its worker was killed {MOST} times"


class Solver:
    """Weights and programs are loaded once; then batches, one after the other."""

    def __init__(self, settings: Settings, width: int, attempts: Any):
        """Args:
        width: images at a time.
        attempts: an actor, `Attempts`.
        """
        one_device()
        self._settings, self._width, self._attempts = settings, width, attempts
        self._run: Run | None = None
        self._named: dict[str, str] = {}

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Of a column of pickled `Work`, one of pickled `Done`."""
        found = []
        for content in batch["work"]:
            work: Work = pickle.loads(content)
            done = self._attempt(work, range(len(work.files)), work.key)
            done = dataclasses.replace(done, key=work.key, device=jax.devices()[0].device_kind)
            found.append(pickle.dumps(done))
        return {"done": np.array(found, object)}

    def _attempt(self, work: Work, places: range, key: str) -> Done:
        """What becomes of some images of a batch. Where it has killed workers, or fails, its halves
        are tried; an image alone has a row that says why."""
        deaths, before = self._call("begin", key, _node())
        if before is not None:
            return pickle.loads(before)
        reason = KILLED
        done: Done | None = None
        if deaths < MOST:
            try:
                done = self._solve(work, places)
            except Exception as error:  # of whichever image; all but the one that has it are done
                traceback.print_exc()
                no_room = isinstance(error, jax.errors.JaxRuntimeError) and is_out_of_memory(error)
                reason = "out of memory" if no_room else one_line(error)
        if done is None and len(places) > 1:
            middle = len(places) // 2
            parts = (places[:middle], places[middle:])
            first, second = (
                self._attempt(work, part, f"{work.key}/{part.start}-{part.stop}") for part in parts
            )
            done = first + second
        elif done is None:
            file = Path(work.files[places[0]])
            row = Row(file.stem, None, None, None, None, "", reason)
            done = Done(rows=(row,), said=(f"failed: {file}: {reason}",))
        self._call("end", key, None if key == work.key else pickle.dumps(done))
        return done

    def _call(self, method: str, *args: Any) -> Any:
        import ray  # pyright: ignore[reportMissingImports]

        return ray.get(getattr(self._attempts, method).remote(*args))

    def _solve(self, work: Work, places: range) -> Done:
        if self._run is None:
            settings = self._settings
            prior = prior_of(settings)
            with masks_of_nobody(settings, prior) as settings:
                self._run = Run.create(settings, prior, self._width)
            self._named = named_inputs(self._settings)
        with tempfile.TemporaryDirectory(prefix="ilo_jax_") as folder:
            run, work = laid_out(self._run, work, Path(folder) / "inputs")
            (Path(folder) / "results").mkdir()
            done = _solve_into(run, work, places, Path(folder) / "results", self._named)
            return _without(f"{folder}/inputs/", done)


def one_device() -> None:
    """A worker has one device, and of a processor one core: its results depend on nothing else."""
    from ilo_jax.app.cli import start_quickly  # which knows of all commands

    if jax.config.values["jax_num_cpu_devices"] < 0:
        jax.config.update("jax_num_cpu_devices", 1)
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    os.environ["NPROC"] = "1"  # threads of XLA
    start_quickly()


def named_inputs(settings: Settings) -> dict[str, str]:
    """As `inputs_of`; masks in a column are those of single images."""
    options = {name: value for name, value in settings.options.items() if value != COLUMN}
    return inputs_of(dataclasses.replace(settings, options=options))


def _solve_into(run: Run, work: Work, places: range, folder: Path, named: dict[str, str]) -> Done:
    """In a folder of its own, as a run does, and out of it again."""
    results = Results.open(folder, run.description)
    reporter = _Said()
    files = [Path(file) for file in work.files]
    inputs = Inputs(run, files, named)
    wanted = [i for i in places if inputs.digest(files[i]) != work.known.get(files[i].stem)]
    if work.whole and wanted:
        wanted = list(places)

    def failed(file: Path, digest: str, reason: str) -> None:
        results.add([Row(file.stem, None, None, None, None, digest, reason)], [None])

    reader = Reader(run, inputs, reporter.say, failed)
    place_of = {files[i]: i for i in wanted}
    read = reader.read([files[i] for i in wanted], lambda sample: with_start(run, sample, None))
    samples = {place_of[sample.file]: sample for sample in read}
    kinds: dict[Any, dict[int, Sample]] = {}
    for place, sample in samples.items():
        kinds.setdefault(kind_of(sample), {})[place] = sample
    for alike in kinds.values():
        runs = len(files) * run.restarts
        size = program_size(runs, 1 if run.settings.reproducible else run.width * run.restarts, 1)
        # What is not solved leaves its place to another: where an image is in a program, and how
        # large that is, may change its last digits.
        filler = _filler(run, next(iter(alike.values())))
        began = time.perf_counter()
        found = solve_batch(run, [alike.get(i, filler) for i in range(len(files))], size, reporter)
        seconds = (time.perf_counter() - began) / len(alike)
        write_batch(run, results, alike, found, seconds, reporter)
    return Done(
        tuple(results.finished().values()) + tuple(results.failed().values()),
        {str(path.relative_to(folder)): path.read_bytes() for path in _inside(folder)},
        _lines(folder / "history.csv"),
        tuple(reporter.lines),
        len(places) - len(wanted),
    )


def laid_out(run: Run, work: Work, folder: Path) -> tuple[Run, Work]:
    """With what was read laid out as files, so that there is one way to read an image."""
    if work.contents is None:
        return run, work
    folder.mkdir()
    files = [folder / name for name in work.files]
    for file, content in zip(files, work.contents, strict=True):
        if content is not None:
            file.write_bytes(content)
    if work.masks is not None:
        masks = folder / "masks"
        masks.mkdir()
        for file, content in zip(files, work.masks, strict=True):
            (masks / f"{file.stem}.png").write_bytes(content)
        run = dataclasses.replace(run, settings=with_masks(run.settings, masks))
    return run, dataclasses.replace(work, files=tuple(map(str, files)))


def with_masks(settings: Settings, folder: Path) -> Settings:
    """The masks of a column, in files."""
    return dataclasses.replace(settings, options={**settings.options, "mask": str(folder)})


@contextlib.contextmanager
def masks_of_nobody(settings: Settings, prior: Prior) -> Iterator[Settings]:
    """Where masks are in a column, a folder of one: a run is made before any image is read."""
    if settings.options.get("mask") != COLUMN:
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="ilo_jax_") as folder:
        write_png(Path(folder) / "any.png", np.ones((*prior.image_shape[:2], 1), np.float32))
        yield with_masks(settings, Path(folder))


def _without(folder: str, done: Done) -> Done:
    """What is said, without the folder where things were laid out."""
    return dataclasses.replace(
        done,
        rows=tuple(
            dataclasses.replace(row, status=row.status.replace(folder, "")) for row in done.rows
        ),
        said=tuple(line.replace(folder, "") for line in done.said),
    )


def _filler(run: Run, sample: Sample) -> Sample:
    """The same, in a place of its own: an operator that is not shared stays one of each image."""
    if sample.operator is run.operator:
        return sample
    return dataclasses.replace(sample, operator=jax.tree.map(lambda x: x, sample.operator))


def _inside(folder: Path) -> list[Path]:
    """Files of single images."""
    return [path for path in folder.rglob("*") if path.is_file() and path.parent != folder]


def _lines(path: Path) -> bytes:
    """Of a CSV file, without its head."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()[len(",".join(COLUMNS)) + 1 :]
    return b""


def _node() -> str:
    import ray  # pyright: ignore[reportMissingImports]

    return ray.get_runtime_context().get_node_id()


class _Said:
    """A `Reporter` whose lines go with the batch."""

    def __init__(self):
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def batch(self, done: int, count: int, total: int, rounds: Sequence[int]) -> None:
        pass

    def progress(self, steps: int) -> None:
        pass

"""Solves batches on one device, in a process of its own."""

import contextlib
import dataclasses
import functools
import os
import pickle
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ilo_jax.app.batch import solve_batch, write_batch
from ilo_jax.app.cluster.attempts import MOST
from ilo_jax.app.cluster.reading import Said, laid_out, masks_of_nobody, named_inputs, read_batches
from ilo_jax.app.cluster.runs import parts_of, runs_into
from ilo_jax.app.cluster.work import Done, Work
from ilo_jax.app.grid import Plan, Sweep
from ilo_jax.app.history import COLUMNS
from ilo_jax.app.memory import is_out_of_memory
from ilo_jax.app.metrics import Row
from ilo_jax.app.pipeline import program_size
from ilo_jax.app.prior import prior_of
from ilo_jax.app.results import Results
from ilo_jax.app.run import Run
from ilo_jax.app.settings import Settings
from ilo_jax.errors import one_line

KILLED = f"its worker was killed {MOST} times"


class Solver:
    """Weights and programs are loaded once; then batches, one after the other."""

    def __init__(self, settings: Settings, width: int, attempts: Any, sweep: Sweep | None = None):
        """Args:
        width: images at a time; of a sweep, runs.
        attempts: an actor, `Attempts`.
        sweep: what is done with each image, instead of a task.
        """
        one_device()
        self._settings, self._width, self._attempts = settings, width, attempts
        self._sweep = sweep
        self._run: Run | None = None
        self._into: Callable[..., Done] = solve_into
        self._named: dict[str, str] = {}

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Of a column of pickled `Work`, one of pickled `Done`."""
        found = []
        for content in batch["work"]:
            work: Work = pickle.loads(content)
            done = self._attempt(work, range(len(work.files)), work.key)
            kind = jax.devices()[0].device_kind
            done = dataclasses.replace(done, key=work.key, part=work.part, device=kind)
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
            row = Row.failed(file.stem, "", reason)
            done = Done(rows=(row,), said=(f"failed: {file}: {reason}",))
        self._call("end", key, None if key == work.key else pickle.dumps(done))
        return done

    def _call(self, method: str, *args: Any) -> Any:
        import ray  # pyright: ignore[reportMissingImports]

        return ray.get(getattr(self._attempts, method).remote(*args))

    def _solve(self, work: Work, places: range) -> Done:
        """In programs of half the width, from then on, where memory does not suffice."""
        notes: list[str] = []
        while True:
            run = self._made()
            try:
                done = self._solve_by(run, work, places)
            except jax.errors.JaxRuntimeError as error:
                if not is_out_of_memory(error) or run.width == 1:
                    raise
                half = run.width // 2
                notes.append(f"out of memory with {run.width} at a time; going on with {half}")
                self._run = dataclasses.replace(run, width=half)
                continue
            return dataclasses.replace(done, said=(*notes, *done.said))

    def _solve_by(self, run: Run, work: Work, places: range) -> Done:
        with tempfile.TemporaryDirectory(prefix="ilo_jax_") as folder:
            run, work = laid_out(run, work, Path(folder) / "inputs")
            (Path(folder) / "results").mkdir()
            done = self._into(run, work, places, Path(folder) / "results", self._named)
            return _without(f"{folder}/inputs/", done)

    def _made(self) -> Run:
        """The run, which is made once."""
        if self._run is None:
            settings = self._settings
            prior = prior_of(settings)
            with masks_of_nobody(settings, prior) as settings:
                self._run = Run.create(settings, prior, self._width)
            if self._sweep is not None:
                plan = Plan.create(settings, prior, self._sweep)
                self._into = functools.partial(runs_into, plan, parts_of(plan, self._run.width))
            self._named = named_inputs(self._settings)
        return self._run


def one_device() -> None:
    """A worker has one device, and of a processor one core: its results depend on nothing else."""
    from ilo_jax.app.cli import start_quickly  # which knows of all commands

    if jax.config.values["jax_num_cpu_devices"] < 0:
        jax.config.update("jax_num_cpu_devices", 1)
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    os.environ["NPROC"] = "1"  # threads of XLA
    start_quickly()


def solve_into(run: Run, work: Work, places: range, folder: Path, named: dict[str, str]) -> Done:
    """In a folder of its own, as a run does, and out of it again."""
    results = Results.open(folder, run.description)
    said = Said()

    def failed(file: Path, digest: str, reason: str) -> None:
        results.add([Row.failed(file.stem, digest, reason)], [None])

    batches, same = read_batches(run, work, places, named, said, failed)
    for batch in batches:
        runs = len(batch.samples) * run.restarts
        size = program_size(runs, 1 if run.settings.reproducible else run.width * run.restarts, 1)
        began = time.perf_counter()
        found = solve_batch(run, batch.samples, size, said)
        seconds = (time.perf_counter() - began) / len(batch.wanted)
        write_batch(run, results, batch.wanted, found, seconds, said)
    return Done(
        tuple(results.finished().values()) + tuple(results.failed().values()),
        {str(path.relative_to(folder)): path.read_bytes() for path in _inside(folder)},
        _lines(folder / "history.csv"),
        said=tuple(said.lines),
        same=same,
    )


def _without(folder: str, done: Done) -> Done:
    """What is said, without the folder where things were laid out."""
    return dataclasses.replace(
        done,
        rows=tuple(
            dataclasses.replace(row, status=row.status.replace(folder, "")) for row in done.rows
        ),
        said=tuple(line.replace(folder, "") for line in done.said),
    )


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

"""`--ray`, as the command line asks for it."""

import argparse
import dataclasses
from contextlib import AbstractContextManager
from pathlib import Path

import platformdirs
from rich.console import Console

from ilo_jax.app.cluster.connect import cluster, logs_of
from ilo_jax.app.cluster.engine import ATTEMPTS, Job, create_run, into_folder, into_parts
from ilo_jax.app.cluster.parts import Parts
from ilo_jax.app.cluster.reading import COLUMN
from ilo_jax.app.cluster.sources import Source, is_table, sources_of
from ilo_jax.app.cluster.stores import is_url, locked_url
from ilo_jax.app.cluster.tally import Tally
from ilo_jax.app.command import told
from ilo_jax.app.finish import finish
from ilo_jax.app.folder import make_folder
from ilo_jax.app.lock import locked
from ilo_jax.app.settings import Settings
from ilo_jax.errors import InputError
from ilo_jax.files.digest import combined
from ilo_jax.files.find import find_images

_BATCHES = 16
"""Of files that a task makes at a time."""


@dataclasses.dataclass(frozen=True)
class Given:
    """The images that a command names.

    Attributes:
      paths: of files.
      tables: other sources: Parquet, tars, folders of stores.
      notes: on what is not read.
    """

    paths: list[Path]
    tables: list[Source]
    notes: list[str]

    @classmethod
    def of(cls, args: argparse.Namespace, settings: Settings) -> "Given":
        """Raises:
        InputError: one of them is not there, or has not what is expected.
        """
        tables = [image for image in args.images if is_table(image)]
        others = [image for image in args.images if not is_table(image)]
        masks = settings.options.get("mask") == COLUMN
        if masks and others:
            raise InputError(
                f"--mask {COLUMN}: {others[0]} has none; expected Parquet or tars alone"
            )
        notes, measured = list[str](), settings.measured
        paths = find_images(others, measured, args.recursive, notes.append) if others else []
        return cls(paths, sources_of(tables, measured, args.recursive, masks), notes)

    def sources(self, width: int) -> list[Source]:
        """All of them, files divided where batches of `width` are."""
        starts = range(0, len(self.paths), _BATCHES * width)
        parts = (self.paths[start : start + _BATCHES * width] for start in starts)
        files = [Source(files=tuple(str(file.absolute()) for file in part)) for part in parts]
        return [*self.tables, *files]


def run_on_cluster(
    args: argparse.Namespace, settings: Settings, address: str, console: Console
) -> int:
    """The command; returns its exit code.

    Raises:
      InputError: bad input, or no image has a result.
    """
    given = Given.of(args, settings)
    paths = given.paths
    with _locked(args), cluster(address) as ray:
        run = create_run(ray, settings, getattr(args, "batch_size", None))
        job = Job(run, settings, given.sources(run.width), _attempts(args.out))
        with Tally(console, None if given.tables else len(paths)) as tally:
            for note in given.notes:
                tally.say(note)
            if args.parquet or is_url(args.out):
                summary, failed = into_parts(ray, job, Parts(args.out, settings.seed), tally)
            else:
                results, computed = into_folder(ray, job, Path(args.out), tally)
                if given.tables:  # whose images are not at hand for pictures
                    summary, failed = results.finish([], []), len(results.failed())
                else:
                    found = finish(run, paths, results, tally.say, computed)
                    summary, failed = found[0], len(found[1])
        if failed:
            tally.say(f"what workers said: {logs_of(ray)}")
    if not summary or not summary["images"]:
        raise InputError(f"{' '.join(args.images)}: no image has a result")
    table = "their rows' status" if args.parquet or is_url(args.out) else "metrics.csv"
    return told(summary, args.out, failed, summary["images"] + failed, table=table)


def _locked(args: argparse.Namespace) -> AbstractContextManager[None]:
    if is_url(args.out):
        return locked_url(args.out, args.take_over)
    return locked(Path(args.out), args.take_over)


def _attempts(out: str) -> Path:
    """A file that grows, which stores have not."""
    if not is_url(out):
        return Path(out) / ATTEMPTS
    folder = platformdirs.user_cache_path("ilo_jax") / "attempts"
    make_folder(folder)
    return folder / f"{combined(out)}.jsonl"

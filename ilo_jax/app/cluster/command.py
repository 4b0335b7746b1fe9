"""`--ray`, as the command line asks for it."""

import argparse
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import platformdirs
from rich.console import Console

from ilo_jax.app.cluster.connect import cluster, logs_of
from ilo_jax.app.cluster.engine import ATTEMPTS, Job, create_run, into_folder, into_parts
from ilo_jax.app.cluster.parts import Parts
from ilo_jax.app.cluster.sources import Source, is_table, sources_of
from ilo_jax.app.cluster.stores import is_url, locked_url
from ilo_jax.app.cluster.tally import Tally
from ilo_jax.app.cluster.worker import COLUMN
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


def run_on_cluster(
    args: argparse.Namespace, settings: Settings, address: str, console: Console
) -> int:
    """The command; returns its exit code.

    Raises:
      InputError: bad input, or no image has a result.
    """
    tables = [image for image in args.images if is_table(image)]
    others = [image for image in args.images if not is_table(image)]
    masks = settings.options.get("mask") == COLUMN
    if masks and others:
        raise InputError(f"--mask {COLUMN}: {others[0]} has none; expected Parquet or tars alone")
    notes: list[str] = []
    paths = find_images(others, args.measured, args.recursive, notes.append) if others else []
    sources = sources_of(tables, args.measured, args.recursive, masks)
    attempts = _attempts(args.out)
    with _locked(args), cluster(address) as ray:
        run = create_run(ray, settings, getattr(args, "batch_size", None))
        sources += list(_of_files(paths, run.width))
        job = Job(run, settings, sources, attempts)
        with Tally(console, None if tables else len(paths)) as tally:
            for note in notes:
                tally.say(note)
            if args.parquet or is_url(args.out):
                summary, failed = into_parts(ray, job, Parts(args.out, settings.seed), tally)
            else:
                results, computed = into_folder(ray, job, Path(args.out), tally)
                if tables:  # whose images are not at hand for pictures
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


def _of_files(paths: list[Path], width: int) -> Any:
    for start in range(0, len(paths), _BATCHES * width):
        files = paths[start : start + _BATCHES * width]
        yield Source(files=tuple(str(file.absolute()) for file in files))


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

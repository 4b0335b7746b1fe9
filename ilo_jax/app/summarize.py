"""`summarize OUT`: the shards of a run, together as if one command had computed all of it."""

import argparse
import os
import shutil
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ilo_jax.app.command import settings_of, told
from ilo_jax.app.config import with_config
from ilo_jax.app.finish import finish
from ilo_jax.app.folder import check_same_run, make_folder, open_folder, read_run
from ilo_jax.app.grid import columns_of
from ilo_jax.app.lock import locked
from ilo_jax.app.metrics import COLUMNS
from ilo_jax.app.prior import prior_of
from ilo_jax.app.progress import ProgressReporter
from ilo_jax.app.results import Results
from ilo_jax.app.run import Run
from ilo_jax.app.shards import FOLDER, Shard, shard_of, whole
from ilo_jax.app.sweep import TABLE as SWEEP
from ilo_jax.app.sweep_report import finish_sweep
from ilo_jax.app.table import Table
from ilo_jax.errors import InputError
from ilo_jax.files.atomic import TEMPORARY
from ilo_jax.files.find import find_images
from ilo_jax.files.generators import load


def run_summarize(args: argparse.Namespace, console: Console) -> int:
    """The command; returns its exit code.

    Files of the shards are linked, not copied, where the file system has links.

    Raises:
      InputError: shards are missing, not done, of different runs, or overlap.
    """
    out = Path(args.out)
    if not out.is_dir():
        raise InputError(f"{out}: no folder; expected the --out of --shard")
    shards = whole(out)
    described = _described(out, shards)
    if "grid" in described:
        return _summarize_sweep(args, out, shards, described, console)
    _check_rows(out, shards, "metrics.csv", COLUMNS, "name")
    folders = [shard.folder(out) for shard in shards]
    with locked(out, args.take_over), ProgressReporter(console) as reporter:
        results = Results.open(out, described, beside=(FOLDER,))
        for folder in folders:
            _link(folder, out)
        results.merge(folder / "metrics.csv" for folder in folders)
        results.history.gather(folder / "history.csv" for folder in folders)
        run, paths = _command(args, out, shards)
        here = _tried(paths, results.finished() | results.failed(), reporter)
        summary, failed = finish(run, here, results, reporter.say, computed=True)
    return told(summary, out, len(failed), len(here))


def _summarize_sweep(
    args: argparse.Namespace,
    out: Path,
    shards: Sequence[Shard],
    described: Mapping[str, Any],
    console: Console,
) -> int:
    """As `run_summarize`, where each has a table of runs."""
    grid, columns = described["grid"], columns_of(described["grid"])
    rows = _check_rows(out, shards, SWEEP, columns, "image")
    notice = load(described["generator"]).facts.notice
    with locked(out, args.take_over), ProgressReporter(console) as reporter:
        open_folder(out, described, beside=(FOLDER,))
        table = Table(out / SWEEP, columns, [])
        table.replace(rows)
        images, recursive = _named(args, out, shards)
        paths = find_images(images, recursive=recursive)
        _tried(paths, {row["image"] for row in rows}, reporter)
        return finish_sweep(out, grid, table, notice)


def _tried(paths: Sequence[Path], known: Container[str], reporter: ProgressReporter) -> list[Path]:
    """Files that are in a shard; says how many are in none."""
    here = [file for file in paths if file.stem in known]
    if len(here) < len(paths):
        new = next(file for file in paths if file.stem not in known)
        reporter.say(
            f"{len(paths) - len(here)} images are in no shard, {new} the first: the shards' "
            "commands compute them"
        )
    return here


def _described(out: Path, shards: Sequence[Shard]) -> Mapping[str, Any]:
    """What all of them ran."""
    first, *others = shards
    expected = _run_of(first.folder(out))
    for shard in others:
        found = _run_of(shard.folder(out))
        check_same_run(shard.folder(out), found, expected)
        if found["inputs"] != expected["inputs"]:
            names = [k for k, v in found["inputs"].items() if expected["inputs"].get(k) != v]
            raise InputError(
                f"{shard.folder(out)}: made of another {', '.join(names)} than shard {first}; "
                "expected the same: run one of them again"
            )
    return expected


def _run_of(folder: Path) -> dict[str, Any]:
    found = read_run(folder)
    if found is None or "inputs" not in found:
        raise InputError(f"{folder}/run.json: damaged; expected the results of a shard")
    return found


def _check_rows(
    out: Path, shards: Sequence[Shard], table: str, columns: Sequence[str], name: str
) -> list[Mapping[str, str]]:
    """The rows of all tables.

    Args:
      name: of the column of images, each of which is in the shard of its name, and so in one only.
    """
    found: list[Mapping[str, str]] = []
    for shard in shards:
        rows = Table.open(shard.folder(out) / table, columns).rows
        for row in rows:
            own = Shard(shard_of(row[name], shard.count), shard.count)
            if own != shard:
                raise InputError(
                    f"{shard.folder(out)}: has image {row[name]}, which is of shard {own}: they "
                    "overlap; expected each image in its own"
                )
        found += rows
    return found


def _command(
    args: argparse.Namespace, out: Path, shards: Sequence[Shard]
) -> tuple[Run, list[Path]]:
    """What the shards ran, and the images of all of them."""
    from ilo_jax.app.parser import make_parser  # which knows of this command

    described = shards[0].folder(out) / "run.json"
    images, recursive = _named(args, out, shards)
    line = ["--config", str(described), "--images", *images, "--out", str(out)]
    parser = make_parser()
    settings = settings_of(parser.parse_args(with_config(line, parser)))
    paths = find_images(images, settings.measured, recursive)
    prior = prior_of(settings)
    return Run.create(settings, prior), paths


def _named(args: argparse.Namespace, out: Path, shards: Sequence[Shard]) -> tuple[list[str], bool]:
    """The images as the shards' commands named them, and whether folders in them count."""
    done = [found for shard in shards if (found := shard.done(out))]
    images = args.images or list(dict.fromkeys(path for one in done for path in one.images))
    return images, any(one.recursive for one in done)


def _link(folder: Path, out: Path) -> None:
    """All that a shard has of single images."""
    for kind in _folders(folder):
        for file in kind.rglob("*"):
            if file.is_file() and not file.name.startswith(TEMPORARY):
                there = out / file.relative_to(folder)
                make_folder(there.parent)
                if not (there.exists() and os.path.samefile(file, there)):
                    _link_file(file, there)


def _link_file(file: Path, there: Path) -> None:
    there.unlink(missing_ok=True)
    try:
        os.link(file, there)
    except OSError:  # some file systems have no links
        try:
            shutil.copy2(file, there)
        except OSError as error:
            raise InputError(
                f"{there}: cannot be written ({error.strerror}); expected write permission and "
                "free space"
            ) from error


def _folders(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())

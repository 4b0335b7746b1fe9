"""`python -m ilo_jax.solve sweep TASK`: a task under many settings at once."""

import argparse
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from ilo_jax.app import arguments
from ilo_jax.app.command import machines_of
from ilo_jax.app.extras import need
from ilo_jax.app.folder import open_folder
from ilo_jax.app.grid import Plan, Sweep, columns_of, text_of
from ilo_jax.app.inputs import Inputs, kept
from ilo_jax.app.lock import locked
from ilo_jax.app.metrics import OK
from ilo_jax.app.pipeline import Pipeline
from ilo_jax.app.prior import prior_of
from ilo_jax.app.progress import ProgressReporter
from ilo_jax.app.run import Run
from ilo_jax.app.samples import Reader, Sample
from ilo_jax.app.settings import Settings
from ilo_jax.app.shards import Done
from ilo_jax.app.sweep_report import Tried, finish_sweep
from ilo_jax.app.table import Table
from ilo_jax.app.tasks import TASKS
from ilo_jax.errors import InputError
from ilo_jax.files.find import find_images
from ilo_jax.solve import Runs

TABLE = "sweep.csv"


def run_sweep(args: argparse.Namespace, console: Console) -> int:
    """The command; returns its exit code."""
    need("matplotlib", "plots", "sweep, which draws sweep.png")
    axes = dict(args.grid)
    if len(axes) < len(args.grid):
        raise InputError("--grid: a name twice; expected each once, with all of its values")
    settings = Settings(**arguments.chosen(args, TASKS[args.swept]))
    if settings.method is None:  # the numbers of a grid are in ILO's units
        settings = dataclasses.replace(settings, method="ilo")
    sweep = Sweep(axes, args.restarts)
    shard, address = machines_of(args)
    if "://" in args.out:
        raise InputError(f"--out {args.out}: expected a folder, for {TABLE} is one file")
    if address:
        from ilo_jax.app.cluster.sweep import sweep_on_cluster

        return sweep_on_cluster(args, settings, sweep, address, console)
    prior, notes = prior_of(settings), list[str]()
    plan = Plan.create(settings, prior, sweep)
    run = Run.create(settings, prior, getattr(args, "batch_size", None))
    paths = find_images(args.images, recursive=args.recursive, say=notes.append)
    out, title = Path(args.out), ""
    if shard is not None:
        shard.begin(out)
        out, paths, title = shard.folder(out), shard.share(paths), f"shard {shard}: "
    with locked(out, args.take_over):
        inputs = Inputs(run, paths)
        open_folder(out, described(run, sweep) | {"inputs": inputs.named})
        table = Table.open(out / TABLE, columns_of(plan.axes))
        with ProgressReporter(console, title) as reporter:
            for note in notes:
                reporter.say(note)
            # The only file of a command is refused where it cannot be read, one of a shard is not.
            _solve_missing(run, inputs, plan, table, reporter, len(paths) == 1 and shard is None)
        code = finish_sweep(out, tried(sweep), table, prior.facts.notice, title)
        if shard is not None:
            done = Done(tuple(args.images), args.recursive, len(paths))
            shard.end(Path(args.out), done)
    return code


def described(run: Run, sweep: Sweep) -> dict[str, Any]:
    """JSON-able: what was chosen."""
    return {**run.description, "grid": tried(sweep), "restarts": sweep.restarts}


def tried(sweep: Sweep) -> Tried:
    """The values of each axis, as the table has them."""
    return {name: [text_of(value) for value in values] for name, values in sweep.axes.items()}


def digests_of(plan: Plan, rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Of the images of which all runs have a result."""
    good = Counter(row["image"] for row in rows if row["status"] == OK)
    return {row["image"]: row["input"] for row in rows if good[row["image"]] >= plan.runs}


def _solve_missing(
    run: Run, inputs: Inputs, plan: Plan, table: Table, reporter: ProgressReporter, alone: bool
) -> None:
    """Images of which a run failed, or is missing, are solved again."""
    paths = inputs.files
    same = kept(digests_of(plan, table.rows), inputs, reporter.say)
    missing = [path for path in paths if path.stem not in same]
    again = {path.stem for path in missing}
    table.keep(lambda row: row["image"] not in again)
    finished = len(paths) - len(missing)

    def failed(file: Path, digest: str, reason: str) -> None:
        nonlocal finished
        table.add(plan.failed(file.stem, digest, reason))
        finished += 1

    def begin(batch: list[Sample], _: int) -> None:
        steps = plan.runs * len(batch) * plan.steps
        reporter.batch(finished, len(batch), len(paths), [steps])

    def solve(batch: list[Sample], size: int) -> Runs:
        return plan.solve(run, batch, size, lambda done, _: reporter.progress(done * plan.steps))

    def write(batch: list[Sample], found: Runs, _: float) -> None:
        nonlocal finished
        for b, sample in enumerate(batch):
            table.add(list(plan.rows(sample, range(plan.runs), of_image(found, b))))
        finished += len(batch)

    Pipeline(
        solve=solve,
        write=write,
        begin=begin,
        name=lambda sample: sample.file,
        runs=plan.runs,
        width=run.width,
    ).run(Reader(run, inputs, reporter.say, failed).read(missing, alone=alone), reporter.say)


def of_image(found: Runs, image: int) -> Runs:
    """Of `[points, restarts, images]`, those of one image, `[runs]`."""
    return jax.tree.map(lambda a: a[:, :, image].reshape(-1, *a.shape[3:]), found)

"""`sweep --ray`: images by grid points over a cluster, into one table."""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ilo_jax.app.cluster.command import Given
from ilo_jax.app.cluster.connect import cluster, logs_of
from ilo_jax.app.cluster.engine import ATTEMPTS, Job, create_run, end, solved
from ilo_jax.app.cluster.reading import named_inputs
from ilo_jax.app.cluster.runs import images_at_once, parts_of
from ilo_jax.app.cluster.tally import Tally
from ilo_jax.app.folder import open_folder
from ilo_jax.app.grid import Plan, Sweep, columns_of
from ilo_jax.app.lock import locked
from ilo_jax.app.metrics import OK
from ilo_jax.app.settings import Settings
from ilo_jax.app.sweep import TABLE, described, tried
from ilo_jax.app.sweep_report import finish_sweep
from ilo_jax.app.table import Table


def sweep_on_cluster(
    args: argparse.Namespace, settings: Settings, sweep: Sweep, address: str, console: Console
) -> int:
    """The command; returns its exit code.

    Raises:
      InputError: bad input, or no run has a result.
    """
    given, out = Given.of(args, settings), Path(args.out)
    with locked(out, args.take_over), cluster(address) as ray:
        run = create_run(ray, settings, getattr(args, "batch_size", None))
        plan = Plan.create(settings, run.prior, sweep)
        parts, at_once = parts_of(plan, run.width), images_at_once(plan, run.width)
        attempts, sources = out / ATTEMPTS, given.sources(at_once)
        job = Job(run, settings, sources, attempts, sweep, at_once, len(parts))
        open_folder(out, described(run, sweep) | {"inputs": named_inputs(settings)})
        table = Table.open(out / TABLE, columns_of(plan.axes))
        total = None if given.tables else len(given.paths) * plan.runs
        with Tally(console, total, what="runs") as tally:
            for note in given.notes:
                tally.say(note)
            into_table(ray, job, plan, parts, table, tally)
            code = finish_sweep(out, tried(sweep), table, run.prior.facts.notice)
            if code:
                tally.say(f"what workers said: {logs_of(ray)}")
    return code


def into_table(
    ray: Any, job: Job, plan: Plan, parts: Sequence[range], table: Table, tally: Tally
) -> None:
    """Does the runs that are not there yet, each program's by itself.

    Args:
      parts: runs of an image, by the program that does them.
    """
    number_of = plan.numbers()
    part_of = {number: i for i, part in enumerate(parts) for number in part}

    def place(row: Mapping[str, str]) -> tuple[str, int]:
        return row["image"], part_of[number_of(row)]

    there: dict[tuple[str, int], list[Mapping[str, str]]] = defaultdict(list)
    for row in table.rows:
        there[place(row)].append(row)
    good = {
        (image, i): rows[0]["input"]
        for (image, i), rows in there.items()
        if [row["status"] for row in rows] == [OK] * len(parts[i])
    }
    table.keep(lambda row: place(row) in good)
    known = [
        {image: digest for (image, of), digest in good.items() if of == i}
        for i in range(len(parts))
    ]
    for done in solved(ray, job, known, None):
        for line in done.said:
            tally.say(line)
        rows = list(done.runs)
        for row in done.rows:
            rows += plan.failed(row.name, row.input, row.status, parts[done.part])
        changed = {place(row) for row in rows} & good.keys()
        if changed:  # made of other inputs
            table.keep(lambda row, changed=changed: place(row) not in changed)
        table.add(rows)
        failed = sum(row["status"] != OK for row in rows)
        tally.add(len(rows) - failed, failed, done.same * len(parts[done.part]))
    end(job, tally)

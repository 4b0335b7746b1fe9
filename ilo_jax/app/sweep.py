"""`python -m ilo_jax.solve sweep TASK`: a task under many settings at once."""

import argparse
import dataclasses
import io
import itertools
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich.console import Console

from ilo_jax import solve
from ilo_jax.app import arguments
from ilo_jax.app.extras import need
from ilo_jax.app.folder import open_folder
from ilo_jax.app.inputs import Inputs, kept
from ilo_jax.app.lock import locked
from ilo_jax.app.methods import method_of, weights_of
from ilo_jax.app.metrics import NOT_FINITE, OK, cell, evaluate
from ilo_jax.app.pipeline import Pipeline
from ilo_jax.app.prior import prior_of
from ilo_jax.app.progress import ProgressReporter
from ilo_jax.app.run import Run
from ilo_jax.app.samples import Reader, Sample, batch_operator, stack
from ilo_jax.app.settings import Settings
from ilo_jax.app.table import Table
from ilo_jax.app.tasks import TASKS
from ilo_jax.errors import InputError
from ilo_jax.files.atomic import write_atomically
from ilo_jax.files.find import find_images
from ilo_jax.priors import Prior
from ilo_jax.solve import TERMS, Method, Runs

METRICS = ("psnr_db", "ssim", "measurement_mse", "found_at")
ENDINGS = ("input", "status")

Setting = Mapping[str, Sequence[float]]
"""The numbers of a grid point, by the names of the axes."""


def grid(
    settings: Settings, prior: Prior, axes: Mapping[str, Sequence[Sequence[float]]]
) -> tuple[list[Setting], list[Method]]:
    """All combinations of values, and the method of each.

    Args:
      axes: for `lr`, `radii`, `steps`, `cuts` or a term (its weight) the values to try, each one
        number, or some as the option of that name takes them.

    Raises:
      InputError: a name that is none of these, or numbers that do not go together.
    """
    for name, values in axes.items():
        if name not in ("lr", "radii", "steps", "cuts", *TERMS):
            raise InputError(
                f"--grid {name}: expected lr, radii, steps, cuts, or a term: {', '.join(TERMS)}; "
                "for anything else run the command again"
            )
        whole = all(number.is_integer() for value in values for number in value)
        if name in ("steps", "cuts") and not whole:
            raise InputError(f"--grid {name}: expected whole numbers")
    points: list[Setting] = [
        dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*axes.values())
    ]
    weights = dict(settings.weights or weights_of(method_of(settings, prior).objective))
    return points, [_method(settings, prior, point, weights) for point in points]


def _method(
    settings: Settings, prior: Prior, point: Setting, weights: Mapping[str, tuple[float, ...]]
) -> Method:
    changes: dict[str, Any] = {}
    of_terms = {name: tuple(value) for name, value in point.items() if name in TERMS}
    if of_terms:
        changes["weights"] = {**weights, **of_terms}
    for name, value in point.items():
        if name in ("steps", "cuts"):
            changes[name] = tuple(map(int, value))
        elif name not in TERMS:
            changes[name] = tuple(value)
    return method_of(dataclasses.replace(settings, **changes), prior)


def run_sweep(args: argparse.Namespace, console: Console) -> int:
    """The command; returns its exit code."""
    need("matplotlib", "plots", "sweep, which draws sweep.png")
    axes = dict(args.grid)
    if len(axes) < len(args.grid):
        raise InputError("--grid: a name twice; expected each once, with all of its values")
    settings = Settings(**arguments.chosen(args, TASKS[args.swept]))
    if settings.method is None:  # the numbers of a grid are in ILO's units
        settings = dataclasses.replace(settings, method="ilo")
    prior = prior_of(settings)
    points, methods = grid(settings, prior, axes)
    run = Run.create(settings, prior, getattr(args, "batch_size", None))
    out, notes = Path(args.out), list[str]()
    paths = find_images(args.images, recursive=args.recursive, say=notes.append)
    tried = {name: [_text(value) for value in values] for name, values in axes.items()}
    with locked(out, args.take_over):
        inputs = Inputs(run, paths)
        described = {**run.description, "grid": tried, "restarts": args.restarts}
        open_folder(out, described | {"inputs": inputs.named})
        table = Table.open(out / "sweep.csv", [*axes, "image", "restart", *METRICS, *ENDINGS])
        with ProgressReporter(console) as reporter:
            for note in notes:
                reporter.say(note)
            unreadable = _solve_missing(
                run, inputs, points, methods, args.restarts, table, reporter
            )
        if not table.rows:
            raise InputError(f"{' '.join(args.images)}: none of the images can be read")
        whole = _report(out, list(axes), table.rows, prior.facts.notice)
    return 0 if whole and not unreadable else 1


def _solve_missing(
    run: Run,
    inputs: Inputs,
    points: Sequence[Setting],
    methods: Sequence[Method],
    restarts: int,
    table: Table,
    reporter: ProgressReporter,
) -> list[Path]:
    """Images of which a run failed, or is missing, are solved again; returns the files that cannot
    be read."""
    steps, runs = max(method.max_steps or 0 for method in methods), len(methods) * restarts
    good = Counter(row["image"] for row in table.rows if row["status"] == OK)
    again = {row["image"] for row in table.rows if good[row["image"]] < runs}
    digests = {row["image"]: row["input"] for row in table.rows if row["image"] not in again}
    paths, unreadable = inputs.files, list[Path]()
    same = kept(digests, inputs, reporter.say)
    missing = [path for path in paths if path.stem not in same]
    again |= {path.stem for path in missing}
    table.keep(lambda row: row["image"] not in again)
    finished = len(paths) - len(missing)
    reader = Reader(run, inputs, reporter.say, lambda file, *_: unreadable.append(file))

    def begin(batch: list[Sample], _: int) -> None:
        reporter.batch(finished, len(batch), len(paths), [runs * len(batch) * steps])

    def solve_batch(batch: list[Sample], size: int) -> Runs:
        return solve.sweep(
            run.prior,
            batch_operator(batch),
            stack([sample.measurement for sample in batch]),
            jnp.stack([run.image_key(sample.file) for sample in batch]),
            methods,
            restarts=restarts,
            batch_size=size,
            progress=lambda done, _: reporter.progress(done * steps),
        )

    def write(batch: list[Sample], found: Runs, _: float) -> None:
        nonlocal finished
        table.add(list(_rows(points, batch, found)))
        finished += len(batch)

    Pipeline(
        solve=solve_batch,
        write=write,
        begin=begin,
        name=lambda sample: sample.file,
        runs=runs,
        width=run.width,
    ).run(reader.read(missing, alone=len(paths) == 1), reporter.say)
    return unreadable


def _rows(
    points: Sequence[Setting], samples: Sequence[Sample], found: Runs
) -> Iterator[dict[str, str]]:
    """Of the table, one a run, those of an image in a row."""
    for b, s, k in np.ndindex(len(samples), *found.error.shape[:2]):
        row = {name: _text(value) for name, value in points[s].items()}
        row |= {"image": samples[b].file.stem, "restart": str(k), "input": samples[b].digest}
        if not np.isfinite(found.error[s, k, b]):
            yield row | dict.fromkeys(METRICS, "") | {"status": NOT_FINITE}
            continue
        truth = samples[b].truth
        assert truth is not None
        scores = evaluate(truth, found.image[s, k, b])
        metrics = (scores.psnr_db, scores.ssim, found.error[s, k, b], found.found_at[s, k, b])
        yield row | dict(zip(METRICS, map(cell, metrics), strict=True)) | {"status": OK}


def _report(out: Path, names: list[str], rows: Sequence[Mapping[str, str]], notice: str) -> bool:
    """Draws and says what came of the sweep; returns whether no run failed."""
    good = [row for row in rows if row["status"] == OK]
    failed = len(rows) - len(good)
    if not good:
        raise InputError(f"{out}: all {failed} runs failed ({NOT_FINITE}); expected some that end")
    means = _means(names, good)
    write_atomically(out / "sweep.png", _plot(names, means, notice))
    best = max(means.items(), key=lambda item: item[1][0])
    setting = " ".join(f"{name}={value}" for name, value in zip(names, best[0], strict=True))
    print(f"{len(rows)} runs; best: {setting}, PSNR {best[1][0]:.2f} dB: {out / 'sweep.csv'}")
    if failed:
        print(f"{failed} runs failed: {NOT_FINITE}", file=sys.stderr)
    return not failed


def _text(values: Sequence[float]) -> str:
    return ":".join(f"{v:g}" for v in values)


def _means(
    names: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, ...], tuple[float, float]]:
    """Mean PSNR of each setting, and the mean's standard error."""
    found: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(float(row["psnr_db"]))
    return {
        setting: (float(np.mean(psnr)), float(np.std(psnr) / np.sqrt(len(psnr))))
        for setting, psnr in found.items()
    }


def _plot(
    names: Sequence[str], means: Mapping[tuple[str, ...], tuple[float, float]], notice: str
) -> bytes:
    """PSNR by the first name's values, a line for each combination of the others."""
    from matplotlib.figure import Figure  # late: every command imports this module

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for others in dict.fromkeys(setting[1:] for setting in means):
        line = {s[0]: v for s, v in means.items() if s[1:] == others}
        psnr, error = zip(*line.values(), strict=True)
        label = ", ".join(f"{n} {v}" for n, v in zip(names[1:], others, strict=True))
        axes.errorbar(list(line), psnr, error, marker="o", capsize=3, label=label or None)
    axes.set_xlabel(names[0])
    axes.set_ylabel("PSNR, dB (mean and its standard error)")
    axes.grid(alpha=0.3)
    if len(names) > 1:
        axes.legend()
    if notice:
        figure.supxlabel(notice, fontsize="small")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()

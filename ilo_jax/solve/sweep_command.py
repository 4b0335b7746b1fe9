"""`python -m ilo_jax.solve sweep TASK`: a task under many settings at once."""

import argparse
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from ilo_jax.errors import InputError
from ilo_jax.ops import TASKS
from ilo_jax.solve import arguments, images
from ilo_jax.solve.files import write_atomically
from ilo_jax.solve.loop import stack
from ilo_jax.solve.memory import halve, is_out_of_memory
from ilo_jax.solve.progress import ProgressReporter
from ilo_jax.solve.results import check_new_folder, evaluate, make_folder
from ilo_jax.solve.run import Sample, read_sample
from ilo_jax.solve.settings import Run, Settings
from ilo_jax.solve.sweep import Runs, grid, sweep
from ilo_jax.stylegan2 import load

METRICS = ("psnr_db", "ssim", "measurement_mse", "found_at")


def run_sweep(args: argparse.Namespace, console: Console) -> int:
    """The command; returns its exit code. Rows of the images that are done are kept when it is
    interrupted."""
    axes = dict(args.grid)
    if len(axes) < len(args.grid):
        raise InputError("--grid: a name twice; expected each once, with all of its values")
    settings = Settings(**arguments.chosen(args, TASKS[args.swept]))
    run = Run.create(settings, load(args.generator), getattr(args, "batch_size", None))
    schedule = run.plan.schedule
    tried, hyper = grid(schedule, run.plan.hyper, axes)
    paths = images.find_images(args.images)
    out = Path(args.out)
    check_new_folder(out)
    make_folder(out)
    runs = len(tried) * args.restarts
    steps = sum(r.steps for r in schedule.rounds)
    size = min(run.batch_size, runs * len(paths))
    rows: list[dict[str, Any]] = []
    with ProgressReporter(console) as reporter:
        first = 0
        while first < len(paths):
            group = paths[first : first + max(1, size // runs)]
            samples = [read_sample(run, path)[0] for path in group]
            reporter.batch(first, len(samples), len(paths), [runs * len(samples) * steps])
            try:
                found = sweep(
                    run.generator,
                    run.operator,
                    stack(s.measurement for s in samples),
                    jnp.stack([run.image_key(s.file) for s in samples]),
                    schedule,
                    hyper,
                    losses=run.plan.losses,
                    restarts=args.restarts,
                    batch_size=size,
                    progress=lambda done, _: reporter.progress(0, done * steps, jnp.zeros(())),
                )
            except jax.errors.JaxRuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                size = halve(size, "run", group[0], reporter.say, "or a smaller generator")
                continue
            rows += _rows(tried, samples, found)
            write_atomically(out / "sweep.csv", _csv(rows))
            first += len(samples)
    means = _means(list(axes), rows)
    write_atomically(out / "sweep.png", _plot(list(axes), means, run.notice))
    best = max(means.items(), key=lambda item: item[1][0])
    setting = " ".join(f"{name}={value}" for name, value in zip(axes, best[0], strict=True))
    print(f"{len(rows)} runs; best: {setting}, PSNR {best[1][0]:.2f} dB: {out / 'sweep.csv'}")
    return 0


def _rows(
    tried: Sequence[Mapping[str, Sequence[float]]], samples: Sequence[Sample], found: Runs
) -> Iterator[dict[str, Any]]:
    """Of the table, one a run."""
    for s, k, b in np.ndindex(found.error.shape):
        truth = samples[b].truth
        assert truth is not None
        scores = evaluate(truth, found.image[s, k, b])
        metrics = (*scores, found.error[s, k, b], found.found_at[s, k, b])
        row: dict[str, Any] = {name: _text(v) for name, v in tried[s].items()}
        row |= {"image": samples[b].file.stem, "restart": k}
        yield row | dict(zip(METRICS, map(_number, metrics), strict=True))


def _text(values: Sequence[float]) -> str:
    return ":".join(f"{v:g}" for v in values)


def _number(value: Any) -> Any:
    return "" if value is None else f"{value:.6g}"


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


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

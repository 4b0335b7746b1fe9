"""What is said of a sweep when its last run is done: the table in order, the best, a plot."""

import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ilo_jax.app.metrics import OK
from ilo_jax.app.table import Table
from ilo_jax.errors import InputError
from ilo_jax.files.atomic import write_atomically
from ilo_jax.files.find import natural_key

Tried = Mapping[str, Sequence[str]]
"""The values of each axis, as the table has them."""


def finish_sweep(out: Path, tried: Tried, table: Table, notice: str, title: str = "") -> int:
    """Draws and says what came of the sweep; returns the exit code.

    Args:
      table: of the runs; it is brought into order.
      notice: what is to be said of the generator.
      title: of a part of a sweep, put in front; a part may have no result.

    Raises:
      InputError: no run has a result.
    """
    ordered = in_order(table.rows, tried)
    if ordered != table.rows:
        table.replace(ordered)
    good = [row for row in ordered if row["status"] == OK]
    failed = len(ordered) - len(good)
    if title and not good:
        print(
            f"{title}{failed} runs failed: {table.path}" if failed else f"{title}no images: {out}"
        )
        return 1 if failed else 0
    if not good:
        why = ordered[0]["status"] if ordered else "no images"
        raise InputError(f"{out}: all {failed} runs failed ({why}); expected some that end")
    names = list(tried)
    means = _means(names, good)
    write_atomically(out / "sweep.png", _plot(names, means, notice))
    best = max(means.items(), key=lambda item: item[1][0])
    setting = " ".join(f"{name}={value}" for name, value in zip(names, best[0], strict=True))
    print(f"{title}{len(ordered)} runs; best: {setting}, PSNR {best[1][0]:.2f} dB: {table.path}")
    if failed:
        print(
            f"{failed} of {len(ordered)} runs failed: why is in {table.path.name}", file=sys.stderr
        )
    return 1 if failed else 0


def in_order(rows: Iterable[Mapping[str, str]], tried: Tried) -> list[Mapping[str, str]]:
    """By image, grid point and restart."""

    def place(row: Mapping[str, str]) -> tuple[Any, ...]:
        point = [list(values).index(row[name]) for name, values in tried.items()]
        return natural_key(row["image"]), point, int(row["restart"])

    return sorted(rows, key=place)


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

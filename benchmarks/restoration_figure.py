"""What `benchmarks.restoration` has measured: a figure, and the table of the docs.

    python -m benchmarks.restoration_figure docs/restoration.csv --out docs/restoration.png

`--credit` is a line below the figure.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.restoration import ROWS, interval, markdown

FIELDS = {"psnr_db": "PSNR, dB", "lpips": "LPIPS"}
COLOURS = ("#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
"""Okabe & Ito (2008)."""


def in_order(rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Rows of the benchmark's order, methods as they come."""
    place = {name: i for i, name in enumerate(ROWS)}
    return sorted(rows, key=lambda row: place[row["row"]])


def draw(rows: Sequence[Mapping[str, str]], credit: str) -> Figure:
    """Mean and 95 % interval of every row and method."""
    names = list(dict.fromkeys(row["row"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, (field, label) in zip(panels, FIELDS.items(), strict=True):
        for k, (method, colour) in enumerate(zip(methods, COLOURS, strict=False)):
            found = {
                i: np.array([float(r[field]) for r in rows if (r["row"], r["method"]) == key])
                for i, name in enumerate(names)
                for key in [(name, method)]
            }
            found = {i: values for i, values in found.items() if values.size}
            axes.errorbar(
                np.array(list(found)) + 0.12 * (k - (len(methods) - 1) / 2),
                [values.mean() for values in found.values()],
                [interval(values) for values in found.values()],
                fmt="o",
                markersize=4,
                linewidth=1,
                color=colour,
                label=method,
            )
        axes.set_ylabel(label)
        axes.grid(axis="y", color="#dddddd")
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xticks(range(len(names)), names, rotation=60, ha="right")
    panels[0].legend(frameon=False, ncols=len(methods))
    figure.supxlabel(credit, fontsize=7, color="#777777")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("rows", type=Path, help="CSV file of `benchmarks.restoration`")
    parser.add_argument("--out", required=True, type=Path, help="PNG file")
    parser.add_argument("--credit", default="", help="a line below")
    args = parser.parse_args()

    with open(args.rows, newline="") as file:
        rows = in_order(list(csv.DictReader(file)))
    draw(rows, args.credit).savefig(args.out, dpi=110)
    print(markdown(rows))


if __name__ == "__main__":
    main()

"""S-REC on samples (Definition 1): how measurement matrices keep distances of generated images.

Ratios `|A (x1 - x2)| / |x1 - x2|` over pairs of the extended range of `chest64` and over draws of
the matrix, i.i.d. Gaussian and randomly signed partial circulant, as m grows: a table, and
`srec.csv` and `srec.png` in the folder `--out`.

    python -m benchmarks.srec --out docs
"""

import argparse
import csv
import functools
import math
import pathlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import ilo_jax
from ilo_jax import ops
from ilo_jax.theory import draw_differences, draw_inputs, isometry_ratios

MATRICES = {"Gaussian": ops.gaussian_matrix, "circulant": ops.partial_circulant}
COLORS = {"Gaussian": "#0072b2", "circulant": "#d55e00"}  # Okabe & Ito, 2008
SHIFTS = {"Gaussian": 0.91, "circulant": 1.1}
PAIRS = {"far": "two images", "near": "one image, two deviations"}
QUANTILES = (0, 0.05, 0.5, 0.95, 1)


class Row(NamedTuple):
    """Quantiles of the ratio over pairs and draws of the matrix."""

    pairs: str
    matrix: str
    m: int
    min: float
    q05: float
    median: float
    q95: float
    max: float


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder")
    parser.add_argument("--cut", type=int, default=1, help="layer whose input features deviate")
    parser.add_argument("--radius", type=float, default=300, help="r2, of their l1 ball")
    parser.add_argument("--pairs", type=int, default=128, help="of each kind")
    parser.add_argument("--draws", type=int, default=16, help="of each matrix")
    parser.add_argument("--m", type=int, nargs="+", default=[16, 32, 64, 128, 256, 512, 1024])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    prior = ilo_jax.load("chest64")
    *k_inputs, k_pairs, k_matrices = jax.random.split(jax.random.key(args.seed), 4)
    draw = jax.jit(draw_inputs, static_argnames="count")
    first, second = (draw(prior, key, count=args.pairs) for key in k_inputs)
    differ = jax.jit(draw_differences, static_argnames="cut")
    differences = differ(prior, args.cut, args.radius, first, second, k_pairs)
    image_shape = prior.image_shape
    rows = []
    for m in args.m:
        for matrix, build in MATRICES.items():
            keys = jax.random.split(jax.random.fold_in(k_matrices, m), args.draws)
            draw_matrix = functools.partial(build, image_shape=image_shape, m=m)
            for pairs in PAIRS:
                ratios = _ratios(draw_matrix, getattr(differences, pairs), keys)
                rows.append(Row(pairs, matrix, m, *np.quantile(ratios, QUANTILES).tolist()))
    rows.sort(key=lambda row: (row.pairs, row.matrix))

    Console().print(_table(rows))
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "srec.csv").open("w", newline="") as file:
        csv.writer(file).writerows([Row._fields, *rows])
    _figure(rows).savefig(args.out / "srec.png", dpi=150)


@functools.partial(jax.jit, static_argnames="draw_matrix")
def _ratios(draw_matrix: Callable, differences: jax.Array, keys: jax.Array) -> jax.Array:
    """`[draws, pairs]`, one matrix in memory at a time."""
    return jax.lax.map(lambda key: isometry_ratios(draw_matrix(key), differences), keys)


def _table(rows: Iterable[Row]) -> Table:
    table = Table(title="|A (x1 - x2)| / |x1 - x2|")
    columns = ("pairs", "matrix", "m", "min", "5 %", "median", "95 %", "max", "band √m")
    for column in columns:
        table.add_column(column, justify="left" if column in ("pairs", "matrix") else "right")
    for row in rows:
        numbers = (*row[3:], (row.q95 - row.q05) * math.sqrt(row.m))
        table.add_row(*row[:2], str(row.m), *(f"{number:.3f}" for number in numbers))
    return table


def _figure(rows: list[Row]) -> Figure:
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots(1, len(PAIRS), sharex=True, sharey=True)
    m = np.array(sorted({row.m for row in rows}))
    for axis, (pairs, title) in zip(axes, PAIRS.items(), strict=True):
        for matrix in MATRICES:
            _intervals(axis, [row for row in rows if (row.pairs, row.matrix) == (pairs, matrix)])
        law = 1.64 / np.sqrt(2 * m)
        axis.plot(m, 1 + law, "k--", lw=0.8, label=r"$1 \pm 1.64 / \sqrt{2 m}$")
        axis.plot(m, 1 - law, "k--", lw=0.8)
        axis.set_title(title, fontsize=10)
        axis.set_xscale("log", base=2)
        axis.set_xticks(m, [str(value) for value in m])
        axis.set_xlabel("measurements m")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel(r"$|A(x_1 - x_2)| \; / \; |x_1 - x_2|$")
    axes[-1].legend(frameon=False, fontsize=9, loc="upper right")
    return figure


def _intervals(axis: Axes, rows: list[Row]) -> None:
    """Side by side: thin from minimum to maximum, thick the middle 90 %, a white dot the
    median."""
    matrix = rows[0].matrix
    m = np.array([row.m for row in rows]) * SHIFTS[matrix]
    low, q05, median, q95, high = np.array([row[3:] for row in rows]).T
    axis.vlines(m, low, high, color=COLORS[matrix], lw=1)
    axis.vlines(m, q05, q95, color=COLORS[matrix], lw=5, label=matrix)
    axis.plot(m, median, "o", color="white", ms=2.5)


if __name__ == "__main__":
    main()

"""Seconds of a step for an image of a batch, by the size of the batch.

    python -m benchmarks.batch_cost --out docs/batch_cost.png
    python -m benchmarks.batch_cost --resolution 256 --batches 1 2 4 8 --out docs/batch_cost_256.png

The solver takes the steps: CSGM's round, super-resolution 4x, on the embedded generator or config-f
with random weights, divided over as many devices as there are processor cores, where that goes
evenly, as the command line has it. All sizes take a turn, then all again; a cost is the median
over turns of ten steps. Beside the figure goes a CSV file with the numbers.
"""

import argparse
import csv
import os
import statistics
import time
from pathlib import Path

import jax
from matplotlib.figure import Figure

import ilo_jax
from benchmarks.step import random_prior
from ilo_jax.ops import superresolution
from ilo_jax.priors import Prior
from ilo_jax.solve import csgm, init, steps
from ilo_jax.solve.batch import batch_mesh
from ilo_jax.stylegan2 import config_f


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--resolution", type=int, help="of config-f, instead of chest64")
    parser.add_argument("--batches", type=int, nargs="+", default=[2**i for i in range(8)])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True, help="the figure")
    args = parser.parse_args()

    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    prior = random_prior(config_f(args.resolution)) if args.resolution else ilo_jax.load()
    seconds: dict[int, list[float]] = {batch: [] for batch in args.batches}
    for turn in range(args.turns + 1):
        for batch in args.batches:
            found = image_step_seconds(prior, batch)
            if turn:  # the first compiles
                seconds[batch].append(found)
    rows = [(batch, statistics.median(s), min(s), max(s)) for batch, s in seconds.items()]
    for batch, median, low, high in rows:
        print(f"batch {batch}: {1e3 * median:.3g} ms an image and step [{low:.3g}, {high:.3g} s]")
    with args.out.with_suffix(".csv").open("w", newline="") as file:
        header = ("batch", "seconds_per_image_and_step", "least", "greatest")
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    _figure(rows).savefig(args.out, dpi=150)


def image_step_seconds(prior: Prior, batch: int) -> float:
    """Of the second ten of twenty steps."""
    operator = superresolution(prior.image_shape, 4)
    x = jax.random.uniform(jax.random.key(2), (batch, *prior.image_shape), minval=-1)
    mesh, key = batch_mesh(batch), jax.random.key(3)
    run = init(prior, operator, operator(x), key, csgm(prior, 20), mesh=mesh)
    run = jax.block_until_ready(steps(run, 10, mesh))
    began = time.perf_counter()
    jax.block_until_ready(steps(run, 10, mesh))
    return (time.perf_counter() - began) / (10 * batch)


def _figure(rows: list[tuple[int, float, float, float]]) -> Figure:
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axis = figure.subplots()
    batch, median, low, high = zip(*rows, strict=True)
    axis.fill_between(batch, [1e3 * s for s in low], [1e3 * s for s in high], alpha=0.2, lw=0)
    axis.plot(batch, [1e3 * s for s in median], "o-")
    axis.set_xscale("log", base=2)
    axis.set_ylim(bottom=0)
    axis.set_xticks(batch, [str(b) for b in batch])
    axis.set_xlabel("images in a batch")
    axis.set_ylabel("milliseconds an image and step")
    axis.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()

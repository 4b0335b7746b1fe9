"""Error against elapsed seconds, of inversion (figures 6 and 7 of the paper).

    python -m benchmarks.frontier --data chest_xray_64.npz --torch-python PYTHON --out docs

Held-out radiographs are inverted in one batch. A point of ILO is the state after a round, each
round a layer deeper, from CSGM on; points of CSGM alone have as many steps. PYTHON is an
interpreter that has PyTorch, where `torch_loop.py` does the same. Compiling is not in the seconds;
one method runs after the other. Figure and CSV file go to `--out`. The data set is not part of the
repository; `benchmarks/quality.py` says what it is.
"""

import argparse
import csv
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import ilo_jax
from benchmarks.loops import MODES, invert, start_rival
from benchmarks.methods import held_out
from ilo_jax import lpips
from ilo_jax.solve import csgm, ilo

ROUNDS = 4


class Point(NamedTuple):
    curve: str
    steps: int
    seconds: float
    mse: float
    lpips: float


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `test`, uint8 [N, 64, 64]")
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--mode", choices=MODES, default="eager", help="of PyTorch")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100, help="of a round")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    args = parser.parse_args()

    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    prior, truth = ilo_jax.load(), held_out(args.data, args.images)
    network = lpips.load("vgg")
    distance = jax.jit(lpips.lpips)

    def point(curve: str, steps: int, seconds: float, image: jax.Array) -> Point:
        image = jnp.clip(image, -1, 1)
        mse = jnp.mean((image - truth) ** 2)
        found = distance(network, image, truth).mean()
        return Point(curve, steps, seconds, float(mse), float(found))

    steps = [args.steps] * ROUNDS
    points: list[Point] = []
    invert(prior, truth, ilo(prior, [1] * ROUNDS))  # compiles
    found, ends = invert(prior, truth, ilo(prior, steps))
    for r, (solution, end) in enumerate(zip(found.rounds, ends, strict=True)):
        points.append(point("ILO", args.steps * (r + 1), end, solution.image))
    invert(prior, truth, csgm(prior, 1))
    for total in range(args.steps, args.steps * ROUNDS + 1, args.steps):
        found, ends = invert(prior, truth, csgm(prior, total))
        points.append(point("CSGM", total, ends[-1], found.image))
    with tempfile.TemporaryDirectory() as folder:
        rival = start_rival(args.mode, args.torch_python, Path(folder), prior, truth)
        rival.ask("1 1 1 1 -")  # compiles
        images = Path(folder) / "images.npy"
        ends = rival.ask(" ".join([*map(str, steps), str(images)]))["seconds"]
        rival.close()
        for r, (image, end) in enumerate(zip(np.load(images), ends, strict=True)):
            image = jnp.asarray(image).transpose(0, 2, 3, 1)
            curve = f"ILO, PyTorch {args.mode}"
            points.append(point(curve, args.steps * (r + 1), end, image))

    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "frontier.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([Point._fields, *points])
    _figure(points).savefig(args.out / "frontier.png", dpi=150)
    print("| | steps | seconds | MSE | LPIPS |\n|---|---|---|---|---|")
    for p in points:
        print(f"| {p.curve} | {p.steps} | {p.seconds:.1f} | {p.mse:.4f} | {p.lpips:.3f} |")


def _figure(points: list[Point]) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axis, name, label in zip(
        figure.subplots(1, 2), ("mse", "lpips"), ("MSE", "LPIPS"), strict=True
    ):
        for curve in dict.fromkeys(p.curve for p in points):
            own = [p for p in points if p.curve == curve]
            axis.plot([p.seconds for p in own], [getattr(p, name) for p in own], "o-", label=curve)
        axis.set_xlabel("elapsed seconds")
        axis.set_ylabel(label)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=9)
    return figure


if __name__ == "__main__":
    main()

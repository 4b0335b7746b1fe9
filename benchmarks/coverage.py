"""How much of the truth lies within intervals of the spread of restarts, by task, and what that
spread has to be multiplied with.

    python -m benchmarks.coverage --data chest_xray_64.npz --out docs/coverage.png

An interval is the mean of the restarts (`--samples`) and a multiple of their standard deviation to
both sides, of every pixel. The factor is the one with which 90 % intervals hold 90 % of the pixels
of images of the training set; what it gives is told of held-out images. The data set is not part of
the repository; `benchmarks/quality.py` says what it is.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from benchmarks.drawing import ATTRIBUTION
from benchmarks.methods import CASES, held_out, pose, prior, trained_on
from ilo_jax.app.cli import start_quickly
from ilo_jax.solve import ilo, sweep

LEVEL = 0.9
TASKS = ("inpaint 5 %", "inpaint 10 %", "superres 4x", "superres 8x", "compress 5 %", "denoise 25")
SHARES = np.linspace(0.05, 0.99, 48)


def width(share: float | np.ndarray) -> np.ndarray:
    """Standard deviations to either side in which a normal distribution has this share."""
    return stats.norm.ppf((1 + np.asarray(share)) / 2)


def deviations(task: str, truth: jax.Array, restarts: int, steps: int) -> np.ndarray:
    """Of each pixel, how many standard deviations of the restarts the truth is from their mean."""
    operator, y, keys = pose(CASES[task], truth, 0)
    method = ilo(prior(), [steps] * 4)
    found = sweep(prior(), operator, y, keys, [method], restarts=restarts, batch_size=2 * len(keys))
    images = np.asarray(jnp.clip(found.image[0], -1, 1))
    spread = np.maximum(images.std(0), np.finfo(np.float32).tiny)
    return (np.abs(images.mean(0) - truth) / spread).ravel()


def inside(off: np.ndarray, factor: float, share: float) -> float:
    return float(np.mean(off <= factor * width(share)))


def draw(out: Path, off: Mapping[str, np.ndarray], factors: Mapping[str, float]) -> None:
    """What intervals should hold, and what they do, as they are and by the factors."""
    figure = Figure(figsize=(8, 4.3), layout="constrained")
    for axes, title, factor_of in zip(
        figure.subplots(1, 2, sharey=True),
        ("the spread as it is", "times the task's factor"),
        (lambda _: 1.0, factors.__getitem__),
        strict=True,
    ):
        axes.plot([0, 1], [0, 1], color="#aaaaaa", linewidth=1)
        for task, found in off.items():
            held = [inside(found, factor_of(task), share) for share in SHARES]
            axes.plot(SHARES, held, label=task)
        axes.set(title=title, xlabel="share that an interval should hold", xlim=(0, 1), ylim=(0, 1))
        axes.label_outer()
    figure.axes[1].legend(fontsize=8)
    figure.axes[0].set_ylabel("share of held-out pixels in it")
    figure.supxlabel(ATTRIBUTION, fontsize=6, color="#777777")
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--data", required=True, help=".npz with `train`, `test`, uint8 [N, 64, 64]"
    )
    parser.add_argument("--out", required=True, type=Path, help="PNG file")
    parser.add_argument("--images", type=int, default=8, help="of each set")
    parser.add_argument("--restarts", type=int, default=8)
    parser.add_argument("--steps", type=int, default=50, help="of each of the four rounds")
    parser.add_argument("--tasks", nargs="+", choices=CASES, default=TASKS)
    args = parser.parse_args()

    start_quickly()
    training = trained_on(args.data, args.images)
    truth = held_out(args.data, args.images)
    off, factors = dict[str, np.ndarray](), dict[str, float]()
    print("| task | inside 90 % | factor | inside 90 %, with it |")
    print("|---|---|---|---|")
    for task in args.tasks:
        fitted, off[task] = (
            deviations(task, x, args.restarts, args.steps) for x in (training, truth)
        )
        factors[task] = float(np.quantile(fitted, LEVEL) / width(LEVEL))
        before, after = (inside(off[task], factor, LEVEL) for factor in (1.0, factors[task]))
        print(f"| {task} | {before:.2f} | {factors[task]:.2f} | {after:.2f} |", flush=True)
    draw(args.out, off, factors)


if __name__ == "__main__":
    main()

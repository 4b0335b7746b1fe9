"""What bfloat16 costs in quality: PSNR of held-out radiographs in both precisions, every operator.

    python -m benchmarks.precision --data chest_xray_64.npz --out precision.csv
    python -m benchmarks.precision --data chest_xray_64.npz --out few.csv --images 2 --steps 3

Research data, not for diagnosis; `benchmarks/quality.py` says what they are. Of each task the first
of its examples, ILO with four rounds and the generator's radii. Operator, noise, measurement and
keys of an image are the same in both precisions. Printed by task: mean PSNR of each, and the mean
difference, bfloat16 less float32, with half the width of its 95 % interval over images. A row an
image goes to the file when its batch ends; what is there is not computed again. With `--hours`
nothing is begun after that.
"""

import argparse
import csv
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import ilo_jax
from ilo_jax.app.options import build_operator
from ilo_jax.app.tasks import TASKS
from ilo_jax.files.images import from_uint8
from ilo_jax.solve import ilo
from ilo_jax.solve.batch import batch_mesh
from ilo_jax.stylegan2 import PRECISIONS, StyleGAN2

FIELDS = ("task", "image", *PRECISIONS, "device")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `test`, uint8 [N, 64, 64]")
    parser.add_argument("--out", required=True, type=Path, help=".csv")
    parser.add_argument("--images", type=int, default=407)
    parser.add_argument("--batch", type=int, default=407, help="images at a time")
    parser.add_argument("--steps", type=int, default=100, help="of each of the four rounds")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--hours", type=float, default=math.inf)
    args = parser.parse_args()

    end = time.monotonic() + 3600 * args.hours
    pixels = np.load(args.data)["test"][: args.images]
    truth = np.repeat(from_uint8(pixels)[..., None], 3, -1)
    whole = ilo_jax.load("chest64")
    priors = {name: whole.with_precision(name) for name in PRECISIONS}
    for name in args.tasks:
        done = {int(row["image"]) for row in read(args.out) if row["task"] == name}
        missing = [i for i in range(len(truth)) if i not in done]
        for at in range(0, len(missing), args.batch):
            if time.monotonic() > end:
                break
            chosen = missing[at : at + args.batch]
            found = psnr_of(priors, name, truth, chosen, args.steps)
            append(args.out, name, chosen, found)
        report(name, [row for row in read(args.out) if row["task"] == name])


def psnr_of(
    priors: Mapping[str, StyleGAN2], task: str, truth: np.ndarray, chosen: Sequence[int], steps: int
) -> dict[str, np.ndarray]:
    """`[n]` by precision, of images by number."""
    k_operator, k_noise, k_solve = jax.random.split(jax.random.key(0), 3)
    options = TASKS[task].complete(TASKS[task].examples[0])
    operator = build_operator(k_operator, TASKS[task], options, truth.shape[1:])
    noise, keys = (
        jnp.stack([jax.random.fold_in(key, i) for i in chosen]) for key in (k_noise, k_solve)
    )
    images = jnp.asarray(truth[list(chosen)])
    measurement = jax.vmap(operator.measure)(noise, images)
    found = {}
    for name, prior in priors.items():
        method = ilo(prior, [steps] * 4)
        result = ilo_jax.reconstruct(
            prior, operator, measurement, keys, method, mesh=batch_mesh(len(chosen))
        )
        error = np.mean((np.clip(result.image, -1, 1) - images) ** 2, (1, 2, 3))
        found[name] = 10 * np.log10(4 / error)
    return found


def read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def append(path: Path, task: str, chosen: Sequence[int], found: Mapping[str, np.ndarray]) -> None:
    is_new, device = not path.exists(), jax.devices()[0].device_kind
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(FIELDS)
        for i, *values in zip(chosen, *found.values(), strict=True):
            writer.writerow([task, i, *(f"{value:.4f}" for value in values), device])


def report(task: str, rows: Sequence[Mapping[str, str]]) -> None:
    values = np.array([[float(row[name]) for name in PRECISIONS] for row in rows])
    if len(values) < 2:
        print(f"{task}: {len(values)} images", flush=True)
        return
    difference = values[:, 1] - values[:, 0]
    half_width = 1.96 * difference.std(ddof=1) / len(difference) ** 0.5
    whole, half = values.mean(0)
    print(
        f"{task}: {len(values)} images, float32 {whole:.2f} dB, bfloat16 {half:.2f} dB, "
        f"difference {difference.mean():+.3f} ± {half_width:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()

"""Quality on held-out radiographs: mean PSNR after each round, by task.

The data set is not part of the repository: an `.npz` with `test`, uint8 `[N, 64, 64]`
(Kermany, Zhang & Goldbaum, doi 10.17632/rscbjbr9sj.2, CC BY 4.0, reduced to 64x64; patients
whom `chest64` never saw).

    python -m benchmarks.quality --data chest_xray_64.npz
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

import ilo_jax
from ilo_jax.app.tasks import TASKS
from ilo_jax.files.images import from_uint8
from ilo_jax.solve import Geocross, Mse, ilo

ROWS = {
    "invert": ("invert", {}),
    "inpaint10%": ("inpaint", {"observed": 0.1}),
    "inpaintbox": ("inpaint", {"box": 24}),
    "sr4": ("superres", {"factor": 4}),
    "denoise25": ("denoise", {"sigma": 25.0}),
    "circ10%": ("compress", {"measurements": 0.1}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `test`, uint8 [N, 64, 64]")
    parser.add_argument("--first", type=int, default=0, help="first image")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100, help="of each of the four rounds")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--radii", type=float, nargs=3, help="of the three deeper rounds")
    parser.add_argument("--geocross", type=float, default=0.001, help="the authors have 0.01")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    prior = ilo_jax.load("chest64")
    pixels = np.load(args.data)["test"][args.first : args.first + args.images]
    truth = jnp.asarray(np.repeat(from_uint8(pixels)[..., None], 3, -1))
    objective = Mse() + args.geocross * Geocross()
    method = ilo(prior, [args.steps] * 4, radii=args.radii, objective=objective)
    table = Table(title=f"PSNR in dB, mean over {len(pixels)} images")
    for column in ("task", "CSGM", "+1 layer", "+2 layers", "+3 layers", "seconds"):
        table.add_column(column, justify="left" if column == "task" else "right")
    for name in args.rows:
        task, options = TASKS[ROWS[name][0]], ROWS[name][1]
        k_operator, k_noise, k_solve = jax.random.split(jax.random.key(args.seed), 3)
        operator = task.build(k_operator, prior.image_shape, **options)
        measurement = operator.measure(k_noise, truth)
        began = time.perf_counter()
        found = ilo_jax.reconstruct(prior, operator, measurement, k_solve, method)
        psnr = [_mean_psnr(truth, solution.image) for solution in found.rounds]
        seconds = time.perf_counter() - began
        table.add_row(name, *(f"{p:.2f}" for p in psnr), f"{seconds:.0f}")
    Console().print(table)


def _mean_psnr(truth: jax.Array, image: jax.Array) -> float:
    mse = jnp.mean((jnp.clip(image, -1, 1) - truth) ** 2, (1, 2, 3))
    return float(jnp.mean(10 * jnp.log10(4 / mse)))


if __name__ == "__main__":
    main()

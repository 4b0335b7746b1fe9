"""l1 radii of ILO's rounds, by task: mean PSNR after each round.

    python -m benchmarks.radii --data chest_xray_64.npz

On images that the generator was trained on, so that what is chosen here can be tested on others.
The choices share a program, and so do the levels of a task where sizes are the same. The data set
is not part of the repository; `benchmarks/quality.py` says what it is.
"""

import argparse

import jax.numpy as jnp
import numpy as np

import ilo_jax
from benchmarks.methods import CASES, as_images, pose, prior, psnr_db
from ilo_jax.solve import ilo
from ilo_jax.solve.batch import batch_mesh

CHOICES = ((np.inf, np.inf, np.inf), (1000, 1000, 1000), (300, 100, 30), (100, 30, 10))


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `train`, uint8 [N, 64, 64]")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--steps", type=int, default=50, help="of each of the four rounds")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    args = parser.parse_args()

    pixels = np.load(args.data)["train"]
    pixels = pixels[:: len(pixels) // args.images][: args.images]
    truth = as_images(pixels)
    print("| task | radii | CSGM | +1 layer | +2 layers | +3 layers |\n|---|---|---|---|---|---|")
    for name in args.cases:
        operator, measurement, keys = pose(CASES[name], truth, 0)
        for radii in CHOICES:
            found = ilo_jax.reconstruct(
                prior(),
                operator,
                measurement,
                keys,
                ilo(prior(), [args.steps] * 4, radii=radii),
                mesh=batch_mesh(len(keys)),
            )
            psnr = [psnr_db(jnp.clip(s.image, -1, 1), truth).mean() for s in found.rounds]
            cells = " | ".join(f"{p:.2f}" for p in psnr)
            shown = ", ".join(f"{r:g}" for r in radii)
            print(f"| {name} | {shown} | {cells} |", flush=True)


if __name__ == "__main__":
    main()

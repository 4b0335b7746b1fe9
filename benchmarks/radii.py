"""l1 radii of ILO's rounds and where they start, by how much of an image a measurement determines.

    python -m benchmarks.radii --data chest_xray_64.npz

The generator's radii times a factor, as its rule makes them grow, and the same from the mean of W
on; mean PSNR in dB of ILO's result. On images that the generator was trained on, so that what is
chosen here can be tested on others. The choices share a program, and so do the levels of a task
where sizes are the same. The data set is not part of the repository; `benchmarks/quality.py` says
what it is.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

import ilo_jax
from benchmarks.methods import PANELS, pose, prior, psnr_db, trained_on
from ilo_jax.priors import growth_factor
from ilo_jax.solve import align, ilo, ilo_from_mean
from ilo_jax.solve.batch import batch_mesh, each_determined

FACTORS = (0.125, 0.5, 1.0, 2.0, 4.0, 8.0, 32.0)
CASES = {name: case for panel in PANELS.values() for name, case in panel.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `train`, uint8 [N, 64, 64]")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=50, help="of each of the four rounds")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    args = parser.parse_args()

    truth = trained_on(args.data, args.images)
    facts, steps = prior().facts, [args.steps] * 4
    radii = np.array([facts.radius(cut) for cut in prior().usual_cuts[:3]])
    header = [
        "task",
        "determined",
        *(f"x {f:g}" for f in FACTORS),
        "as they grow",
        "factor",
        "from the mean",
    ]
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for name in args.cases:
        operator, measurement, keys = pose(CASES[name], truth, 0)
        determined = jax.tree.map(lambda s: s[0], each_determined(operator, measurement, facts))
        tried = [ilo(prior(), steps, radii=(radii * f).tolist()) for f in FACTORS]
        psnr = []
        for method in align([*tried, ilo(prior(), steps), ilo_from_mean(prior(), steps)]):
            found = ilo_jax.reconstruct(
                prior(), operator, measurement, keys, method, mesh=batch_mesh(len(keys))
            )
            psnr.append(float(psnr_db(jnp.clip(found.image, -1, 1), truth).mean()))
        cells = [f"{p:.2f}" if p < max(psnr) else f"**{p:.2f}**" for p in psnr]
        factor = growth_factor(facts.growth, determined)
        *cells, mean = cells
        row = [name, f"{determined.share:.3f}", *cells, f"{factor:.3g}", mean]
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()

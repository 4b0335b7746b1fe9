"""l1 radii of ILO's rounds, by task: mean PSNR after each round.

    python -m benchmarks.radii --data chest_xray_64.npz

On images that the generator was trained on, so that what is chosen here can be tested on others.
All choices are solved side by side, in one batch. The data set is not part of the repository;
`benchmarks/quality.py` says what it is.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.methods import CASES, as_images
from ilo_jax.ops import TASKS
from ilo_jax.solve import Search, hyper_parameters, ilo_schedule, solve
from ilo_jax.solve.loop import batch_mesh
from ilo_jax.stylegan2 import load

CHOICES = ((np.inf, np.inf, np.inf), (1000, 1000, 1000), (300, 100, 30), (100, 30, 10))


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `train`, uint8 [N, 64, 64]")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--steps", type=int, default=50, help="of each of the four rounds")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    args = parser.parse_args()

    generator = load("chest64")
    pixels = np.load(args.data)["train"]
    pixels = pixels[:: len(pixels) // args.images][: args.images]
    truth = as_images(pixels)
    radii = jnp.repeat(jnp.array([(np.inf, *choice) for choice in CHOICES]), len(truth), 0)
    print("| task | radii | CSGM | +1 layer | +2 layers | +3 layers |\n|---|---|---|---|---|---|")
    for name in args.cases:
        task, options = TASKS[CASES[name].task], CASES[name].options
        k_operator, k_noise, k_solve = jax.random.split(jax.random.key(0), 3)
        operator = task.build(k_operator, generator.config.image_shape, **options)
        measurement = operator.measure(k_noise, truth)
        repeats = [len(CHOICES)] + [1] * (measurement.ndim - 1)
        solutions = solve(
            generator,
            operator,
            jnp.tile(measurement, repeats),
            jnp.tile(jax.random.split(k_solve, len(truth)), len(CHOICES)),
            ilo_schedule(generator.config, [args.steps] * 4, search=Search(sna=task.sna)),
            hyper_parameters(4).replace(radius_code=radii),
            mesh=batch_mesh(len(radii)),
        )
        for i, choice in enumerate(CHOICES):
            part = slice(i * len(truth), (i + 1) * len(truth))
            errors = [
                jnp.mean((jnp.clip(s.image[part], -1, 1) - truth) ** 2, (1, 2, 3))
                for s in solutions
            ]
            cells = [f"{jnp.mean(10 * jnp.log10(4 / error)):.2f}" for error in errors]
            shown = ", ".join(f"{r:g}" for r in choice)
            print(f"| {name} | {shown} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

"""What S settings on one image cost, beside S images at one setting.

    python -m benchmarks.sweep_cost --settings 16

Learning rates of a sweep, of CSGM's round on the embedded generator, super-resolution 4x; both ways
in turns, in one process, after a turn that compiles. A ratio is the median over turns; in brackets,
the least and the greatest.
"""

import argparse
import os
import statistics
import time

import jax
import jax.numpy as jnp

from ilo_jax.ops import TASKS
from ilo_jax.solve import METHODS, solve
from ilo_jax.solve.loop import batch_mesh
from ilo_jax.solve.sweep import grid, sweep
from ilo_jax.stylegan2 import load


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--settings", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--turns", type=int, default=5)
    args = parser.parse_args()

    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    generator = load("chest64")
    count, shape = args.settings, generator.config.image_shape
    operator = TASKS["superres"].build(jax.random.key(1), shape, factor=4)
    y = operator(jax.random.uniform(jax.random.key(2), (count, *shape), minval=-1))
    key = jax.random.key(3)
    plan = METHODS["csgm"].plan(generator.config, steps=[args.steps])
    rates = [[float(rate)] for rate in jnp.linspace(0.01, 0.1, count)]
    _, settings = grid(plan.schedule, plan.hyper, {"lr": rates})

    def images() -> object:
        return solve(
            generator,
            operator,
            y,
            key,
            plan.schedule,
            plan.hyper,
            losses=plan.losses,
            mesh=batch_mesh(count),
        )[-1].image

    def sweep_one() -> object:
        return sweep(
            generator, operator, y[:1], key, plan.schedule, settings, losses=plan.losses
        ).image

    ratios = []
    for turn in range(args.turns + 1):
        seconds = []
        for run in (sweep_one, images):
            start = time.perf_counter()
            jax.block_until_ready(run())
            seconds.append(time.perf_counter() - start)
        if turn:  # the first compiles
            ratios.append(seconds[0] / seconds[1])
    print(
        f"{count} settings on one image over {count} images at one setting: "
        f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
    )


if __name__ == "__main__":
    main()

"""What runs of a sweep cost, beside as many runs with one method.

    python -m benchmarks.sweep_cost --methods 16

A sweep on one image of the embedded generator, super-resolution 4x, four rounds of ILO; beside it a
plain batch of as many images. What only some of the runs do in a step, all of them compute (a
`cond` becomes a `select`), so the rows are methods that are equal, that differ in numbers, in the
lengths of rounds, and in cuts. All take the same number of steps. Both ways in turns, in one
process, after a turn that compiles. A ratio is the median over turns; in brackets, the least and
the greatest.
"""

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable

import jax
import numpy as np

import ilo_jax
from ilo_jax.ops import superresolution
from ilo_jax.priors import Prior
from ilo_jax.solve import Method, align, ilo, sweep
from ilo_jax.solve.batch import batch_mesh

ROUNDS = 4


def rows(prior: Prior, count: int, steps: int) -> dict[str, list[Method]]:
    """Methods by how they differ.

    Args:
      steps: of each, over all rounds.
    """
    even = [steps // ROUNDS] * ROUNDS
    depths = [ROUNDS - i % ROUNDS for i in range(count)]
    chosen = itertools.cycle(itertools.combinations(range(1, prior.depth), ROUNDS - 1))
    return {
        "equal": [ilo(prior, even)] * count,
        "radii and rates": [
            ilo(prior, even, radii=r, rate=rate)
            for r, rate in zip(
                np.geomspace(10, 1000, count).tolist(),
                np.linspace(0.01, 0.1, count).tolist(),
                strict=True,
            )
        ],
        "steps and depth": [ilo(prior, [steps // depth] * depth) for depth in depths],
        "cuts": [ilo(prior, even, (0, *cuts)) for cuts in itertools.islice(chosen, count)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--methods", type=int, default=16)
    parser.add_argument("--steps", type=int, default=24, help="in all, a multiple of 12")
    parser.add_argument("--turns", type=int, default=5)
    args = parser.parse_args()

    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    prior, count, key = ilo_jax.load(), args.methods, jax.random.key(3)
    operator = superresolution(prior.image_shape, 4)
    y = operator(jax.random.uniform(jax.random.key(2), (count, *prior.image_shape), minval=-1))

    def plain(method: Method) -> object:
        mesh = batch_mesh(count)
        return ilo_jax.reconstruct(prior, operator, y, key, method, mesh=mesh).image

    for name, methods in rows(prior, count, args.steps).items():
        first, *_ = methods
        ratios = []
        for turn in range(args.turns + 1):
            swept = _seconds(lambda methods=methods: sweep(prior, operator, y[:1], key, methods))
            beside = _seconds(lambda method=first: plain(method))
            if turn:  # the first compiles
                ratios.append(swept / beside)
        cuts = len(align(methods)[0].cuts)
        print(
            f"{count} methods on one image, {name} ({cuts} cuts), over {count} images with one: "
            f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]",
            flush=True,
        )


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

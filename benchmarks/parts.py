"""What parts of a step cost, as shares of the step they belong to.

    python -m benchmarks.parts --resolution 1024

The solver takes steps of config-f, random weights, batch 1, compressed sensing with a tenth of the
image's values, and between them each part is timed alone, in the same process:

- circulant: the measurement and its transpose, in CSGM's round;
- l1 ball: the projection of the 64x64x512 feature map after one Adam step, which the ball cuts
  short, in the round that cuts there.

A share is the median over turns; in brackets, the least and the greatest.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import jax

from benchmarks.step import random_prior
from ilo_jax.ops import partial_circulant, project_l1_ball
from ilo_jax.solve import ilo, init, step
from ilo_jax.stylegan2 import config_f

STEPS = 10
"""Of a round."""


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--radius", type=float, default=1000.0)
    args = parser.parse_args()

    config = config_f(args.resolution)
    prior = random_prior(config)
    cut = config.block_start(5)  # reads 64x64x512
    shape = config.image_shape
    operator = partial_circulant(jax.random.key(1), shape, shape[0] * shape[1] * shape[2] // 10)
    x = jax.random.normal(jax.random.key(2), shape)
    moved = 0.1 * jax.random.normal(jax.random.key(3), (64, 64, config.channels[4]))

    measure = jax.jit(lambda operator, x: operator.adjoint(operator(x)))
    project = jax.jit(project_l1_ball)
    parts: tuple[tuple[str, Callable[[], object]], ...] = (
        (f"circulant, n = {x.size}", lambda: measure(operator, x)),
        (f"l1 ball, {moved.size} entries", lambda: project(moved, args.radius)),
    )
    for _, part in parts:
        part()  # compiles
    method = ilo(prior, [STEPS, STEPS], [0, cut], radii=args.radius)
    run = init(prior, operator, operator(x[None]), jax.random.key(4), method)
    jax.block_until_ready(step(run))  # compiles
    steps, times = ([], []), ([], [])
    for t in range(2 * STEPS):
        r, start = t // STEPS, time.perf_counter()
        run = jax.block_until_ready(step(run))
        steps[r].append(time.perf_counter() - start)
        times[r].append(seconds(parts[r][1]))
    for (name, _), whole, part in zip(parts, steps, times, strict=True):
        shares = [100 * p / s for p, s in zip(part, whole, strict=True)]
        print(
            f"{name}: {1e3 * statistics.median(part):.1f} ms of {statistics.median(whole):.2f} s, "
            f"{statistics.median(shares):.2f} % [{min(shares):.2f}, {max(shares):.2f}]"
        )


if __name__ == "__main__":
    main()

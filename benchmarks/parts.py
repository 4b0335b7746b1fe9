"""What parts of a step cost, as shares of the step they belong to.

    python -m benchmarks.parts --resolution 1024

`solve` takes steps of config-f, random weights, batch 1, compressed sensing with a tenth of the
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

from ilo_jax import stylegan2
from ilo_jax.ops import partial_circulant, project_l1_ball
from ilo_jax.solve import solve
from ilo_jax.solve.schedule import hyper_parameters, ilo_schedule

STEPS = 11
"""Of a round; a prime number, so that `solve` tells of each."""


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--radius", type=float, default=1000.0)
    args = parser.parse_args()

    config = stylegan2.config_f(args.resolution)
    generator = stylegan2.random_generator(config, jax.random.key(0))
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
    steps, times, last = ([], []), ([], []), time.perf_counter()

    def turn(index: int, done: int, error: jax.Array) -> None:
        nonlocal last
        jax.block_until_ready(error)
        if done > 1:  # the first compiles
            steps[index].append(time.perf_counter() - last)
            times[index].append(seconds(parts[index][1]))
        last = time.perf_counter()

    solve(
        generator,
        operator,
        operator(x[None]),
        jax.random.key(4),
        ilo_schedule(config, [STEPS, STEPS], [0, cut]),
        hyper_parameters(2, radius_code=args.radius),
        progress=turn,
    )
    for (name, _), step, part in zip(parts, steps, times, strict=True):
        shares = [100 * p / s for p, s in zip(part, step, strict=True)]
        print(
            f"{name}: {1e3 * statistics.median(part):.1f} ms of {statistics.median(step):.2f} s, "
            f"{statistics.median(shares):.2f} % [{min(shares):.2f}, {max(shares):.2f}]"
        )


if __name__ == "__main__":
    main()

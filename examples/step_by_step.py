"""A run taken apart: begun, advanced, looked at, ended.

python examples/step_by_step.py
"""

import jax

import ilo_jax
from ilo_jax import solve


def main() -> None:
    prior = ilo_jax.load("chest64")
    operator = ilo_jax.ops.superresolution(prior.image_shape, factor=4)
    k_image, k_solve = jax.random.split(jax.random.key(0))
    truth = solve.sample(prior, k_image)

    run = solve.init(prior, operator, operator(truth)[None], k_solve, solve.csgm(prior, 40))
    while int(run.t) < 40:
        run = solve.steps(run, 10)
        print(f"after {int(run.t)} steps: {float(run.search.best.error[0]):.2g}")
    print(f"found at step {int(solve.finish(run).found_at[0])}")


if __name__ == "__main__":
    main()

"""Many settings at once: methods x images in the batch of one program.

python examples/sweep.py
"""

import jax
import jax.numpy as jnp

import ilo_jax
from ilo_jax import solve


def main() -> None:
    prior = ilo_jax.load("chest64")
    operator = ilo_jax.ops.superresolution(prior.image_shape, factor=4)
    k_image, k_solve = jax.random.split(jax.random.key(0))
    truth = solve.sample(prior, k_image)
    measurement = operator(truth)[None]

    rates = (0.05, 0.1, 0.2)
    methods = [solve.ilo(prior, steps=[20, 20], rate=rate) for rate in rates]
    runs = solve.sweep(prior, operator, measurement, k_solve, methods)
    for rate, image in zip(rates, runs.image[:, 0, 0], strict=True):
        print(f"rate {rate}: mean squared error {float(jnp.mean((image - truth) ** 2)):.4f}")


if __name__ == "__main__":
    main()

"""A reconstruction has a derivative: how its brightness answers to each measured pixel.

python examples/gradient.py
"""

import jax
import jax.numpy as jnp

import ilo_jax
from ilo_jax import priors, solve


def main() -> None:
    k_first, k_second, k_image, k_solve = jax.random.split(jax.random.key(0), 4)
    kernels = (jax.random.normal(k_first, (16, 6)), jax.random.normal(k_second, (64, 16)) / 4)
    prior = priors.Sequential.create(
        (lambda p, x: jnp.tanh(p @ x), lambda p, x: jnp.tanh(p @ x).reshape(8, 8, 1)), kernels, 6
    )
    operator = ilo_jax.ops.superresolution(prior.image_shape, factor=2)
    measurement = operator(solve.sample(prior, k_image))[None]
    method = solve.ilo(prior, steps=[10, 10], radii=1.0)

    def brightness(measurement: jax.Array) -> jax.Array:
        return jnp.mean(ilo_jax.reconstruct(prior, operator, measurement, k_solve, method).image)

    slope = jax.jit(jax.grad(brightness))(measurement)
    print(f"{slope.shape}, sum {float(slope.sum()):.3f}")


if __name__ == "__main__":
    main()

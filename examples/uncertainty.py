"""How sure it is: the spread of restarts, by a key each.

python examples/uncertainty.py
"""

import jax
import jax.numpy as jnp

import ilo_jax

RESTARTS = 4


def main() -> None:
    prior = ilo_jax.load("chest64")
    operator = ilo_jax.ops.box_inpainting(prior.image_shape, size=24)
    k_image, k_noise, k_solve = jax.random.split(jax.random.key(0), 3)
    truth = ilo_jax.sample(prior, k_image)

    measurement = jnp.stack([operator.measure(k_noise, truth)] * RESTARTS)
    method = ilo_jax.solve.ilo(prior, steps=[20, 20])
    keys = jax.random.split(k_solve, RESTARTS)
    result = ilo_jax.reconstruct(prior, operator, measurement, keys, method)

    spread = jnp.std(result.image, 0)
    inside = operator.mask == 0
    print(f"spread where nothing is seen {float(jnp.mean(spread, where=inside)):.3f}")
    print(f"where it is {float(jnp.mean(spread, where=~inside)):.3f}")


if __name__ == "__main__":
    main()

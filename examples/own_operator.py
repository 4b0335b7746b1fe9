"""A forward operator of one's own: any function of JAX operations, here a pinhole's vignette.

python examples/own_operator.py
"""

import jax
import jax.numpy as jnp

import ilo_jax


def vignette(x: jax.Array) -> jax.Array:
    """Darker towards the corners, and every second row is lost."""
    height, width = x.shape[-3:-1]
    rows, columns = jnp.linspace(-1, 1, height)[:, None], jnp.linspace(-1, 1, width)
    seen = jnp.exp(-(rows**2) - columns**2)[..., None]
    return (x * seen)[..., ::2, :, :]


def main() -> None:
    prior = ilo_jax.load("chest64")
    k_image, k_noise, k_solve = jax.random.split(jax.random.key(0), 3)
    operator = ilo_jax.ops.custom(prior.image_shape, vignette)
    truth = ilo_jax.sample(prior, k_image)

    measurement = operator.measure(k_noise, truth)[None]
    method = ilo_jax.solve.ilo(prior, steps=[20, 20])
    result = ilo_jax.reconstruct(prior, operator, measurement, k_solve, method)
    print(f"measured {measurement.shape}, error {float(result.error[0]):.2g}")


if __name__ == "__main__":
    main()

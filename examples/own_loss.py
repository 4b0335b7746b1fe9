"""A term of the objective of one's own: total variation, added to the squared error.

python examples/own_loss.py
"""

import jax
import jax.numpy as jnp

import ilo_jax
from ilo_jax.solve import Mse, Term, View


class TotalVariation(Term):
    """Mean absolute difference of neighbouring pixels."""

    def __call__(self, target: None, view: View) -> jax.Array:
        x = view.image
        return jnp.mean(jnp.abs(jnp.diff(x, axis=0))) + jnp.mean(jnp.abs(jnp.diff(x, axis=1)))


def main() -> None:
    prior = ilo_jax.load("chest64")
    operator = ilo_jax.ops.denoising(prior.image_shape, sigma=40.0)
    k_image, k_noise, k_solve = jax.random.split(jax.random.key(0), 3)
    truth = ilo_jax.sample(prior, k_image)
    measurement = operator.measure(k_noise, truth)[None]

    for weight in (0.0, 0.05):  # a number: the same program
        method = ilo_jax.solve.ilo(
            prior, steps=[20, 20], objective=Mse() + weight * TotalVariation()
        )
        result = ilo_jax.reconstruct(prior, operator, measurement, k_solve, method)
        variation = jnp.mean(jnp.abs(jnp.diff(result.image, axis=1)))
        print(f"weight {weight}: variation {float(variation):.4f}")


if __name__ == "__main__":
    main()

"""Few photons: the operator knows its noise, and the loss is its likelihood.

python examples/photons.py
"""

import jax
import jax.numpy as jnp

import ilo_jax


def main() -> None:
    prior = ilo_jax.load("chest64")
    blur = ilo_jax.ops.gaussian_blur(prior.image_shape, sigma=1.0)
    camera = ilo_jax.ops.composition(
        blur, ilo_jax.ops.photon_counts(prior.image_shape, photons=30.0)
    )
    k_image, k_noise, k_solve = jax.random.split(jax.random.key(0), 3)
    truth = ilo_jax.sample(prior, k_image)

    measurement = camera.measure(k_noise, truth)[None]
    level = float(jnp.asarray(camera.noise_level(camera(truth))))
    method = ilo_jax.solve.ilo(prior, steps=[20, 20])
    result = ilo_jax.reconstruct(prior, camera, measurement, k_solve, method)
    print(f"the truth's own error {level:.4f}, reached {float(result.error[0]):.4f}")
    print(f"mean squared error {float(jnp.mean((result.image[0] - truth) ** 2)):.4f}")


if __name__ == "__main__":
    main()

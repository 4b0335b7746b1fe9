"""The gradient of the synthesis network, of which some is written by hand, by differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilo_jax.stylegan2 import (
    GeneratorConfig,
    apply_layers,
    initial_state,
    random_generator,
    sample_noises,
)

CONFIG = GeneratorConfig(channels=(6, 5, 4), w_dim=7, z_dim=7, mapping_layers=2)


@pytest.mark.parametrize("noise_batch", [(2,), (1,), ()])
def test_gradient_is_the_slope(noise_batch):
    """In float64, along a random direction of latents, noise maps and features in the middle."""
    with jax.enable_x64(True):
        generator = random_generator(CONFIG, jax.random.key(0))
        generator = jax.tree.map(lambda a: a.astype(jnp.float64), generator)
        k_w, k_noise, k_sum, k_direction = jax.random.split(jax.random.key(1), 4)
        latents = jax.random.normal(k_w, (2, CONFIG.num_latents, CONFIG.w_dim))
        noises = sample_noises(k_noise, CONFIG, noise_batch)
        weights = jax.random.normal(k_sum, (2, *CONFIG.image_shape))
        middle = apply_layers(generator, initial_state(generator, (2,)), latents, noises, 0, 2)

        @jax.jit
        def f(variables):
            features, latents, noises = variables
            state = middle._replace(features=features)
            image = apply_layers(generator, state, latents, noises, 2, CONFIG.num_layers).rgb
            assert image is not None
            return jnp.sum(weights * image)

        variables = (middle.features, latents, noises)
        gradient = jax.jit(jax.grad(f))(variables)
        leaves, tree = jax.tree.flatten(variables)
        for i, leaf in enumerate(leaves):
            direction = [jnp.zeros_like(v) for v in leaves]
            direction[i] = jax.random.normal(jax.random.fold_in(k_direction, i), leaf.shape)
            ahead, behind = (
                f(tree.unflatten([v + t * d for v, d in zip(leaves, direction, strict=True)]))
                for t in (1e-6, -1e-6)
            )
            expected = jnp.vdot(jax.tree.leaves(gradient)[i], direction[i])
            np.testing.assert_allclose((ahead - behind) / 2e-6, expected, rtol=1e-5, atol=1e-6)

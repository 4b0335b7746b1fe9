"""Where latents and noise maps live while they are optimized."""

import dataclasses

import jax
import jax.numpy as jnp

from ilo_jax.ops import euclidean_norm, rescale_to_norm
from ilo_jax.stylegan2 import Generator, Noises, sample_noises


@dataclasses.dataclass(frozen=True)
class Sphere:
    """PULSE's spheres, which ILO uses (Section 4.1): one latent a layer in front of the mapping
    proxy; each latent and each noise map keeps the norm that it had at the start of the round."""

    def start(self, generator: Generator, key: jax.Array) -> tuple[jax.Array, Noises]:
        """Latents `[L, d]` and all noise maps, at random."""
        config = generator.config
        k_latents, k_noises = jax.random.split(key)
        latents = jax.random.normal(k_latents, (config.num_latents, config.w_dim))
        return latents, sample_noises(k_noises, config)

    def explore(
        self, generator: Generator, latents: jax.Array, key: jax.Array, t: jax.Array
    ) -> jax.Array:
        """The latents whose loss is taken, at the fraction `t` in [0, 1) of a round."""
        del generator, key, t
        return latents

    def to_w(self, generator: Generator, latents: jax.Array) -> jax.Array:
        """Latents -> W+, `[num_latents, w_dim]`."""
        return generator.proxy(latents)

    def constrain_latents(self, latents: jax.Array, center: jax.Array) -> jax.Array:
        """Back to where latents may be; `center`: those at the start of the round."""
        return rescale_to_norm(latents, euclidean_norm(center, -1), -1)

    def constrain_noise(self, noise: jax.Array, center: jax.Array) -> jax.Array:
        """The same for a noise map `[h, w, 1]`."""
        return rescale_to_norm(noise, euclidean_norm(center, (-3, -2)), (-3, -2))


@dataclasses.dataclass(frozen=True)
class SilentSphere(Sphere):
    """PULSE's own: the last noise map is zero."""

    def start(self, generator: Generator, key: jax.Array) -> tuple[jax.Array, Noises]:
        latents, noises = super().start(generator, key)
        return latents, (*noises[:-1], jnp.zeros_like(noises[-1]))


@dataclasses.dataclass(frozen=True)
class ProjectorW(Sphere):
    """StyleGAN2's projector (Karras et al., 2020, appendix D): one `w` for all layers, from the
    mean of W on, explored with noise that ends at three quarters of a round; noise maps keep
    mean 0 and variance 1."""

    def start(self, generator: Generator, key: jax.Array) -> tuple[jax.Array, Noises]:
        return generator.w_avg[None], super().start(generator, key)[1]

    def explore(
        self, generator: Generator, latents: jax.Array, key: jax.Array, t: jax.Array
    ) -> jax.Array:
        strength = 0.05 * generator.proxy.spread() * jnp.maximum(0, 1 - t / 0.75) ** 2
        return latents + strength * jax.random.normal(key, latents.shape)

    def to_w(self, generator: Generator, latents: jax.Array) -> jax.Array:
        config = generator.config
        return jnp.broadcast_to(latents, (config.num_latents, config.w_dim))

    def constrain_latents(self, latents: jax.Array, center: jax.Array) -> jax.Array:
        del center
        return latents

    def constrain_noise(self, noise: jax.Array, center: jax.Array) -> jax.Array:
        del center
        noise = noise - jnp.mean(noise)
        return noise * jax.lax.rsqrt(jnp.mean(noise**2))

"""`G = G2 o G1` (Section 2.1) on StyleGAN2, as the theory has it: functions of one vector each.

Latents are those of the mapping proxy, `[num_latents, w_dim]`, standard normal. G2 reads the later
latents too; like the noise maps, which are the generator's own, they are held fixed in it.
"""

import jax

from ilo_jax.errors import InputError
from ilo_jax.stylegan2 import Generator, State, apply_layers, initial_state


def g1(generator: Generator, cut: int, latents: jax.Array) -> State:
    """Latents `[num_latents, w_dim]` -> what layer `cut` reads: features, and the RGB so far."""
    state = initial_state(generator)
    return apply_layers(generator, state, generator.proxy(latents), generator.noises, 0, cut)


def g2(generator: Generator, cut: int, latents: jax.Array, state: State) -> jax.Array:
    """What layer `cut` reads -> the image `[H, W, C]`."""
    w, last = generator.proxy(latents), generator.config.num_layers
    image = apply_layers(generator, state, w, generator.noises, cut, last).rgb
    assert image is not None
    return image


def check_cut(generator: Generator, cut: int) -> None:
    """Raises `InputError` unless there are layers on both sides of the cut."""
    last = generator.config.num_layers - 1
    if not 1 <= cut <= last:
        raise InputError(f"cut {cut}: expected a layer from 1 to {last}")


def draw_latents(generator: Generator, key: jax.Array, count: int) -> jax.Array:
    """`[count, num_latents, w_dim]`, as a solver's start draws them; `InputError` unless
    `count >= 1`."""
    if count < 1:
        raise InputError(f"samples {count}: expected 1 or more")
    config = generator.config
    return jax.random.normal(key, (count, config.num_latents, config.w_dim))

"""StyleGAN2 as a prior (Section 4.1): W, W+ and style space, noise maps, PULSE's spheres."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax.ops.projections import euclidean_norm, rescale_to_norm
from ilo_jax.priors.base import NO_FACTS, Facts, Prior, Regularizer
from ilo_jax.stylegan2 import regularizers
from ilo_jax.stylegan2.generator import (
    Generator,
    Noises,
    apply_layers,
    initial_state,
    sample_noises,
    style_spread,
    with_precision,
    zero_styles,
)
from ilo_jax.stylegan2.networks import State, Styles


class Inputs(NamedTuple):
    """What one image's layers read: `w_l = proxy(latents_l) + w + w_plus_l`, and each style is the
    layer's affine map of `w_l` plus its deviation. What is searched is a matter of masks.

    Attributes:
      latents: `[L, d]`, one a style input, in front of the mapping proxy (Section 4.1).
      w: `[d]`, a deviation in W that all layers share.
      w_plus: `[L, d]`, one of each layer's own.
      styles: deviations of each style channel.
      noises: the noise maps, one `[h, w, 1]` a layer.
    """

    latents: Any
    w: Any
    w_plus: Any
    styles: Any
    noises: Any


class Kept(NamedTuple):
    """How inputs are kept: 1 for yes, 0 for no.

    Attributes:
      latents: each latent at the norm that it had at the start of the round.
      noises: each noise map at its norm likewise.
      white: each noise map at mean 0 and variance 1.
    """

    latents: Any
    noises: Any
    white: Any


def _numbers(*values: float) -> Kept:
    return Kept(*(np.float32(value) for value in values))


class StyleGAN2(Prior):
    """A StyleGAN2 generator as a prior.

    Layers are counted as `GeneratorConfig` says. The to-RGB behind layer `l` reads latent `l + 1`,
    and the RGB summed up below a cut is no part of the code: it follows the inputs, also those of
    G2 that it reads.

    Attributes:
      generator: weights and sizes.
      about: radii by cut, notice, licence, usual batch.
    """

    generator: Generator
    about: Facts = flax.struct.field(pytree_node=False, default=NO_FACTS)

    regularizers: ClassVar[Mapping[str, Regularizer]] = regularizers.BY_NAME
    spaces: ClassVar[tuple[str, ...]] = ("latents", "w", "w_plus", "styles")

    @property
    def facts(self) -> Facts:
        return self.about

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.generator.config.image_shape

    @property
    def depth(self) -> int:
        return self.generator.config.num_layers

    @property
    def usual_cuts(self) -> tuple[int, ...]:
        """In front of each block but the first."""
        config = self.generator.config
        return tuple(map(config.block_start, range(1, config.num_blocks)))

    def starts(self) -> Mapping[str, Callable[[jax.Array], Inputs]]:
        """`random`, the `mean` of W, and PULSE's, whose last noise map is `silent`."""

        def random(key: jax.Array) -> Inputs:
            config = self.generator.config
            k_latents, k_noises = jax.random.split(key)
            shape = (config.num_latents, config.w_dim)
            latents = jax.random.normal(k_latents, shape, jnp.float32)
            return self.inputs(latents, sample_noises(k_noises, config))

        def mean(key: jax.Array) -> Inputs:
            inputs, w_avg = random(key), self.generator.w_avg
            latent = self.generator.proxy.inverse(w_avg)
            return inputs._replace(latents=jnp.broadcast_to(latent, inputs.latents.shape))

        def silent(key: jax.Array) -> Inputs:
            inputs = random(key)
            *noises, last = inputs.noises
            return inputs._replace(noises=(*noises, jnp.zeros_like(last)))

        return {"random": random, "mean": mean, "silent": silent}

    def inputs(self, latents: jax.Array, noises: Noises) -> Inputs:
        """Of one image, without deviations: latents `[L, d]` and all noise maps."""
        config = self.generator.config
        w = jnp.zeros(config.w_dim, jnp.float32)
        w_plus = jnp.zeros((config.num_latents, config.w_dim), jnp.float32)
        return Inputs(latents, w, w_plus, zero_styles(config), noises)

    def constraints(self) -> Mapping[str, Any]:
        """PULSE's spheres (Section 4.1), the projector's `white` noise maps (Karras et al., 2020,
        appendix D), or `none`."""
        return {
            "sphere": _numbers(1, 1, 0),
            "white": _numbers(0, 0, 1),
            "none": _numbers(0, 0, 0),
        }

    def first(self, inputs: Inputs) -> State:
        del inputs
        return initial_state(self.generator)

    def layers(self, inputs: Inputs, state: State, start: int, stop: int) -> State:
        w = self.w(inputs)
        return apply_layers(
            self.generator, state, w, inputs.noises, start, stop, styles=inputs.styles
        )

    def w(self, inputs: Inputs) -> jax.Array:
        """W+ of one image's inputs, `[L, d]`."""
        return self.generator.proxy(inputs.latents) + inputs.w[None] + inputs.w_plus

    def code(self, cut: int, state: State) -> jax.Array:
        if cut < self.depth:
            return state.features
        assert state.rgb is not None
        return state.rgb

    def with_code(self, cut: int, state: State, code: jax.Array) -> State:
        return state._replace(**{"features" if cut < self.depth else "rgb": code})

    def free(
        self, start: int, stop: int, index: int | None = 0, space: str | None = None
    ) -> Inputs:
        """Latents (or what `space` says) and the first `5 + 2 index` noise maps, those that the
        layers read."""
        config, space = self.generator.config, self.check_space(space)
        layer = np.arange(config.num_latents)
        read = (start <= layer) & (layer < stop)
        if stop == config.num_layers and start < stop:
            read[-1] = True  # that of the last to-RGB
        rows, none = read[:, None], np.zeros((config.num_latents, 1), bool)
        heads = len(config.rgb_widths)
        behind = [2 * b for b in range(config.num_blocks)][-heads:]  # the layer before each to-RGB
        in_styles = space == "styles"
        maps = 0 if index is None else min(5 + 2 * index, config.num_layers)
        return Inputs(
            latents=rows if space == "latents" else none,
            w=np.asarray(space == "w" and start < stop),
            w_plus=rows if space == "w_plus" else none,
            styles=Styles(
                layers=tuple(in_styles & read[: config.num_layers]),
                rgb=tuple(  # masks, not arrays of styles
                    np.asarray(in_styles and start <= at < stop)  # pyright: ignore[reportArgumentType]
                    for at in behind
                ),
            ),
            noises=tuple(
                np.asarray(start <= at < min(stop, maps)) for at in range(config.num_layers)
            ),
        )

    def unit(self, space: str | None = None) -> jax.typing.ArrayLike:
        """The root mean square over the coordinates of W and W+, or over all styles; 1 of latents,
        which are standard normal."""
        space, generator = self.check_space(space), self.generator
        if space == "latents":
            return 1.0
        if space == "styles":
            return style_spread(generator)
        return generator.proxy.spread() / generator.config.w_dim**0.5

    def keep(self, inputs: Inputs, center: Inputs, constraint: Kept) -> Inputs:
        latents = rescale_to_norm(inputs.latents, euclidean_norm(center.latents, -1), -1)

        def noise(x: jax.Array, x0: jax.Array) -> jax.Array:
            axes, white = (-3, -2), constraint.white > 0
            x = x - jnp.where(white, jnp.mean(x), 0)
            norm = euclidean_norm(x, axes)
            kept = jnp.where(constraint.noises > 0, euclidean_norm(x0, axes), norm)
            return x * (jnp.where(white, x.size**0.5, kept) / norm)

        return inputs._replace(
            latents=jnp.where(constraint.latents > 0, latents, inputs.latents),
            noises=tuple(map(noise, inputs.noises, center.noises)),
        )

    def explore(self, inputs: Inputs, key: jax.Array, strength: jax.Array) -> Inputs:
        """With noise in W, the same in all layers (Karras et al., 2020, appendix D)."""
        noise = jax.random.normal(key, inputs.w.shape, jnp.float32)
        return inputs._replace(w=inputs.w + strength * self.generator.proxy.spread() * noise)

    def with_precision(self, precision: str) -> "StyleGAN2":
        """With features and convolutions in `float32` or `bfloat16`
        (`ilo_jax.stylegan2.with_precision`).

        Raises:
          InputError: there is no such precision.
        """
        return self.replace(generator=with_precision(self.generator, precision))

    def with_facts(self, **changes: Any) -> "StyleGAN2":
        """With other facts."""
        return self.replace(about=dataclasses.replace(self.about, **changes))

"""StyleGAN2's two networks as Flax modules, read in the order in which data flows.

Equalized learning-rate factors are folded into the weights: a generator that is only
run has no use for them. `...` in a shape is any number of batch axes, none included.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ilo_jax.stylegan2 import resample
from ilo_jax.stylegan2.config import GeneratorConfig

_normal = nn.initializers.normal(1.0)
_zeros = nn.initializers.zeros


class State(NamedTuple):
    """What flows from layer to layer of the synthesis network.

    features: `[..., H, W, C]`.
    rgb: `[..., H', W', image_channels]`, the skip sum of the blocks that have ended,
      at the resolution of the last of them; None before the first has.
    """

    features: jax.Array
    rgb: jax.Array | None


def _activate(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.2) * 2**0.5


def kernel_energy(kernel: jax.Array) -> jax.Array:
    """What demodulation needs of a kernel, `[3, 3, I, O]` -> `[I, O]`; of weights alone."""
    return jnp.sum(kernel**2, (0, 1))


class Mapping(nn.Module):
    """The mapping network, Z -> W: `[..., z_dim]` -> `[..., w_dim]`."""

    config: GeneratorConfig

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        x = z * jax.lax.rsqrt(jnp.mean(z**2, -1, keepdims=True) + 1e-8)
        for i in range(self.config.mapping_layers):
            x = _activate(nn.Dense(self.config.w_dim, name=f"dense_{i}")(x))
        return x


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU.

    Modulation scales the input and demodulation the output, which is equal to scaling
    the kernel and needs one kernel for the whole batch.
    """

    channels: int
    up: bool

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise: jax.Array) -> jax.Array:
        kernel = self.param("kernel", _normal, (3, 3, x.shape[-1], self.channels))
        bias = self.param("bias", _zeros, (self.channels,))
        strength = self.param("noise_strength", _zeros, ())
        energy = self.variable("derived", "energy", kernel_energy, kernel).value

        style = nn.Dense(x.shape[-1], bias_init=nn.initializers.ones, name="affine")(w)
        demodulation = jax.lax.rsqrt(style**2 @ energy + 1e-8)
        convolve = resample.upsample_conv if self.up else resample.conv
        y = convolve(x * style[..., None, None, :], kernel)
        return _activate(y * demodulation[..., None, None, :] + strength * noise + bias)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution, added to the up-sampled skip."""

    channels: int

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, skip: jax.Array | None) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.channels))
        bias = self.param("bias", _zeros, (self.channels,))
        style = nn.Dense(x.shape[-1], bias_init=nn.initializers.ones, name="affine")(w)
        rgb = jnp.einsum("...hwi,...io->...hwo", x, style[..., :, None] * kernel) + bias
        return rgb if skip is None else rgb + resample.upsample(skip)


class Synthesis(nn.Module):
    """The synthesis network; see `GeneratorConfig` for how its layers are counted."""

    config: GeneratorConfig

    def setup(self):
        c = self.config
        self.param("const", _normal, (4, 4, c.channels[0]))
        self.layers = [
            SynthesisLayer(c.layer_channels(i), up=i % 2 == 1) for i in range(c.num_layers)
        ]
        self.to_rgb = [ToRGB(c.image_channels) for _ in range(c.num_blocks)]

    def __call__(
        self,
        state: State,
        latents: jax.Array,
        noises: tuple[jax.Array, ...],
        start: int,
        stop: int,
    ) -> State:
        x, rgb = state
        for i in range(start, stop):
            x = self.layers[i](x, latents[..., i, :], noises[i])
            if i % 2 == 0:
                rgb = self.to_rgb[i // 2](x, latents[..., i + 1, :], rgb)
        return State(x, rgb)

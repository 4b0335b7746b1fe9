"""StyleGAN2's two networks as Flax modules, read in the order in which data flows.

Equalized learning-rate factors are folded into the weights: a generator that is only
run has no use for them. `...` in a shape is any number of batch axes, none included.
"""

import functools
import math
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
      at the resolution of the last of them; None before the first has, and without skips
      before the last has.
    residual: `[..., H, W, C]`, the residual branch of the block that `features` is in the
      middle of; None elsewhere, and but for 'resnet'.
    """

    features: jax.Array
    rgb: jax.Array | None
    residual: jax.Array | None = None


def _activate(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.2) * 2**0.5


def _sum_pixels(x: jax.Array) -> jax.Array:
    """`[..., H, W, C]` -> `[..., C]`. Eight slices are added first: of a plain sum XLA makes a loop
    along the pixels for each channel, on CPU five times slower than one along the channels."""
    slices = jnp.split(x, math.gcd(8, x.shape[-3]), -3)
    return jnp.sum(functools.reduce(jnp.add, slices), (-3, -2))


@jax.custom_vjp
def _modulate(x: jax.Array, style: jax.Array) -> jax.Array:
    """`[..., H, W, C]`, `[..., C]` -> `[..., H, W, C]`."""
    return x * style[..., None, None, :]


_modulate.defvjp(
    lambda x, style: (_modulate(x, style), (x, style)),
    lambda kept, d: (d * kept[1][..., None, None, :], _sum_pixels(d * kept[0])),
)


@jax.custom_vjp
def _finish(y: jax.Array, scale: jax.Array, noise: jax.Array, bias: jax.Array) -> jax.Array:
    """`activate(y * scale + noise + bias)`: `[..., H, W, C]`, `[..., C]`, `[..., H, W, 1]`, `[C]`.

    The gradient is written out to keep but two images, `y` and the result, whose sign is its
    argument's; the bias is a weight and gets none.
    """
    return _activate(y * scale[..., None, None, :] + noise + bias)


def _finish_forward(y, scale, noise, bias):
    x = _finish(y, scale, noise, bias)
    return x, (x, y, scale)


def _finish_backward(kept, dx):
    x, y, scale = kept
    dy = dx * jnp.where(x > 0, 2**0.5, 0.2 * 2**0.5) * scale[..., None, None, :]
    d_noise = dy @ (1 / scale)[..., None, :, None]  # a sum over channels; `sum` is far slower
    return dy, _sum_pixels(dy * y) / scale, d_noise, None


_finish.defvjp(_finish_forward, _finish_backward)


def _clamp(x: jax.Array, bound: float | None) -> jax.Array:
    return x if bound is None else jnp.clip(x, -bound, bound)


def _normalize(z: jax.Array) -> jax.Array:
    return z * jax.lax.rsqrt(jnp.mean(z**2, -1, keepdims=True) + 1e-8)


def derive_layer(kernel: jax.Array, layer: int) -> dict:
    """What a layer needs of its kernel `[3, 3, I, O]` and no other input changes.

    energy: `[I, O]`, for demodulation.
    kernels: the kernel, prepared for the layer's convolution.
    """
    if layer % 2 == 1:
        kernels = resample.prepare_upsample_conv(kernel)
    else:
        kernels = resample.prepare_conv(kernel, 4 * 2 ** (layer // 2))
    return {"energy": jnp.sum(kernel**2, (0, 1)), "kernels": kernels}


class Mapping(nn.Module):
    """The mapping network, Z -> W: `[..., z_dim]`, `[..., label_dim]` -> `[..., w_dim]`.

    The label is one-hot, and None for a generator without labels.
    """

    config: GeneratorConfig

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array | None = None) -> jax.Array:
        c = self.config
        if label is None:
            x = _normalize(z)
        else:
            y = nn.Dense(c.label_width, name="embed")(label)
            parts = (z, y) if c.joint_normalization else (_normalize(z), _normalize(y))
            x = jnp.concatenate(parts, -1)
            x = _normalize(x) if c.joint_normalization else x
        for i, width in enumerate(c.mapping_widths):
            x = _activate(nn.Dense(width, name=f"dense_{i}")(x))
        return x


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU.

    Modulation scales the input and demodulation the output, which is equal to scaling
    the kernel and needs one kernel for the whole batch.
    """

    index: int
    channels: int
    conv_clamp: float | None

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise: jax.Array) -> jax.Array:
        kernel = self.param("kernel", _normal, (3, 3, x.shape[-1], self.channels))
        bias = self.param("bias", _zeros, (self.channels,))
        strength = self.param("noise_strength", _zeros, ())
        derived = self.variable("derived", "layer", derive_layer, kernel, self.index).value

        style = nn.Dense(x.shape[-1], bias_init=nn.initializers.ones, name="affine")(w)
        demodulation = jax.lax.rsqrt(style**2 @ derived["energy"] + 1e-8)
        convolve = resample.upsample_conv if self.index % 2 == 1 else resample.conv
        y = convolve(_modulate(x, style), derived["kernels"])
        noise = jnp.broadcast_to(strength * noise, (*y.shape[:-1], 1))
        y = _finish(y, demodulation, noise, bias)
        return _clamp(y, self.conv_clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution, added to the up-sampled skip."""

    channels: int
    conv_clamp: float | None

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, skip: jax.Array | None) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.channels))
        bias = self.param("bias", _zeros, (self.channels,))
        style = nn.Dense(x.shape[-1], bias_init=nn.initializers.ones, name="affine")(w)
        rgb = jnp.einsum("...hwi,...io->...hwo", x, style[..., :, None] * kernel) + bias
        rgb = _clamp(rgb, self.conv_clamp)
        return rgb if skip is None else rgb + resample.upsample(skip)


class Residual(nn.Module):
    """The residual branch of a 'resnet' block: up-sampling and a 1x1 convolution."""

    channels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.channels))
        return resample.upsample(x @ kernel)


class Synthesis(nn.Module):
    """The synthesis network; see `GeneratorConfig` for how its layers are counted."""

    config: GeneratorConfig

    def setup(self):
        c = self.config
        self.param("const", _normal, (4, 4, c.channels[0]))
        self.layers = [
            SynthesisLayer(i, c.layer_channels(i), c.conv_clamp) for i in range(c.num_layers)
        ]
        heads = c.num_blocks if c.architecture == "skip" else 1
        self.to_rgb = [ToRGB(c.image_channels, c.conv_clamp) for _ in range(heads)]
        residuals = c.num_blocks - 1 if c.architecture == "resnet" else 0
        self.residuals = [Residual(c.channels[b + 1]) for b in range(residuals)]

    def __call__(
        self,
        state: State,
        latents: jax.Array,
        noises: tuple[jax.Array, ...],
        start: int,
        stop: int,
    ) -> State:
        x, rgb, residual = state
        for i in range(start, stop):
            if self.residuals and i % 2 == 1:
                residual = self.residuals[i // 2](x)
            x = self.layers[i](x, latents[..., i, :], noises[i])
            if residual is not None and i % 2 == 0:
                x, residual = (x + residual) * 0.5**0.5, None
            if i % 2 == 0 and self._has_rgb(i):
                head = self.to_rgb[i // 2 if self.config.architecture == "skip" else 0]
                rgb = head(x, latents[..., i + 1, :], rgb)
        return State(x, rgb, residual)

    def _has_rgb(self, layer: int) -> bool:
        return self.config.architecture == "skip" or layer == self.config.num_layers - 1

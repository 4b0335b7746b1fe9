"""StyleGAN2's two networks as Flax modules, read in the order in which data flows.

Equalized learning-rate factors are folded into the weights: a generator that is only
run has no use for them. `...` in a shape is any number of batch axes, none included.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ilo_jax.stylegan2 import linear, resample
from ilo_jax.stylegan2.config import GeneratorConfig
from ilo_jax.stylegan2.modulation import mix, modulated
from ilo_jax.stylegan2.pixels import activate, finish

# Of float32 in every mode of JAX, too.
_normal = nn.initializers.normal(1.0, jnp.float32)
_lecun_normal = nn.initializers.lecun_normal(dtype=jnp.float32)
_zeros = nn.initializers.constant(0.0, jnp.float32)


class State(NamedTuple):
    """What flows from layer to layer of the synthesis network.

    features: `[..., H, W, C]`, float32 in every precision.
    rgb: `[..., H', W', image_channels]`, the skip sum of the blocks that have ended,
      at the resolution of the last of them; None before the first has, and without skips
      before the last has.
    residual: `[..., H, W, C]`, the residual branch of the block that `features` is in the
      middle of; None elsewhere, and but for 'resnet'.
    """

    features: jax.Array
    rgb: jax.Array | None
    residual: jax.Array | None = None


class Styles(NamedTuple):
    """Deviations in style space: what is added to the styles that the affine layers make.

    layers: `[..., C]` a synthesis layer, `C` the channels that it reads.
    rgb: `[..., C]` a to-RGB branch.
    """

    layers: tuple[jax.Array, ...]
    rgb: tuple[jax.Array, ...]


def _features(x: jax.Array, half: bool) -> jax.Array:
    """As a layer reads them."""
    return x.astype(jnp.bfloat16) if half else resample.widened(x)


def _clamp(x: jax.Array, bound: float | None) -> jax.Array:
    return x if bound is None else jnp.clip(x, -bound, bound)


def _normalize(z: jax.Array) -> jax.Array:
    return z * jax.lax.rsqrt(jnp.mean(z**2, -1, keepdims=True) + 1e-8)


def derive_layer(kernel: jax.Array, layer: int, half: bool) -> dict:
    """What a layer needs of its kernel `[3, 3, I, O]` and no other input changes.

    energy: `[I, O]`, for demodulation.
    kernels: the kernel, prepared for the layer's convolution, in bfloat16 if `half`.
    """
    narrow = kernel.astype(jnp.bfloat16) if half else kernel
    if layer % 2 == 1:
        kernels = resample.prepare_upsample_conv(narrow)
    else:
        kernels = resample.prepare_conv(narrow, 4 * 2 ** (layer // 2))
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
            x = nn.Dense(width, name=f"dense_{i}")(x)
            x = activate(x, x.dtype)
        return x


def _affine(features: int) -> nn.Dense:
    """W -> style space: `[..., w_dim]` -> `[..., features]`."""
    return nn.Dense(features, bias_init=nn.initializers.ones, name="affine")


def _deviate(style: jax.Array, deviation: jax.Array | None) -> jax.Array:
    return style if deviation is None else style + jnp.broadcast_to(deviation, style.shape)


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU.

    Modulation scales the input (or the kernel, of one image), demodulation the output.
    """

    index: int
    channels: int
    conv_clamp: float | None
    half: bool

    @nn.compact
    def __call__(
        self, x: jax.Array, w: jax.Array, noise: jax.Array, deviation: jax.Array | None
    ) -> jax.Array:
        """The features that come and go are bfloat16 if `half`, as the convolution is; what
        happens between two of them is computed in float32, and is one pass over the pixels."""
        kernel = self.param("kernel", _normal, (3, 3, x.shape[-1], self.channels))
        bias = self.param("bias", _zeros, (self.channels,))
        strength = self.param("noise_strength", _zeros, ())
        linear.frozen(kernel)  # read by `derived` alone, so that its gradient would be zero
        derived = self.variable(
            "derived", "layer", derive_layer, kernel, self.index, self.half
        ).value

        style = _deviate(_affine(x.shape[-1])(w), deviation)
        demodulation = jax.lax.rsqrt(style**2 @ derived["energy"] + 1e-8)
        convolve = resample.upsample_conv if self.index % 2 == 1 else resample.conv
        x = _features(x, self.half)
        y = resample.widened(modulated(convolve, x, style, derived["kernels"]))
        noise = jnp.broadcast_to(strength * noise, (*y.shape[:-1], 1))
        bias = jnp.broadcast_to(bias, demodulation.shape)
        return _clamp(finish(y, demodulation, noise, bias, x.dtype), self.conv_clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution, added to the up-sampled skip, in float32."""

    channels: int
    conv_clamp: float | None

    @nn.compact
    def __call__(
        self, x: jax.Array, w: jax.Array, deviation: jax.Array | None, skip: jax.Array | None
    ) -> jax.Array:
        kernel = self.param("kernel", _lecun_normal, (x.shape[-1], self.channels))
        bias = self.param("bias", _zeros, (self.channels,))
        style = _deviate(_affine(x.shape[-1])(w), deviation)
        kernel = style[..., :, None] * jnp.broadcast_to(kernel, (*style.shape, self.channels))
        rgb = mix(x, kernel.astype(x.dtype))
        rgb = _clamp(rgb + jnp.broadcast_to(bias, rgb.shape), self.conv_clamp)
        return rgb if skip is None else rgb + resample.upsample(skip)


class Residual(nn.Module):
    """The residual branch of a 'resnet' block: up-sampling and a 1x1 convolution, in float32."""

    channels: int
    half: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", _lecun_normal, (x.shape[-1], self.channels))
        x = _features(x, self.half)
        return resample.upsample(resample.widened(x @ kernel.astype(x.dtype)))


class Synthesis(nn.Module):
    """The synthesis network; see `GeneratorConfig` for how its layers are counted.

    half: whether features and convolutions are bfloat16, in the layers for which `half_layer`
      of the config says so.
    """

    config: GeneratorConfig
    half: bool = False

    def setup(self):
        c = self.config
        halves = [self.half and c.half_layer(i) for i in range(c.num_layers)]
        self.param("const", _normal, (4, 4, c.channels[0]))
        self.layers = [
            SynthesisLayer(i, c.layer_channels(i), c.conv_clamp, halves[i])
            for i in range(c.num_layers)
        ]
        self.to_rgb = [ToRGB(c.image_channels, c.conv_clamp) for _ in c.rgb_widths]
        residuals = c.num_blocks - 1 if c.architecture == "resnet" else 0
        self.residuals = [Residual(c.channels[b + 1], halves[2 * b + 1]) for b in range(residuals)]

    def __call__(
        self,
        state: State,
        latents: jax.Array,
        noises: tuple[jax.Array, ...],
        start: int,
        stop: int,
        styles: Styles | None = None,
    ) -> State:
        x, rgb, residual = state
        for i in range(start, stop):
            if self.residuals and i % 2 == 1:
                residual = self.residuals[i // 2](x)
            deviation = None if styles is None else styles.layers[i]
            x = self.layers[i](x, latents[..., i, :], noises[i], deviation)
            if residual is not None and i % 2 == 0:
                x, residual = ((resample.widened(x) + residual) * 0.5**0.5).astype(x.dtype), None
            if i % 2 == 0 and self._has_rgb(i):
                head = i // 2 if self.config.architecture == "skip" else 0
                deviation = None if styles is None else styles.rgb[head]
                rgb = self.to_rgb[head](x, latents[..., i + 1, :], deviation, rgb)
        return State(resample.widened(x), rgb, residual)

    def _has_rgb(self, layer: int) -> bool:
        return self.config.architecture == "skip" or layer == self.config.num_layers - 1

"""StyleGAN2's two networks as Flax modules, read in the order in which data flows.

Equalized learning-rate factors are folded into the weights: a generator that is only
run has no use for them. `...` in a shape is any number of batch axes, none included.
"""

import functools
import math
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.stylegan2 import linear, resample
from ilo_jax.stylegan2.config import GeneratorConfig

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


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _activate(x: jax.Array, dtype: Any) -> jax.Array:
    return (nn.leaky_relu(x, 0.2) * 2**0.5).astype(dtype)


@_activate.defjvp
def _activate_jvp(dtype, primals, tangents):
    """Keeps the result alone, whose sign is the argument's, since the next layer keeps it too."""
    (x,), (x_dot,) = primals, tangents
    y = _activate(x, dtype)
    kept = jax.lax.stop_gradient(y)
    return y, linear.apply(_scale_by_slope, _scale_by_slope, x_dot, kept).astype(dtype)


def _scale_by_slope(x: jax.Array, y: jax.Array) -> jax.Array:
    return x * jnp.where(y > 0, 2**0.5, 0.2 * 2**0.5).astype(x.dtype)


@flax.struct.dataclass
class _Size:
    """Static axes of an array."""

    axes: tuple[int, ...] = flax.struct.field(pytree_node=False)


def _over_pixels(x: jax.Array, image: jax.Array) -> jax.Array:
    """`[..., C]` -> `[..., H, W, C]`, as many pixels as the image has."""
    return linear.apply(_spread_over_pixels, _sum_pixels, x, _Size(image.shape[-3:-1]))


def _spread_over_pixels(x: jax.Array, size: _Size) -> jax.Array:
    return jnp.broadcast_to(x[..., None, None, :], (*x.shape[:-1], *size.axes, x.shape[-1]))


def _sum_pixels(x: jax.Array, _: _Size) -> jax.Array:
    """`[..., H, W, C]` -> `[..., C]`. Eight slices are added first: of a plain sum XLA makes a loop
    along the pixels for each channel, on CPU five times slower than one along the channels."""
    slices = jnp.split(x, math.gcd(8, x.shape[-3]), -3)
    return jnp.sum(functools.reduce(jnp.add, slices), (-3, -2))


def _over_channels(x: jax.Array, image: jax.Array) -> jax.Array:
    """`[..., H, W, 1]` -> `[..., H, W, C]`, as many channels as the image has."""
    return linear.apply(_spread_over_channels, _sum_channels, x, _Size(image.shape[-1:]))


def _spread_over_channels(x: jax.Array, size: _Size) -> jax.Array:
    return jnp.broadcast_to(x, (*x.shape[:-1], *size.axes))


def _sum_channels(x: jax.Array, size: _Size) -> jax.Array:
    return x @ jnp.ones((*size.axes, 1), x.dtype)  # `sum` is far slower


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
            x = _activate(x, x.dtype)
        return x


def _affine(features: int) -> nn.Dense:
    """W -> style space: `[..., w_dim]` -> `[..., features]`."""
    return nn.Dense(features, bias_init=nn.initializers.ones, name="affine")


def _deviate(style: jax.Array, deviation: jax.Array | None) -> jax.Array:
    return style if deviation is None else style + jnp.broadcast_to(deviation, style.shape)


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU.

    Modulation scales the input and demodulation the output, which is equal to scaling
    the kernel and needs one kernel for the whole batch.
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
        modulated = resample.widened(x) * _over_pixels(style, x)
        y = resample.widened(convolve(modulated.astype(x.dtype), derived["kernels"]))
        noise = jnp.broadcast_to(strength * noise, (*y.shape[:-1], 1))
        bias = jnp.broadcast_to(bias, demodulation.shape)
        y = y * _over_pixels(demodulation, y) + _over_channels(noise, y) + _over_pixels(bias, y)
        return _clamp(_activate(y, x.dtype), self.conv_clamp)


@jax.custom_jvp
def _mix(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`[..., H, W, I]`, `[..., I, O]` -> `[..., H, W, O]`, of bfloat16 in float32."""
    wide = jnp.float32 if x.dtype == jnp.bfloat16 else x.dtype
    return jnp.einsum(_MIX, x, kernel, preferred_element_type=wide)


_MIX = "...hwi,...io->...hwo"


@_mix.defjvp
def _mix_jvp(primals, tangents):
    """Products of bfloat16 alone: the adjoint of the above has some of both types, for which a GPU
    would write all features as float32 first."""
    (x, kernel), (x_dot, kernel_dot) = primals, tangents
    by_x, by_kernel = jnp.einsum(_MIX, x_dot, kernel), jnp.einsum(_MIX, x, kernel_dot)
    return _mix(x, kernel), resample.widened(by_x) + resample.widened(by_kernel)


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
        rgb = _mix(x, kernel.astype(x.dtype))
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

"""LPIPS, a learned perceptual distance between images (Zhang et al., 2018; Section 4.2).

Both images go through a network that was trained to classify; after each of its stages the feature
vectors of the two, of unit length, are compared, channels weighted by how much people notice them.
"""

import dataclasses
import functools
from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

from ilo_jax.errors import InputError
from ilo_jax.ops import Downsample
from ilo_jax.stylegan2.resample import ConvKernels, conv, prepare_conv

SIZE = 256
"""Pixels a side for which the distance is best (Section 4.2)."""

# Mean and standard deviation of ImageNet's colours, for images in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_SMALLEST_NORM = 1e-10


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution with bias, and a ReLU. Zeros are padded on each side."""

    size: int = 3
    stride: int = 1
    padding: int = 1

    @property
    def is_same(self) -> bool:
        """Whether it is of the kind that `stylegan2.resample` has fast forms for."""
        return self == Conv()


@dataclasses.dataclass(frozen=True)
class Stage:
    """Layers between two comparisons of features.

    Attributes:
      convs: one after another.
      pool: window of the max-pooling with stride 2 before them; None without.
    """

    convs: tuple[Conv, ...]
    pool: int | None = None


class Lpips(flax.struct.PyTreeNode):
    """A network with its weights, by `prepare` or `load`; they are frozen, without gradients.

    Attributes:
      stages: the layers.
      kernels, biases: of all convolutions, in order.
      heads: `[C]` a stage, the square roots of the weights of the channels.
    """

    stages: tuple[Stage, ...] = flax.struct.field(pytree_node=False)
    kernels: tuple[ConvKernels | jax.Array, ...]
    biases: tuple[jax.Array, ...]
    heads: tuple[jax.Array, ...]


def prepare(
    stages: tuple[Stage, ...],
    kernels: Sequence[jax.Array],
    biases: Sequence[jax.Array],
    heads: Sequence[jax.Array],
) -> Lpips:
    """A network of its weights.

    Args:
      stages: the layers, `C_i` features after the convolutions of stage i.
      kernels: `[size, size, I, O]`, of all convolutions in order.
      biases: `[O]` each.
      heads: `[C_i]` each, not negative.
    """
    prepared: list[ConvKernels | jax.Array] = []
    remaining, size = iter(kernels), SIZE
    for stage in stages:
        size = size // 2 if stage.pool else size
        for layer in stage.convs:
            size //= layer.stride
            kernel = jnp.asarray(next(remaining))
            prepared.append(prepare_conv(kernel, size) if layer.is_same else kernel)
    return Lpips(
        stages=stages,
        kernels=tuple(prepared),
        biases=tuple(map(jnp.asarray, biases)),
        heads=tuple(jnp.sqrt(jnp.asarray(head)) for head in heads),
    )


def smallest_size(stages: tuple[Stage, ...]) -> int:
    """Pixels a side that an image has at least, for one feature vector to be left at the end."""
    size = 1
    for stage in reversed(stages):
        for layer in reversed(stage.convs):
            size = (size - 1) * layer.stride + layer.size - 2 * layer.padding
        if stage.pool:
            size = (size - 1) * 2 + stage.pool
    return size


def features(network: Lpips, image: jax.Array) -> tuple[jax.Array, ...]:
    """What the distance compares, scaled such that it is a plain sum of squares.

    Args:
      image: `[..., H, W, C]` in [-1, 1], C is 1 (grey) or 3.

    Returns:
      `[..., H_i, W_i, C_i]` a stage.

    Raises:
      InputError: the image is too small, or has another number of channels.
    """
    height, width, channels = image.shape[-3:]
    smallest = smallest_size(network.stages)
    if min(height, width) < smallest or channels not in (1, 3):
        raise InputError(
            f"image {height}x{width}x{channels}: LPIPS expects at least {smallest}x{smallest} "
            f"pixels and 1 or 3 channels"
        )
    # Before the padding, whose zeros are the mean colour.
    x = (image - jnp.array(_SHIFT)) / jnp.array(_SCALE)
    layers = zip(network.kernels, network.biases, strict=True)
    compared = []
    for stage, head in zip(network.stages, network.heads, strict=True):
        if stage.pool:
            x = _max_pool(x, stage.pool)
        for layer in stage.convs:
            kernel, bias = next(layers)
            x = jax.nn.relu(_convolve(x, layer, kernel) + bias)
        compared.append(_unit(x) * (head / (x.shape[-3] * x.shape[-2]) ** 0.5))
    return tuple(compared)


def distance(a: tuple[jax.Array, ...], b: tuple[jax.Array, ...]) -> jax.Array:
    """LPIPS of the images that two results of `features` are of: `[...]`, 0 for equal images."""
    return functools.reduce(
        jnp.add, (jnp.sum((p - q) ** 2, (-3, -2, -1)) for p, q in zip(a, b, strict=True))
    )


def lpips(network: Lpips, x: jax.Array, y: jax.Array) -> jax.Array:
    """LPIPS of images `[..., H, W, C]` in [-1, 1], C is 1 or 3: `[...]`.

    Raises:
      InputError: they are too small, or have another number of channels.
    """
    return distance(features(network, x), features(network, y))


def resized(image: jax.Array) -> jax.Array:
    """The image at about the size for which the distance is best: `[..., H, W, C]` ->
    `[..., H / factor, W / factor, C]`, bicubic and antialiased.

    `factor` is the largest integer that divides both sides and leaves at least 256 px of the
    shorter one; an image for which there is none stays as it is.
    """
    height, width = image.shape[-3:-1]
    factor = max(min(height, width) // SIZE, 1)
    while height % factor or width % factor:
        factor -= 1
    # Its kernel blurs an image even by factor 1.
    return image if factor == 1 else Downsample(image.shape[-3:], factor)(image)


def _convolve(x: jax.Array, layer: Conv, kernel: ConvKernels | jax.Array) -> jax.Array:
    if isinstance(kernel, ConvKernels):
        return conv(x, kernel)
    padding = (layer.padding, layer.padding)
    y = lax.conv_general_dilated(
        x.reshape(-1, *x.shape[-3:]),
        kernel,
        (layer.stride, layer.stride),
        (padding, padding),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def _max_pool(x: jax.Array, window: int) -> jax.Array:
    """Max-pooling with stride 2 that leaves out an incomplete window at the end, by shifted maxima:
    the gradient of XLA's own is slow on CPU."""
    for axis in (x.ndim - 3, x.ndim - 2):
        span = (x.shape[axis] - window) // 2 * 2 + 1
        shifts = (lax.slice_in_dim(x, i, i + span, 2, axis) for i in range(window))
        x = functools.reduce(jnp.maximum, shifts)
    return x


def _unit(x: jax.Array) -> jax.Array:
    """Feature vectors of unit length; 0 where all features are 0, with a finite gradient."""
    square = jnp.sum(x**2, -1, keepdims=True)
    # Not multiplied by the inverse, of which jaxlib 0.10.2 makes wrong gradients under vmap on CPU.
    return x / (jnp.sqrt(jnp.maximum(square, _SMALLEST_NORM**2)) + _SMALLEST_NORM)

"""Convolutions and up-sampling of the synthesis network, on `[..., H, W, C]` arrays.

Kernels are frozen: they come prepared (`ConvKernels`), with everything that depends on
them alone computed once, and have no gradient. The adjoint of a convolution is again a
convolution, written out here, since what JAX derives is slower.

Up-sampling filters with [1, 3, 3, 1] in each direction (Karras et al., 2020). Arrays may be
bfloat16; what is added up outside of a product is added in float32.
"""

import functools
import itertools

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

from ilo_jax.stylegan2 import linear, winograd


@flax.struct.dataclass
class ConvKernels:
    """The kernels of a convolution and of its adjoint, by `prepare_conv` for `conv`, or by
    `prepare_upsample_conv` (one kernel, or four phases) for `upsample_conv`."""

    forward: tuple[jax.Array, ...]
    adjoint: tuple[jax.Array, ...]
    winograd: bool = flax.struct.field(pytree_node=False, default=False)


def widened(x: jax.Array) -> jax.Array:
    """bfloat16 as float32, in which it is added up; another type as it is."""
    return x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x


def prepare_conv(kernel: jax.Array, resolution: int) -> ConvKernels:
    """Of `[3, 3, I, O]`, for `conv` of images of about `resolution` pixels squared; the faster
    of two forms for that many (benchmarks/README.md), in bfloat16 the one that rounds less."""
    both = kernel, _transpose(kernel)
    # Its transforms cost more than they save with few channels once they leave the cache, and so
    # does reading its kernel, four times as large, for few pixels. GPU and TPU libraries choose a
    # form by themselves.
    fewest, most = min(kernel.shape[2:]), max(kernel.shape[2:])
    use_winograd = (
        jax.default_backend() == "cpu"
        and kernel.dtype != jnp.bfloat16
        and fewest >= (64 if resolution <= 64 else 128)
        and (resolution >= 16 or most <= 128)
    )
    forward, adjoint = map(winograd.prepare, both) if use_winograd else both
    return ConvKernels((forward,), (adjoint,), use_winograd)


def prepare_upsample_conv(kernel: jax.Array) -> ConvKernels:
    """Of `[3, 3, I, O]`, for `upsample_conv`: in phases on a CPU; GPU and TPU libraries have
    transposed convolutions that are faster (docs/scale.md)."""
    return prepare_phases(kernel) if jax.default_backend() == "cpu" else prepare_whole(kernel)


def prepare_whole(kernel: jax.Array) -> ConvKernels:
    """Of `[3, 3, I, O]`, for `upsample_conv` as one transposed convolution."""
    return ConvKernels((kernel,), (jnp.swapaxes(kernel, -1, -2),))


def prepare_phases(kernel: jax.Array) -> ConvKernels:
    """Of `[3, 3, I, O]`, for `upsample_conv`: one kernel a phase of the output (even or odd row,
    even or odd column), with the taps that meet an input there, not a zero between two."""
    even, odd = slice(None, None, -2), slice(1, 2)
    phases = tuple(kernel[rows, columns] for rows in (even, odd) for columns in (even, odd))
    return ConvKernels(phases, tuple(_transpose(phase) for phase in phases))


def _transpose(kernel: jax.Array) -> jax.Array:
    """`[h, w, I, O]` -> `[h, w, O, I]`, turned around."""
    return jnp.swapaxes(kernel[::-1, ::-1], -1, -2)


def conv(x: jax.Array, kernels: ConvKernels) -> jax.Array:
    """'Same' convolution: `[..., H, W, I]` -> `[..., H, W, O]`.

    Raises:
      TypeError: derivatives with respect to the kernels are asked for.
    """
    return linear.apply(_conv, _conv_adjoint, x, kernels)


def _conv(x: jax.Array, kernels: ConvKernels) -> jax.Array:
    return _same_conv(x, kernels.forward[0], kernels.winograd)


def _conv_adjoint(y: jax.Array, kernels: ConvKernels) -> jax.Array:
    return _same_conv(y, kernels.adjoint[0], kernels.winograd)


def _same_conv(x: jax.Array, kernel: jax.Array, use_winograd: bool) -> jax.Array:
    return winograd.conv(x, kernel) if use_winograd else _correlate(x, kernel, "SAME")


def upsample_conv(x: jax.Array, kernels: ConvKernels) -> jax.Array:
    """Stride-2 transposed 3x3 convolution, then the FIR filter.

    `[..., H, W, I]` -> `[..., 2H, 2W, O]`.

    Raises:
      TypeError: derivatives with respect to the kernels are asked for.
    """
    return linear.apply(_upsample_conv, _upsample_conv_adjoint, x, kernels)


def _upsample_conv(x: jax.Array, kernels: ConvKernels) -> jax.Array:
    return _filter(_transposed_conv(x, kernels.forward), 1)


def _upsample_conv_adjoint(y: jax.Array, kernels: ConvKernels) -> jax.Array:
    *_, h, w, _ = y.shape
    t = _filter(y, 2)
    if len(kernels.adjoint) == 1:
        return _correlate(t, kernels.adjoint[0], "VALID", stride=2)
    terms = []
    for kernel, (i, j) in zip(kernels.adjoint, itertools.product((0, 1), (0, 1)), strict=True):
        # Padded and cropped, since XLA's unpadded convolution is three times slower on CPU.
        p, q = 1 - i, 1 - j
        x = _correlate(t[..., i::2, j::2, :], kernel, ((p, p), (q, q)))
        terms.append(x[..., p : p + h // 2, q : q + w // 2, :])
    return functools.reduce(jnp.add, map(widened, terms)).astype(y.dtype)


def _transposed_conv(x: jax.Array, kernels: tuple[jax.Array, ...]) -> jax.Array:
    """Stride-2 transposed convolution, `[..., H, W, I]` -> `[..., 2H + 1, 2W + 1, O]`.

    Of phases: four small convolutions, interleaved, have a quarter of the operations of one over
    spread-out zeros.
    """
    if len(kernels) == 1:  # turned here, by which XLA knows it for a transposed convolution
        return _correlate(x, kernels[0][::-1, ::-1], ((2, 2), (2, 2)), spread=2)
    edge, none = (1, 1), (0, 0)
    pads = ((edge, edge), (edge, none), (none, edge), (none, none))
    a, b, c, d = (_correlate(x, k, pad) for k, pad in zip(kernels, pads, strict=True))
    return _interleave(_interleave(a, b, -2), _interleave(c, d, -2), -3)


def _interleave(even: jax.Array, odd: jax.Array, axis: int) -> jax.Array:
    """n + 1 and n -> 2n + 1 along an axis."""
    axis += even.ndim
    n = odd.shape[axis]
    pairs = _alternate(lax.slice_in_dim(even, 0, n, axis=axis), odd, axis)
    return jnp.concatenate([pairs, lax.slice_in_dim(even, n, n + 1, axis=axis)], axis)


def _alternate(even: jax.Array, odd: jax.Array, axis: int) -> jax.Array:
    """n and n -> 2n along an axis >= 0."""
    pairs = jnp.stack([even, odd], axis + 1)
    return pairs.reshape(*odd.shape[:axis], 2 * odd.shape[axis], *odd.shape[axis + 1 :])


def _filter(t: jax.Array, edge: int) -> jax.Array:
    """The FIR filter along both axes, of an image with so many zeros around it."""
    edges = ((0, 0),) * (t.ndim - 3) + ((edge, edge), (edge, edge), (0, 0))
    t, kind = widened(jnp.pad(t, edges)), t.dtype
    if jax.default_backend() == "cpu":
        return _fir(_fir(t, -3), -2).astype(kind)
    # In one pass over the pixels: what is filtered along one axis has one use, and is not written.
    n = t.shape[-3] - 3
    rows = [_fir(lax.slice_in_dim(t, i, i + n, axis=-3), -2) for i in range(4)]
    return _taps(*rows).astype(kind)


def _fir(t: jax.Array, axis: int) -> jax.Array:
    """[1, 3, 3, 1] / 4 along one axis, 'valid': n -> n - 3. Shifted adds: much faster than a
    depthwise convolution, on CPU above all."""
    n = t.shape[axis] - 3
    return _taps(*(lax.slice_in_dim(t, i, i + n, axis=axis) for i in range(4)))


def _taps(a: jax.Array, b: jax.Array, c: jax.Array, d: jax.Array) -> jax.Array:
    return 0.25 * (a + d) + 0.75 * (b + c)


def _correlate(
    x: jax.Array, kernel: jax.Array, padding, stride: int = 1, spread: int = 1
) -> jax.Array:
    """Convolution that does not turn the kernel, `[h, w, I, O]`, of an image whose pixels are
    `spread` apart, with zeros between."""
    if kernel.shape[:2] == (1, 1):
        return x @ kernel[0, 0]
    y = lax.conv_general_dilated(
        x.reshape(-1, *x.shape[-3:]),
        kernel,
        (stride, stride),
        padding,
        lhs_dilation=(spread, spread),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def upsample(x: jax.Array) -> jax.Array:
    """Up-sampling of the RGB skip by the same filter: `[..., H, W, C]` -> `[..., 2H, 2W, C]`."""
    for axis in (x.ndim - 3, x.ndim - 2):
        n = x.shape[axis]
        padded = jnp.pad(x, [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)])
        before, after = (lax.slice_in_dim(padded, i, i + n, axis=axis) for i in (0, 2))
        x = _alternate(0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after, axis)
    return x

"""Convolutions of features that a style scales (Karras et al., 2020, section 2.2).

Scaling the features is equal to scaling the kernel. One kernel serves a whole batch if the features
are scaled; of one image the kernel is, where it is less to read and write than they are.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ilo_jax.stylegan2 import linear
from ilo_jax.stylegan2.pixels import over_pixels
from ilo_jax.stylegan2.resample import ConvKernels, widened

Convolve = Callable[[jax.Array, ConvKernels], jax.Array]


def modulated(
    convolve: Convolve, x: jax.Array, style: jax.Array, kernels: ConvKernels
) -> jax.Array:
    """`convolve(x * style, kernels)`: `[..., H, W, I]`, `[..., I]` -> `[..., H', W', O]`.

    Args:
      convolve: `resample.conv` or `resample.upsample_conv`.

    Raises:
      TypeError: derivatives with respect to the kernels are asked for.
    """
    return _modulated(convolve, x, style, linear.frozen(kernels))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _modulated(
    convolve: Convolve, x: jax.Array, style: jax.Array, kernels: ConvKernels
) -> jax.Array:
    return _forward(convolve)(x, style, kernels)


@_modulated.defjvp
def _modulated_jvp(convolve, primals, tangents):
    """By features that are scaled, whose adjoint is a pass over the pixels that has to be made in
    any case: that of a scaled kernel would be a convolution of its own."""
    (x, style, kernels), (x_dot, style_dot, _) = primals, tangents
    scaled_dot = _scaled(x_dot, style) + _scaled(x, style_dot)
    return _modulated(convolve, x, style, kernels), convolve(scaled_dot.astype(x.dtype), kernels)


def _scaled(x: jax.Array, style: jax.Array) -> jax.Array:
    return widened(x) * over_pixels(style, x)


@functools.cache
def _forward(convolve: Convolve) -> Callable[[jax.Array, jax.Array, ConvKernels], jax.Array]:
    """Without derivatives. Told of a batch by its own rule: for one of several images a kernel each
    would be a grouped convolution, which is slow."""

    def of_batch(x: jax.Array, style: jax.Array, kernels: ConvKernels) -> jax.Array:
        return convolve(_scaled(x, style).astype(x.dtype), kernels)

    @jax.custom_batching.custom_vmap
    def forward(x: jax.Array, style: jax.Array, kernels: ConvKernels) -> jax.Array:
        one = style.size == style.shape[-1] and style.ndim + 2 <= x.ndim
        # Read and written when it is scaled.
        if not one or x.size < 2 * sum(kernel.size for kernel in kernels.forward):
            return of_batch(x, style, kernels)
        column = style.reshape(-1, 1)
        scaled = tuple((widened(k) * column).astype(k.dtype) for k in kernels.forward)
        return convolve(x, dataclasses.replace(kernels, forward=scaled))

    @forward.def_vmap
    def _(size, batched, x, style, kernels):
        if size == 1 and batched == [True, True, jax.tree.map(lambda _: False, kernels)]:
            return forward(x, style, kernels), True
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(batched))
        return jax.vmap(of_batch, axes)(x, style, kernels), True

    return forward


_MIX = "...hwi,...io->...hwo"


@jax.custom_jvp
def mix(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A 1x1 convolution to few channels by a kernel an image, `[..., H, W, I]`, `[..., I, O]`
    -> `[..., H, W, O]`, of bfloat16 in float32."""
    return jnp.einsum(_MIX, x, kernel, preferred_element_type=widened(x).dtype)


@mix.defjvp
def _mix_jvp(primals, tangents):
    """The adjoint is a sum of few products at every pixel, computed where it is used; that of a
    matrix product would be written and read. Products of bfloat16 alone, since for others a GPU
    would write all features as float32 first."""
    (x, kernel), (x_dot, kernel_dot) = primals, tangents
    columns = [over_pixels(kernel[..., o], x) for o in range(kernel.shape[-1])]
    by_x = [jnp.sum(widened(x_dot) * widened(column), -1) for column in columns]
    by_kernel = widened(jnp.einsum(_MIX, x, kernel_dot))
    return mix(x, kernel), jnp.stack(by_x, -1) + by_kernel

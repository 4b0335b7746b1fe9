"""Colourisation: the brightness of an image is measured."""

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Shape, align

_LUMA = (0.299, 0.587, 0.114)


class Grey(LinearOperator):
    """`A(x) = 0.299 R + 0.587 G + 0.114 B`: luma by ITU-R BT.601, `[..., H, W, 1]`."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.sum(x * align(jnp.array(_LUMA, x.dtype), x), axis=-1, keepdims=True)


def grey(image_shape: Shape) -> Grey:
    """The brightness of colour images.

    Raises:
      InputError: images without three channels.
    """
    if image_shape[-1] != 3:
        raise InputError(f"colourise: images of {image_shape[-1]} channel(s); expected 3, colours")
    return Grey(image_shape)

"""Colourisation: the brightness of an image is measured."""

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops.base import LinearOperator, Shape, Task

_LUMA = (0.299, 0.587, 0.114)


class Grey(LinearOperator):
    """`A(x) = 0.299 R + 0.587 G + 0.114 B`: luma by ITU-R BT.601, `[..., H, W, 1]`."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.sum(x * jnp.array(_LUMA), axis=-1, keepdims=True)


def _build(key: jax.Array, image_shape: Shape) -> Grey:
    del key
    if image_shape[-1] != 3:
        raise InputError(f"colourise: images of {image_shape[-1]} channel(s); expected 3, colours")
    return Grey(image_shape)


TASK = Task("colourise", "give a grey image its colours", _build)

"""All pixels observed: inversion of the generator."""

import jax

from ilo_jax.ops.base import LinearOperator, Shape, Task


class Identity(LinearOperator):
    """`A(x) = x`."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return x


def _build(key: jax.Array, image_shape: Shape) -> Identity:
    del key
    return Identity(image_shape)


TASK = Task("invert", "find the image in the range of the generator", _build, demo={})

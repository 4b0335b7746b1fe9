"""All pixels observed: inversion of the generator."""

import jax

from ilo_jax.ops.base import LinearOperator, Shape


class Identity(LinearOperator):
    """`A(x) = x`."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return x


def identity(image_shape: Shape) -> Identity:
    """All of the image, `[..., H, W, C]`, is measured."""
    return Identity(image_shape)

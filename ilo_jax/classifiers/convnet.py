"""A small convolutional network, for small pictures of simple things."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class ConvNetConfig:
    """Sizes of a ConvNet.

    Attributes:
      resolution: height and width that images are resized to.
      widths: channels of each convolution; between two of them the size is halved.
      classes: number of classes.
    """

    resolution: int = 16
    widths: tuple[int, ...] = (16, 32, 64)
    classes: int = 10


class ConvNet(nn.Module):
    """Images `[..., H, W, C]` in [-1, 1], of any size, turned to grey -> logits `[..., classes]`.

    Everything is smooth, for gradients that look like something; values beyond [-1, 1] are
    clipped: what is classified is the picture that can be shown.
    """

    config: ConvNetConfig

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        c = self.config
        x = jnp.clip(jnp.mean(image, -1, keepdims=True), -1, 1)
        if x.shape[-3:-1] != (c.resolution, c.resolution):
            x = jax.image.resize(x, (*x.shape[:-3], c.resolution, c.resolution, 1), "linear")
        for i, width in enumerate(c.widths):
            if i:
                x = nn.avg_pool(x, (2, 2), (2, 2))
            x = nn.silu(nn.Conv(width, (3, 3), name=f"conv_{i}")(x))
        return nn.Dense(c.classes, name="head")(x.reshape(*x.shape[:-3], -1))

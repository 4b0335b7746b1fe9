"""A small convolutional network, for small pictures of simple things."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from ilo_jax.sizes import MAX_CLASSES, MAX_WIDTH, check_size, check_sizes


@dataclasses.dataclass(frozen=True)
class ConvNetConfig:
    """Sizes of a ConvNet.

    Attributes:
      resolution: height and width that images are resized to.
      widths: channels of each convolution; between two of them the size is halved.
      classes: number of classes.

    Raises:
      ValueError: a size is out of range; one line, which names the field.
    """

    resolution: int = 16
    widths: tuple[int, ...] = (16, 32, 64)
    classes: int = 10

    def __post_init__(self):
        check_size("resolution", self.resolution, 1024)
        check_sizes("widths", self.widths, 10, MAX_WIDTH)
        check_size("classes", self.classes, MAX_CLASSES)
        if self.resolution < 2 ** (len(self.widths) - 1):
            raise ValueError(
                f"resolution is {self.resolution}; expected {len(self.widths)} widths or fewer"
            )


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

"""ResNet-50 and its like (He et al., 2016), as torchvision and the `robustness` library build them.

Batch normalization is folded into the convolutions: the network is only run.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from ilo_jax.sizes import MAX_CLASSES, MAX_WIDTH, check_size, check_sizes

RESOLUTION = 224
"""Height and width that images are resized to, those of ImageNet's training."""


@dataclasses.dataclass(frozen=True)
class ResNetConfig:
    """Sizes of a ResNet of bottleneck blocks; those of ResNet-50 by default.

    Attributes:
      stage_sizes: blocks of each stage.
      width: channels of the stem, and of the first stage's bottlenecks; each stage has twice
        as many as the one before.
      classes: number of classes.

    Raises:
      ValueError: a size is out of range; one line, which names the field.
    """

    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    classes: int = 1000

    def __post_init__(self):
        check_sizes("stage_sizes", self.stage_sizes, 5, 100)
        check_size("blocks, those of stage_sizes together,", sum(self.stage_sizes), 128)
        check_size("width", self.width, MAX_WIDTH // 2 ** len(self.stage_sizes))
        check_size("classes", self.classes, MAX_CLASSES)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut: `[..., H, W, C]` ->
    `[..., H / stride, W / stride, 4 width]`."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = nn.relu(nn.Conv(self.width, (1, 1), name="conv_0")(x))
        # The stride is the 3x3 convolution's: version 1.5, not the paper's.
        y = nn.Conv(self.width, (3, 3), self.stride, padding=1, name="conv_1")(y)
        y = nn.Conv(4 * self.width, (1, 1), name="conv_2")(nn.relu(y))
        if x.shape != y.shape:
            x = nn.Conv(4 * self.width, (1, 1), self.stride, name="shortcut")(x)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """Images `[..., H, W, C]` in [-1, 1], of any size, grey (C = 1) or RGB -> logits
    `[..., classes]`.

    Values beyond [-1, 1] are clipped: what is classified is the picture that can be shown.
    """

    config: ResNetConfig

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        c = self.config
        mean = self.param("mean", nn.initializers.zeros, (3,))
        std = self.param("std", nn.initializers.ones, (3,))

        x = jnp.broadcast_to(image, (*image.shape[:-1], 3))
        if x.shape[-3:-1] != (RESOLUTION, RESOLUTION):
            x = jax.image.resize(x, (*x.shape[:-3], RESOLUTION, RESOLUTION, 3), "cubic")
        x = (jnp.clip((x + 1) / 2, 0, 1) - mean) / std

        x = nn.relu(nn.Conv(c.width, (7, 7), 2, padding=3, name="stem")(x))
        # Zeros are as good as any border: nothing is below 0 here.
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [(1, 1), (1, 1), (0, 0)])
        x = nn.max_pool(x, (3, 3), (2, 2))
        for stage, size in enumerate(c.stage_sizes):
            for block in range(size):
                stride = 2 if stage and not block else 1
                name = f"stage_{stage}_block_{block}"
                x = Bottleneck(c.width * 2**stage, stride, name=name)(x)
        return nn.Dense(c.classes, name="head")(jnp.mean(x, (-3, -2)))

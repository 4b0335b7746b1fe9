"""The static description of a StyleGAN2 generator."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of a StyleGAN2 generator; hashable, so that it can be static under `jax.jit`.

    Layers are counted as the convolutions of the synthesis network, in the order in
    which data flows. Block 0 (4x4) holds layer 0; block `b >= 1` holds layers `2b - 1`
    (which doubles the resolution) and `2b`, and ends in a to-RGB branch. Layer `l`
    reads latent `l`; the to-RGB after layer `l` reads latent `l + 1`.

    Attributes:
      channels: features of each block, from 4x4 up; their number sets the resolution.
      w_dim: width of the intermediate latent space W (the style width).
      z_dim: width of the latent space Z.
      mapping_layers: number of dense layers of the mapping network.
      image_channels: channels of the generated image.
    """

    channels: tuple[int, ...]
    w_dim: int = 512
    z_dim: int = 512
    mapping_layers: int = 8
    image_channels: int = 3

    @property
    def num_blocks(self) -> int:
        return len(self.channels)

    @property
    def resolution(self) -> int:
        return 4 * 2 ** (self.num_blocks - 1)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (self.resolution, self.resolution, self.image_channels)

    @property
    def num_layers(self) -> int:
        """Synthesis convolutions, and as many noise maps: 17 at 1024 px."""
        return 2 * self.num_blocks - 1

    @property
    def num_latents(self) -> int:
        """Latents of W+, one a style input: 18 at 1024 px."""
        return 2 * self.num_blocks

    def layer_block(self, layer: int) -> int:
        """Block that a layer belongs to."""
        return (layer + 1) // 2

    def layer_resolution(self, layer: int) -> int:
        """Height and width of a layer's output and of its noise map."""
        return 4 * 2 ** self.layer_block(layer)

    def layer_channels(self, layer: int) -> int:
        """Channels of a layer's output."""
        return self.channels[self.layer_block(layer)]

    def block_start(self, block: int) -> int:
        """First layer of a block."""
        return max(2 * block - 1, 0)


def config_f(resolution: int) -> GeneratorConfig:
    """StyleGAN2 config-f (Karras et al., 2020), `resolution` a power of two from 8 to 1024."""
    blocks = round(math.log2(resolution)) - 1
    if not 8 <= resolution <= 1024 or resolution != 4 * 2 ** (blocks - 1):
        raise ValueError(f"resolution {resolution}: expected a power of two from 8 to 1024")
    return GeneratorConfig(channels=(512, 512, 512, 512, 512, 256, 128, 64, 32)[:blocks])

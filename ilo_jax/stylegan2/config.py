"""The static description of a StyleGAN2 generator."""

import dataclasses
import math

from ilo_jax.sizes import MAX_WIDTH, check_size, check_sizes

MAX_BLOCKS = 10  # 2048 px
MAX_CLAMP = 2**24  # StyleGAN2-ADA has 256
MAX_MAPPING_LAYERS = 64  # StyleGAN2 has 8
HALF_BLOCKS = 4
"""Of the highest resolutions, those which the authors of generators with `conv_clamp` ran in half
precision (StyleGAN2-ADA, Karras et al., 2020)."""


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of a StyleGAN2 generator; hashable, so that it can be static under `jax.jit`.

    Layers are counted as the convolutions of the synthesis network, in the order in
    which data flows. Block 0 (4x4) holds layer 0; block `b >= 1` holds layers `2b - 1`
    (which doubles the resolution) and `2b`, and may end in a to-RGB branch. Layer `l`
    reads latent `l`; the to-RGB after layer `l` reads latent `l + 1`.

    Attributes:
      channels: features of each block, from 4x4 up; their number sets the resolution.
      w_dim: width of the intermediate latent space W (the style width).
      z_dim: width of the latent space Z.
      mapping_layers: number of dense layers of the mapping network.
      image_channels: channels of the generated image.
      architecture: 'skip' sums up the RGB of all blocks; 'orig' and 'resnet' have one
        to-RGB branch, after the last layer, and 'resnet' blocks a residual branch
        (Karras et al., 2020, figure 7).
      conv_clamp: bound of what a layer and a to-RGB branch put out; None for no bound.
      mapping_width: width of the hidden layers of the mapping network; `w_dim` by default.
      label_dim: width of the label of a class-conditional generator; 0 if it has none.
      label_width: width of the label's embedding, which is appended to `z`.
      joint_normalization: whether `z` and the embedding are normalized together, as in
        StyleGAN2, or each alone, as in StyleGAN2-ADA.

    Raises:
      ValueError: a size is no integer from 1 to the largest below, another field has a value
        that it cannot have; one line, which names the field.
    """

    channels: tuple[int, ...]
    w_dim: int = 512
    z_dim: int = 512
    mapping_layers: int = 8
    image_channels: int = 3
    architecture: str = "skip"
    conv_clamp: float | None = None
    mapping_width: int | None = None
    label_dim: int = 0
    label_width: int = 0
    joint_normalization: bool = False

    def __post_init__(self):
        check_sizes("channels", self.channels, MAX_BLOCKS, MAX_WIDTH)
        for name in ("w_dim", "z_dim", "image_channels"):
            check_size(name, getattr(self, name), MAX_WIDTH)
        check_size("mapping_layers", self.mapping_layers, MAX_MAPPING_LAYERS)
        if self.mapping_width is not None:
            check_size("mapping_width", self.mapping_width, MAX_WIDTH)
        if self.label_dim != 0:
            check_size("label_dim", self.label_dim, MAX_WIDTH)
            check_size("label_width", self.label_width, MAX_WIDTH)
        if self.architecture not in ("skip", "orig", "resnet"):
            raise ValueError("architecture is unknown; expected skip, orig or resnet")
        clamp = self.conv_clamp
        if not (clamp is None or (type(clamp) in (int, float) and 0 < clamp <= MAX_CLAMP)):
            raise ValueError(
                f"conv_clamp is no number from 0 to {MAX_CLAMP}; expected one, or none"
            )
        if type(self.joint_normalization) is not bool:
            raise ValueError("joint_normalization is no truth value; expected true or false")

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

    @property
    def mapping_widths(self) -> tuple[int, ...]:
        """Output widths of the mapping network's layers."""
        hidden = self.w_dim if self.mapping_width is None else self.mapping_width
        return (hidden,) * (self.mapping_layers - 1) + (self.w_dim,)

    @property
    def style_widths(self) -> tuple[int, ...]:
        """Width of each layer's style: the channels that the layer reads."""
        return tuple(self.layer_channels(max(layer - 1, 0)) for layer in range(self.num_layers))

    @property
    def rgb_widths(self) -> tuple[int, ...]:
        """Width of the style of each to-RGB branch: the channels that the branch reads."""
        return self.channels if self.architecture == "skip" else self.channels[-1:]

    def layer_block(self, layer: int) -> int:
        """Block that a layer belongs to."""
        return (layer + 1) // 2

    def layer_resolution(self, layer: int) -> int:
        """Height and width of a layer's output and of its noise map."""
        return 4 * 2 ** self.layer_block(layer)

    def layer_channels(self, layer: int) -> int:
        """Channels of a layer's output."""
        return self.channels[self.layer_block(layer)]

    def half_layer(self, layer: int) -> bool:
        """Whether a layer is in half precision where a generator is: all are, but for a generator
        with `conv_clamp`, whose low resolutions its authors left in float32."""
        first = 0 if self.conv_clamp is None else self.num_blocks - HALF_BLOCKS
        return self.layer_block(layer) >= first

    def block_start(self, block: int) -> int:
        """First layer of a block."""
        return max(2 * block - 1, 0)


def config_f(resolution: int) -> GeneratorConfig:
    """StyleGAN2 config-f (Karras et al., 2020), `resolution` a power of two from 8 to 1024."""
    blocks = round(math.log2(resolution)) - 1
    if not 8 <= resolution <= 1024 or resolution != 4 * 2 ** (blocks - 1):
        raise ValueError(f"resolution {resolution}: expected a power of two from 8 to 1024")
    return GeneratorConfig(channels=(512, 512, 512, 512, 512, 256, 128, 64, 32)[:blocks])

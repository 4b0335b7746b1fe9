"""A grid of samples, to see what a generator draws."""

import io
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from ilo_jax.errors import InputError
from ilo_jax.files.atomic import write_atomically
from ilo_jax.stylegan2 import Generator, map_latents, synthesize

ROWS, COLUMNS = 4, 8
PSI = 0.7
TILE = 256  # larger images are reduced to this


def write_preview(path: pathlib.Path, generator: Generator) -> None:
    """Writes a PNG of `ROWS * COLUMNS` samples, truncated; classes follow one another.

    Raises:
      InputError: it cannot be written, or an image is not finite.
    """
    config = generator.config
    keys = jax.random.split(jax.random.key(0), ROWS * COLUMNS)

    @jax.jit
    def draw(generator: Generator, key: jax.Array, index: jax.Array) -> jax.Array:
        label = None
        if config.label_dim:
            label = jax.nn.one_hot(index % config.label_dim, config.label_dim)
        z = jax.random.normal(key, (config.z_dim,))
        return synthesize(generator, map_latents(generator, z, PSI, label=label))

    images = [np.asarray(draw(generator, key, jnp.int32(i))) for i, key in enumerate(keys)]
    if not np.isfinite(images).all():
        raise InputError(
            f"{path}: images that are not finite; expected weights of a trained network"
        )
    tiles = list(map(_tile, images))
    side = tiles[0].width
    grid = Image.new("RGB", (COLUMNS * side, ROWS * side))
    for i, tile in enumerate(tiles):
        grid.paste(tile, (i % COLUMNS * side, i // COLUMNS * side))
    encoded = io.BytesIO()
    grid.save(encoded, "PNG")
    write_atomically(path, encoded.getvalue())


def _tile(image: np.ndarray) -> Image.Image:
    """Shows the first three channels; the first one in grey if there are fewer."""
    if not np.isfinite(image).all():
        raise InputError("a sample that is not finite; expected weights of a trained network")
    image = image[..., :3] if image.shape[-1] >= 3 else np.repeat(image[..., :1], 3, -1)
    tile = Image.fromarray(np.uint8(np.rint((image.clip(-1, 1) + 1) * 127.5)))
    side = min(TILE, tile.width)
    return tile.resize((side, side), Image.Resampling.BOX)

"""Every pixel type, compression, byte order and layout of TIFF, against tifffile's own values."""

import itertools
from typing import Literal

import numpy as np
import pytest
import tifffile

from ilo_jax.files.images import read_exact

SIZE = (20, 37)
TYPES = ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))]
TYPES += ["float16", "float32", "float64"]
BITS = {"2 bits": ("uint8", 2), "4 bits": ("uint8", 4), "12 bits": ("uint16", 12)}
# With a predictor or not.
COMPRESSIONS = [
    (None, False),
    *itertools.product(("zlib", "lzw"), (False, True)),
    ("packbits", False),
    ("lzma", False),
    ("zstd", False),
]
LAYOUTS = [{}, {"rowsperstrip": 3}, {"tile": (16, 16)}]
# Photometric interpretation, colours, planar configuration, extra sample
KINDS = [
    ("minisblack", 1, None, None),
    ("miniswhite", 1, None, None),
    *itertools.product(
        ("rgb",), (3,), ("contig", "separate"), (None, "unspecified", "assocalpha", "unassalpha")
    ),
    ("minisblack", 1, "contig", "unassalpha"),
    ("minisblack", 1, "contig", "assocalpha"),
    ("minisblack", 1, "separate", "unassalpha"),
    ("separated", 4, "contig", None),
    ("separated", 4, "separate", None),
    ("separated", 4, "contig", "unassalpha"),
]


def random_values(kind: str, bits: int | None, shape: tuple[int, ...]) -> np.ndarray:
    """From 0 to white."""
    generator = np.random.default_rng(len(shape))
    if kind.startswith("float"):
        return generator.uniform(0, 1, shape).astype(kind)
    white = white_of(kind, bits)
    values = generator.uniform(0, 1, shape)
    return np.rint(values * np.float64(white)).clip(0, white * (1 - 1e-15)).astype(kind)


def white_of(kind: str, bits: int | None) -> int:
    if kind == "bool" or kind.startswith("float"):
        return 1
    return int(np.iinfo(kind).max) if bits is None else 2**bits - 1


def on_white(stored: np.ndarray, photometric: str, colours: int, extra: str | None, white: int):
    """`[H, W, samples]` as stored -> `[H, W, 3]` in [0, 1]."""
    values = stored.astype(np.float64) / white
    colour, alpha = values[..., :colours], values[..., colours : colours + 1]
    if photometric == "miniswhite":
        colour = 1 - colour
    if photometric == "separated":
        colour = (1 - colour[..., :3]) * (1 - colour[..., 3:])
    if extra == "unassalpha":
        colour = 1 - alpha * (1 - colour)
    if extra == "assocalpha":
        colour = np.minimum(colour, alpha) + 1 - alpha
    return np.broadcast_to(colour, (*colour.shape[:2], 3))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*TYPES, *BITS])
@pytest.mark.parametrize("way", KINDS, ids=str)
def test_every_layout_is_read_as_it_was_written(kind, way, tmp_path):
    photometric, colours, planar, extra = way
    dtype, bits = BITS.get(kind, (kind, None))
    samples = colours + (extra is not None)
    if samples > 1 and (dtype == "bool" or bits is not None):
        pytest.skip("not written by tifffile")
    values = random_values(dtype, bits, (*SIZE, samples))
    expected = on_white(values, photometric, colours, extra, white_of(dtype, bits))
    # Pillow computes 8-bit CMYK and associated alpha in 8 bits.
    rounded = dtype == "uint8" and bits is None and planar == "contig"
    close = 3 / 255 if rounded and (photometric == "separated" or extra == "assocalpha") else 1e-5
    written = values[..., 0] if samples == 1 else values
    written = np.moveaxis(values, -1, 0) if planar == "separate" else written
    path = tmp_path / "x.tif"
    # What tifffile writes of packed bits: neither compressed nor, of 12, in the other byte order.
    compressions = COMPRESSIONS if bits is None else [(None, False)]
    orders: tuple[Literal["<", ">"], ...] = ("<", ">") if bits != 12 else ("<",)
    for (compression, predictor), layout, order, big in itertools.product(
        compressions, LAYOUTS, orders, (False, True)
    ):
        if predictor and dtype in ("bool", "int64", "uint64"):
            continue  # not written by tifffile
        tifffile.imwrite(
            path,
            written,
            photometric=photometric,
            planarconfig=planar,
            extrasamples=None if extra is None else [extra],
            compression=compression,
            predictor=predictor,
            byteorder=order,
            bigtiff=big,
            bitspersample=bits,
            **layout,
        )
        stored = tifffile.imread(path)
        np.testing.assert_array_equal(stored, written)
        found, *_ = read_exact(path, (*SIZE, 3))
        np.testing.assert_allclose(
            (found + 1) / 2,
            expected,
            atol=close,
            err_msg=f"{compression} {predictor} {layout} {order} {big}",
        )

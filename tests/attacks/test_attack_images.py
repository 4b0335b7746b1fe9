"""Image files made to do harm are read or refused: no other exception, nothing said, no number that
is none, five seconds and a gigabyte at most."""

import collections
import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tracemalloc
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from odd_images import (
    good_files,
    many_directories,
    mutants,
    odd_files,
    plain,
    saved,
    tags,
    tiff,
)
from PIL import Image
from tifffile._imagecodecs import zlib_decode

from ilo_jax.errors import InputError
from ilo_jax.files import tiff as tiff_reader
from ilo_jax.files.images import read_image

READ_ALL = pathlib.Path(__file__).parent / "read_all.py"
# Pillow silences the warnings of the libtiff inside it, but not the errors, which it raises too.
LIBTIFF = re.compile(
    r"(_?(TIFF|JPEG|OJPEG|LZW|ZIP|Fax|PackBits)\w*|EstimateStripByteCounts|tempfile\.tif): "
)


def read_all(folder: pathlib.Path) -> list[tuple[str, str, str, float]]:
    """File, reader, what came of it and the seconds of all files of a folder; nothing else may be
    said."""
    command = [sys.executable, "-W", "error", str(READ_ALL), str(folder)]
    # Or decoders' threads reserve addresses, which count for the limit as if they were memory.
    env = os.environ | {"MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600, env=env)
    found = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    assert [line for line in done.stderr.splitlines() if not LIBTIFF.match(line)] == []
    assert done.returncode == 0, found[-1]
    return found


def check(files: dict[str, bytes], folder: pathlib.Path) -> collections.Counter[str]:
    """That all are read or refused in time; how many were each."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    found = read_all(folder)
    wrong = [line for line in found if line[2] not in ("read", "refused") or line[3] > 5]
    assert not wrong
    assert {name for name, *_ in found} == set(files)
    return collections.Counter(outcome for _, _, outcome, _ in found)


def test_odd_and_damaged_files_are_read_or_refused(tmp_path):
    good = {f"good-{name}": content for name, content in good_files().items()}
    damaged = dict(mutants(rounds=1, seed=0))
    counts = check(good | odd_files() | damaged, tmp_path)
    assert min(counts.values()) > 100


def photograph() -> bytes:
    """100 megapixels, as a camera has them, held upright."""
    picture = Image.new("RGB", (11_648, 8_736), (200, 100, 50))
    turned = picture.getexif()
    turned[0x0112] = 6
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=turned)
    return buffer.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_many_damaged_files_are_read_or_refused(seed, tmp_path):
    files = dict(mutants(rounds=4, seed=seed))
    if seed == 1:
        files["directories.tif"] = many_directories(60_000)
        files["large.png"] = saved(Image.new("RGBA", (12_000, 10_000), (9, 99, 9, 99)), "PNG")
        files["large.jpg"] = photograph()
        files["large.tif"] = tiff(np.zeros((8000, 8000, 3), np.uint16), photometric="rgb")
    check(files, tmp_path)


ZEROS = bytes(8_000_000)
PICTURE = np.zeros((3000, 3000), np.uint8)
PACKED = {
    8: lambda: zlib.compress(ZEROS),
    32946: lambda: zlib.compress(ZEROS),
    50000: lambda: imagecodecs.zstd_encode(ZEROS),
    34925: lambda: imagecodecs.lzma_encode(ZEROS),
    5: lambda: imagecodecs.lzw_encode(ZEROS),
    32773: lambda: b"\x81\0" * 200_000,
    34933: lambda: imagecodecs.png_encode(PICTURE),
    34887: lambda: imagecodecs.lerc_encode(PICTURE),
    7: lambda: imagecodecs.jpeg8_encode(PICTURE),
}


@pytest.mark.parametrize("library", [True, False])
@pytest.mark.parametrize("compression", PACKED)
def test_what_is_unpacked_is_no_larger_than_it_says(compression, library, tmp_path, monkeypatch):
    """8x8 pixels of 16 bits, of which Pillow would make the negative."""
    packed = PACKED[compression]()
    entries = {258: 16, 259: compression, 262: 0, 279: len(packed)}
    changed = {f"tag{code}": (4, 1, value) for code, value in entries.items()}
    (tmp_path / "x.tif").write_bytes(tags(plain(**changed), packed))
    if not library:
        monkeypatch.setattr(tiff_reader, "find_spec", lambda _: None)
        for code in (8, 32946):  # what tifffile has without it
            codecs = tifffile.TIFF.DECOMPRESSORS._codecs  # pyright: ignore[reportAttributeAccessIssue]
            monkeypatch.setitem(codecs, code, zlib_decode)
    tracemalloc.start()
    with contextlib.suppress(InputError):
        read_image(tmp_path / "x.tif", (8, 8, 1))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4_000_000

"""What is in a TIFF file: its first picture, as numbers, or that Pillow reads it right.

Pillow has all compressions of 8-bit pictures built in, but takes some files for what they are not:
white-is-zero of more than 8 bits as its negative, thumbnails as the picture. What a file is,
tifffile tells, and it reads what Pillow does not.
"""

import dataclasses
import math
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, BinaryIO

import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.files.samples import Samples

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4}
_UNSIGNED, _FLOAT = 1, 3
_JPEG = (6, 7)
_DEFLATE = (8, 32946)
_BUILT_IN = (1, *_DEFLATE)  # compressions that tifffile reads by itself, and no more than there is
_FAX, _LZW, _PACKBITS, _LZMA, _ZSTANDARD = (2, 3, 4), 5, 32773, 34925, (34926, 50000)
_BOUNDED = (*_BUILT_IN, *_FAX, _LZW, _PACKBITS, _LZMA, *_ZSTANDARD)
"""Compressions whose decoders fill the room that a page declares. Others, such as PNG or JPEG XL,
are pictures in the picture, and take the room that these declare."""
_ALPHA = (1, 2)  # associated or not
_MOST_PREVIEWS = 16


@dataclasses.dataclass(frozen=True)
class Page:
    """Where the picture is.

    Attributes:
      page: tifffile's.
      index: what Pillow calls it, None where Pillow would not read it right.
      several: whether another picture follows.
    """

    page: Any
    index: int | None
    several: bool


def open_page(file: BinaryIO) -> Page:
    """The first picture that is no preview or mask of another one.

    Raises:
      InputError: there is none, or parts of it are missing.
      Exception: whatever damage leads to.
    """
    found = _find_page(file)
    segments = math.prod(found.page.chunked)
    offsets, counts = found.page.dataoffsets, found.page.databytecounts
    whole = len(offsets) >= segments and len(offsets) == len(counts)
    if not whole or not all(offsets[:segments]) or not all(counts[:segments]):
        raise InputError("parts of it are missing; expected a whole picture")
    return found


def _find_page(file: BinaryIO) -> Page:
    import tifffile  # late: it takes a tenth of a second

    pages = tifffile.TiffFile(file).pages
    for index, page in enumerate(_first(pages)):
        if not (page.is_reduced or page.is_mask):
            following = next(_first(pages, index + 1), None)
            several = following is not None and not (following.is_reduced or following.is_mask)
            return Page(page, index if _pillow_reads(page) else None, several)
    for page in _first(pages):
        for inner in _first(page.pages) if page.pages is not None else ():
            if not (inner.is_reduced or inner.is_mask):
                return Page(inner, None, False)
    first, second = pages[0], next(_first(pages, 1), None)
    if second is not None or first.pages is not None:
        raise InputError("only previews and masks; expected a picture")
    return Page(first, 0 if _pillow_reads(first) else None, False)  # a preview left alone


def size_of(page: Any) -> tuple[int, int]:
    """Height and width of the picture as stored."""
    return page.imagelength, page.imagewidth


def bytes_of(page: Any) -> int:
    """How many its numbers take, decoded: all of them, or those of a tile that is larger."""
    size = np.dtype(page.dtype).itemsize if page.dtype is not None else 8
    whole = math.prod(int(n) for n in page.shaped)
    tile = int(page.tilelength) * int(page.tilewidth) * int(page.tiledepth)
    return max(whole, tile * int(page.samplesperpixel)) * size


def read_samples(page: Any) -> Samples:
    """The numbers of a page.

    Raises:
      InputError: they are no picture, or one of a kind that is not read.
      Exception: whatever damage leads to.
    """
    colours = _COLOURS.get(page.photometric)
    if colours is None:
        name = getattr(page.photometric, "name", page.photometric)
        raise InputError(
            f"{page.bitspersample}-bit samples of photometric interpretation {name}; "
            "expected grey, RGB, palette or CMYK"
        )
    if page.imagedepth != 1:
        raise InputError(f"{page.imagedepth} planes; expected a flat picture")
    alpha_kind = _alpha(page, colours)
    values = _upright(_decoded(page), page)
    alpha = values[..., colours : colours + 1] if alpha_kind is not None else None
    values, bits = values[..., :colours], page.bitspersample
    if page.photometric == _PALETTE:
        values, bits = page.colormap.T[values[..., 0]], 16
    if alpha is not None and alpha.dtype != values.dtype:
        raise InputError("a palette with alpha; expected a palette alone")
    return Samples(
        values,
        alpha,
        bits,
        white_is_zero=page.photometric == _WHITE_IS_ZERO,
        associated=alpha_kind == _ALPHA[0],
    )


def _first(pages: Any, start: int = 0) -> Iterator[Any]:
    """The first few from `start` on: a file may have ten thousands."""
    for index in range(start, start + _MOST_PREVIEWS):
        try:
            yield pages[index]
        except IndexError:
            return


def _pillow_reads(page: Any) -> bool:
    """Whether Pillow can and gives the numbers that tifffile gives."""
    kind, bits, photometric = page.sampleformat, page.bitspersample, page.photometric
    channels, extra = page.samplesperpixel, tuple(page.extrasamples)
    separate = page.planarconfig != 1 and channels > 1
    if page.imagedepth != 1 or (separate and (photometric, extra) not in _IN_PLANES):
        return False
    swapped = page.parent.byteorder == ">"
    if swapped and (page.parent.is_bigtiff or bits > 8):
        return False  # Pillow knows no such header, and swaps the bytes of floats twice
    if channels == 1 and photometric == _BLACK_IS_ZERO and (kind, bits) in _SINGLE:
        return bits == 12 or page.compression not in _BUILT_IN
    if kind != _UNSIGNED:
        return False
    if channels == 1 and photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE):
        return bits in (1, 2, 4, 8)
    if bits != 8:
        return False
    if photometric == _YCBCR:
        return channels == 3 and (page.compression in _JPEG or not page.is_subsampled)
    return (photometric, channels, extra) in _EIGHT_BITS


_SINGLE = ((_UNSIGNED, 16), (_UNSIGNED, 12), (_FLOAT, 32))
_IN_PLANES = ((_RGB, ()), (_RGB, (2,)))
_EIGHT_BITS = {
    (_BLACK_IS_ZERO, 2, (2,)),
    (_RGB, 3, ()),
    *((_RGB, 4, extra) for extra in ((), (0,), (1,), (2,))),
    (_CMYK, 4, ()),
    (_LAB, 3, ()),
}


def _alpha(page: Any, colours: int) -> int | None:
    """Which kind of alpha follows the colours, if any."""
    beyond = page.samplesperpixel - colours
    kinds = tuple(page.extrasamples)
    if beyond == 1 and not kinds:
        return _ALPHA[1]  # not said what: as Pillow and other programs have it
    if beyond > 0 and kinds and kinds[0] in _ALPHA:
        return int(kinds[0])
    if beyond < 0 or (beyond > 0 and colours == 1):
        raise InputError(
            f"{page.samplesperpixel} samples a pixel, photometric interpretation "
            f"{getattr(page.photometric, 'name', page.photometric)}; expected {colours} and alpha"
        )
    return None


def _decoded(page: Any) -> np.ndarray:
    """`[H, W, samples]`."""
    _check_compression(page)
    try:
        values = page.asarray(squeeze=False, maxworkers=1)
    except Exception as error:
        if find_spec("imagecodecs") is None and "imagecodecs" in str(error):
            raise _needs_imagecodecs(page) from error
        raise
    if values.size == 0:
        raise InputError("no pixels; expected a picture")
    values = values.astype(np.uint8) if values.dtype.kind == "b" else values
    separate, _, _, _, _ = values.shape
    return np.moveaxis(values[:, 0, ..., 0], 0, -1) if separate > 1 else values[0, 0]


def _check_compression(page: Any) -> None:
    """That what is decoded takes no more memory than the page declares."""
    if page.compression not in _BOUNDED:
        raise InputError(
            f"{page.bitspersample}-bit samples, compression "
            f"{getattr(page.compression, 'name', page.compression)}; expected none, Deflate, LZW, "
            "PackBits, LZMA or Zstandard"
        )
    if find_spec("imagecodecs") is not None:
        return
    if page.compression not in _BUILT_IN:
        raise _needs_imagecodecs(page)
    if page.compression in _DEFLATE:
        _check_inflated(page)


def _check_inflated(page: Any) -> None:
    """Python's own Deflate, which tifffile then uses, makes all that a strip or tile holds."""
    room = math.prod(page.chunks) * np.dtype(page.dtype).itemsize
    segments, file = math.prod(page.chunked), page.parent.filehandle
    for offset, count in zip(page.dataoffsets[:segments], page.databytecounts, strict=False):
        file.seek(offset)
        inflating = zlib.decompressobj()
        if len(inflating.decompress(file.read(count), room + 1)) > room:
            raise InputError(f"more in a part of it than {room} bytes; expected what it declares")


def _needs_imagecodecs(page: Any) -> InputError:
    return InputError(
        f"{page.bitspersample}-bit samples, compression {page.compression.name}; expected one that "
        "is read without the library imagecodecs: pip install imagecodecs"
    )


def _upright(values: np.ndarray, page: Any) -> np.ndarray:
    tag = page.tags.get(274)
    return upright(values, 1 if tag is None else tag.value)


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """`[H, W, ...]` as a viewer turns it, by the number that EXIF and TIFF have for it."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values

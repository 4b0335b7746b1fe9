"""From an image file to its numbers, upright: 8 bits as Pillow's image, all others as samples."""

import dataclasses
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ilo_jax.errors import InputError, one_line
from ilo_jax.files.libraries import of_extra
from ilo_jax.files.profiles import keeps_16_bits
from ilo_jax.files.regular import open_regular
from ilo_jax.files.samples import Samples
from ilo_jax.files.tiff import bytes_of, open_page, read_samples, size_of, upright

# Named, so that Pillow never starts an outside program (Ghostscript, for EPS) on a file.
_NAMES = {
    "PNG": "PNG",
    "JPEG": "JPEG",
    "TIFF": "TIFF",
    "BMP": "BMP",
    "GIF": "GIF",
    "WEBP": "WebP",
    "PPM": "PNM",
    "JPEG2000": "JPEG 2000",
    "AVIF": "AVIF",
    "HEIF": "HEIC",
}
FORMATS = tuple(_NAMES)

MOST_PIXELS = 120_000_000
"""Of a picture: cameras have 100 million. Pillow, which warns from 89 million on, has 4 bytes of
each, and as many again while it is turned upright."""

# So that no picture takes a gigabyte or many seconds: these decode slowly, or to wide numbers.
_MOST_PIXELS = {"WEBP": 40_000_000, "AVIF": 40_000_000, "HEIF": 60_000_000, "JPEG2000": 10_000_000}
_MOST_BYTES = 400_000_000
_MOST_FILE_BYTES = 2**30
_MOST_READS = 1_000_000
_HEAD = 348  # bytes that tell formats apart
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


@dataclasses.dataclass(frozen=True)
class Decoded:
    """What is in a file.

    Attributes:
      numbers: an 8-bit image in any of Pillow's modes, or samples.
      profile: of its colours (ICC), if there is one.
      several: whether other frames follow.
      doubts: what is wrong with the file, as far as it could be read all the same.
      note: what a reader should know of the way it was read.
    """

    numbers: Image.Image | Samples
    profile: bytes | None
    several: bool = False
    doubts: list[str] = dataclasses.field(default_factory=list)
    note: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        if isinstance(self.numbers, Samples):
            return self.numbers.values.shape[:2]
        return self.numbers.height, self.numbers.width


def decode(
    path: Path | str,
    formats: tuple[str, ...] = FORMATS,
    most_pixels: int = MOST_PIXELS,
    index: int | None = None,
) -> Decoded:
    """Reads the first picture of a file, or a slice of a volume.

    Args:
      formats: of `FORMATS`.
      most_pixels: fewer than `MOST_PIXELS`.
      index: which slice, or frame of a DICOM file, from 0.

    Raises:
      InputError: not an image of the formats, damaged, too large, or not a regular file.
    """
    expected = f"expected a {_listed([_NAMES[name] for name in formats])} image"
    limit = min(MOST_PIXELS, most_pixels)
    opened = open_regular(path, _MOST_FILE_BYTES)
    with _Patient(opened.detach()) as file, _watched() as doubts:
        try:
            decoded = _decode(file, formats, limit, index)
        except UnidentifiedImageError as error:
            raise InputError(f"{path}: not an image; {expected}") from error
        except Image.DecompressionBombError as error:
            raise InputError(f"{path}: too large; expected at most {limit} pixels") from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except Exception as error:  # on damaged files decoders raise whatever they run into
            reason = one_line(error) or type(error).__name__
            raise InputError(f"{path}: cannot be read ({reason}); {expected}") from error
    return dataclasses.replace(decoded, doubts=doubts)


class _Patient(io.BufferedReader):
    """A file that is not read for ever: damage may have a decoder look at each single byte."""

    def __init__(self, raw: Any) -> None:
        super().__init__(raw)
        self._left = _MOST_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"more than {_MOST_READS} parts")
        return super().read(size)


def _decode(
    file: io.BufferedReader, formats: tuple[str, ...], limit: int, index: int | None
) -> Decoded:
    head = file.peek(_HEAD)[:_HEAD]
    if formats is FORMATS and head[128:132] == b"DICM":  # it may begin as a TIFF does
        return _dicom(file, limit, index)
    if formats is FORMATS and _is_nifti(head):
        return _nifti(file, limit, index)
    if index is not None:
        raise InputError(f"slice {index}: expected none, of a file that is no volume")
    if "TIFF" in formats and head[:2] in (b"II", b"MM"):
        found = open_page(file)
        _check(size_of(found.page), limit, bytes_of(found.page))
        if found.index is None:
            profile = found.page.tags.valueof(34675)
            return Decoded(read_samples(found.page), profile, found.several)
        file.seek(0)
        decoded = _by_pillow(file, ("TIFF",), limit, found.index)
        return dataclasses.replace(
            decoded, numbers=_with_bits(decoded.numbers, found.page), several=found.several
        )
    if "HEIF" in formats and _is_heif(head):
        _learn_heic()
        return _by_pillow(file, ("HEIF",), limit)
    return _by_pillow(file, tuple(name for name in formats if name != "HEIF"), limit)


def _is_heif(head: bytes) -> bool:
    """By the brands of a file that begins as AVIF and MP4 do, too."""
    brands = {head[i : i + 4] for i in range(8, 40, 4)}
    return head[4:8] == b"ftyp" and b"avif" not in brands and not brands.isdisjoint(_HEIF_BRANDS)


def _learn_heic() -> None:
    """Pillow's plugin, if it is there."""
    with of_extra("HEIC", "pillow-heif", "heic"):
        import pillow_heif  # pyright: ignore[reportMissingImports]
    pillow_heif.register_heif_opener()


def _is_nifti(head: bytes) -> bool:
    """Also where it is compressed by gzip, as no picture is."""
    return head[:2] == b"\x1f\x8b" or head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0"


def _dicom(file: io.BufferedReader, limit: int, index: int | None) -> Decoded:
    with of_extra("DICOM", "pydicom", "medical"):
        from ilo_jax.files.dicom import read_dicom
    samples, several = read_dicom(file, limit, _MOST_BYTES, index or 0)
    return Decoded(samples, None, several and index is None)


def _nifti(file: io.BufferedReader, limit: int, index: int | None) -> Decoded:
    with of_extra("NIfTI", "nibabel", "medical"):
        from ilo_jax.files.nifti import read_nifti
    samples, note = read_nifti(file, limit, _MOST_BYTES, index)
    return Decoded(samples, None, note=note)


def _with_bits(numbers: Image.Image | Samples, page: Any) -> Image.Image | Samples:
    if isinstance(numbers, Samples) and page.bitspersample < 16:
        return dataclasses.replace(numbers, bits=page.bitspersample)
    return numbers


def _by_pillow(
    file: io.BufferedReader, formats: tuple[str, ...], limit: int, index: int = 0
) -> Decoded:
    with Image.open(file, formats=formats) as image:
        if index:
            image.seek(index)
        kind = image.format or ""
        most = min(limit, _MOST_PIXELS.get(kind, limit))
        deep = kind == "PNG" and image.tile[0].args in ("RGB;16B", "RGBA;16B", "LA;16B")
        # The numbers of 32 bits are copied twice on their way out of Pillow.
        wide = 8 if (deep and keeps_16_bits()) or image.mode in ("I", "F") else 0
        _check((image.height, image.width), most, wide * image.height * image.width)
        profile = image.info.get("icc_profile")
        if deep and keeps_16_bits():
            return Decoded(_deep_png(file, image), profile, getattr(image, "is_animated", False))
        with _without_libtiff() if kind == "TIFF" else nullcontext():
            image.load()
        # An MPO is a JPEG with previews or the other eye's view, not an animation.
        several = kind not in ("MPO", "TIFF") and getattr(image, "is_animated", False)
        ImageOps.exif_transpose(image, in_place=True)
    note = "8 of its 16 bits (all with the library imagecodecs: pip install imagecodecs)"
    return Decoded(_numbers(image), profile, several, note=note if deep else None)


@contextmanager
def _without_libtiff() -> Iterator[None]:
    """libtiff, inside of Pillow, writes what it finds wrong to the process's standard error, where
    Python sees nothing of it; what cannot be read Pillow raises."""
    if sys.stderr is None:  # closed: its number may be any file's
        yield
        return
    with _REDIRECTED, open(os.devnull, "wb") as nothing:
        sys.stderr.flush()
        before = os.dup(2)
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)


_REDIRECTED = threading.Lock()  # or the second thread would restore what the first had set


def _numbers(image: Image.Image) -> Image.Image | Samples:
    if image.mode[0] not in "IF":
        return image
    values = np.asarray(image)[..., None]
    transparent = image.info.get("transparency")
    return Samples(values, None if transparent is None else values != transparent)


def _deep_png(file: io.BufferedReader, image: Image.Image) -> Samples:
    """Colours or transparent greys of 16 bits, of which Pillow keeps 8."""
    import imagecodecs

    transparent = image.info.get("transparency")
    orientation = image.getexif().get(0x0112, 1)
    file.seek(0)
    values = upright(imagecodecs.png_decode(file.read()), orientation)
    colours = values.shape[-1] - (values.shape[-1] % 2 == 0)
    alpha = values[..., colours:] if values.shape[-1] > colours else None
    if transparent is not None and alpha is None:
        alpha = (values != np.asarray(transparent)).any(axis=-1, keepdims=True)
    return Samples(values[..., :colours], alpha)


def _check(size: tuple[int, int], most_pixels: int, most_bytes: int) -> None:
    height, width = size
    if height * width > most_pixels:
        raise InputError(f"{width}x{height}, too large; expected at most {most_pixels} pixels")
    if most_bytes > _MOST_BYTES:
        raise InputError(
            f"too large ({most_bytes // 10**6} MB of samples); "
            f"expected at most {_MOST_BYTES // 10**6} MB"
        )


@contextmanager
def _watched() -> Iterator[list[str]]:
    """What is warned of or logged while a file is read, in lines; nothing of it is shown."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(one_line(record.getMessage()))
    names = ("PIL", "tifffile", "imagecodecs", "pydicom", "nibabel.global")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", ResourceWarning)  # of any object that goes meanwhile
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `_check` refuses
            yield lines
        lines += [one_line(warning.message) for warning in caught]
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"

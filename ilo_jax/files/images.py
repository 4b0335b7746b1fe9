"""The edge to image files: 8-bit files outside, float32 `[H, W, C]` in [-1, 1] inside.

Pictures are read as a person sees them: turned upright, palettes looked up, CMYK and other
colour models turned into RGB, colours into sRGB by their profile, integers scaled by the full
range of their bits, floats taken as [0, 1] or else [0, 255], transparent parts laid on white (as
on a page), only the first frame of an animation. One channel is Rec. 601 luma; grey fills three
channels. docs/images.md has it all in a table.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from ilo_jax.errors import InputError
from ilo_jax.files.atomic import write_atomically
from ilo_jax.files.picture import Picture, open_picture
from ilo_jax.files.samples import Limits, luma


def read_image(
    path: Path | str,
    image_shape: tuple[int, int, int],
    limits: Limits | None = None,
    index: int | None = None,
) -> tuple[np.ndarray, str | None]:
    """Reads a picture of any size: centre-cropped to the shape's proportions, then resized.

    Resizing is Lanczos with antialiasing, in floating point.

    Args:
      image_shape: `(H, W, C)`, C 1 or 3.
      limits: the stored numbers that are black and white, where they are not those of the type.
      index: which slice of a volume (NIfTI), or frame (DICOM), from 0; the middle one, the first.

    Returns:
      float32 `[H, W, C]` in [-1, 1], and a line that says what was changed, None if nothing
      was: `photo.jpg: 640x480, centre-cropped to 480x480 and resized to 64x64`.

    Raises:
      InputError: not an image, damaged, too large to be read safely, or in doubt what its numbers
        mean.
    """
    height, width, channels = image_shape
    picture = open_picture(path, limits, index)
    rows, columns = _crop(picture, height / width)
    cropped = rows.stop - rows.start, columns.stop - columns.start
    changes = []
    if cropped != (picture.height, picture.width):
        changes.append(f"centre-cropped to {cropped[1]}x{cropped[0]}")
    if cropped == (height, width):
        colour = picture.on_white(rows, columns)
    else:
        changes.append(f"resized to {width}x{height}")
        colour = picture.resized(rows, columns, (height, width))
    notes = picture.notes
    if changes:
        notes = [f"{picture.width}x{picture.height}, {' and '.join(changes)}", *notes]
    return _signed(colour, channels), _said(path, notes)


def read_exact(
    path: Path | str,
    shape: tuple[int, int, int],
    limits: Limits | None = None,
    index: int | None = None,
) -> tuple[np.ndarray, str | None, float]:
    """`read_image` for measurements, which must not be resized.

    Returns:
      As `read_image`, and the step between two values that the file can hold, in the units of the
      image: 2 / 255 of 8 bits, 0 of floating-point numbers.

    Raises:
      InputError: as `read_image`, or another size than `shape`.
    """
    picture = open_picture(path, limits, index)
    _expect_size(path, picture, shape[:2])
    colour = picture.on_white(*_whole(picture))
    return _signed(colour, shape[2]), _said(path, picture.notes), 2 * picture.step


def units_of(path: Path | str, limits: Limits | None = None, index: int | None = None) -> Limits:
    """The numbers of a file that `read_image` reads as black and white, both known.

    Raises:
      InputError: as `read_image`.
    """
    return open_picture(path, limits, index).units


def read_whole(path: Path | str) -> np.ndarray:
    """A picture as it is: float32 `[H, W, C]` in [-1, 1], C 1 (grey) or 3.

    Raises:
      InputError: as `read_image`.
    """
    picture = open_picture(path)
    colour = picture.on_white(*_whole(picture))
    return _signed(colour, colour.shape[-1])


def read_mask(path: Path | str, size: tuple[int, int]) -> np.ndarray:
    """Reads a mask: white is observed; black (below half) and transparent are missing.

    Args:
      size: `(H, W)`.

    Returns:
      float32 `[H, W, 1]` of 0 and 1.

    Raises:
      InputError: as `read_image`, or another size, or nothing observed, or a doubtful file.
    """
    colour, alpha = _greys(path, size)
    observed = colour >= 0.5
    if alpha is not None:
        observed &= alpha >= 0.5
    return _some_observed(path, observed.astype(np.float32))


def read_alpha(path: Path | str, size: tuple[int, int]) -> np.ndarray:
    """Reads a mask of soft edges: as `read_mask`, but grey is in between, float32 `[H, W, 1]` in
    [0, 1]."""
    colour, alpha = _greys(path, size)
    return _some_observed(path, np.minimum(colour if alpha is None else colour * alpha, 1))


def _greys(path: Path | str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
    """Luma of a mask, and its alpha channel if there is one."""
    picture = open_picture(path)
    if picture.doubts:
        raise InputError(f"{path}: a doubtful file ({picture.doubts[0]}); save the mask as PNG")
    _expect_size(path, picture, size)
    colour, alpha = picture.part(*_whole(picture))
    return luma(colour), alpha


def _some_observed(path: Path | str, mask: np.ndarray) -> np.ndarray:
    if not mask.any():
        raise InputError(f"{path}: nothing is observed; expected a mask with white pixels")
    return mask


def to_uint8(image: np.ndarray) -> np.ndarray:
    """float `[...]` in [-1, 1], clipped -> uint8, rounded to nearest.

    Raises:
      ValueError: a value that is not a number.
    """
    scaled = np.clip((np.asarray(image) + 1) * 127.5, 0, 255)
    if np.isnan(scaled).any():
        raise ValueError("image has values that are not numbers")
    return np.rint(scaled).astype(np.uint8)


def from_uint8(pixels: np.ndarray) -> np.ndarray:
    """uint8 `[...]` -> float32 in [-1, 1]; `to_uint8` is its inverse."""
    return np.asarray(pixels, np.float32) / 127.5 - 1


def to_pillow(image: np.ndarray) -> Image.Image:
    """`[H, W, C]` in [-1, 1], C 1 or 3 -> an 8-bit picture, grey or RGB."""
    pixels = to_uint8(image)
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def encode_png(picture: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def write_png(path: Path, image: np.ndarray) -> None:
    """Writes `[H, W, C]` in [-1, 1], C 1 or 3, as an 8-bit PNG, whole or not at all.

    Raises:
      InputError: `path` cannot be written.
    """
    write_atomically(path, encode_png(to_pillow(image)))


def write_tiff(path: Path, image: np.ndarray) -> None:
    """Writes `[H, W, C]`, C 1 or 3, as a TIFF of float32, of whatever range, whole or not at all.

    Raises:
      InputError: `path` cannot be written.
    """
    import tifffile

    grey = image.shape[-1] == 1
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        np.asarray(image[..., 0] if grey else image, np.float32),
        photometric="minisblack" if grey else "rgb",
        metadata=None,
    )
    write_atomically(path, buffer.getvalue())


def _said(path: Path | str, notes: list[str]) -> str | None:
    return f"{Path(path).name}: {'; '.join(notes)}" if notes else None


def _expect_size(path: Path | str, picture: Picture, size: tuple[int, int]) -> None:
    if (picture.height, picture.width) != size:
        raise InputError(
            f"{path}: {picture.width}x{picture.height} pixels; expected {size[1]}x{size[0]}"
        )


def _crop(picture: Picture, proportion: float) -> tuple[slice, slice]:
    """Rows and columns of the largest centred part with height / width = `proportion`."""
    height = max(1, min(picture.height, round(picture.width * proportion)))
    width = max(1, min(picture.width, round(picture.height / proportion)))
    top, left = (picture.height - height) // 2, (picture.width - width) // 2
    return slice(top, top + height), slice(left, left + width)


def _whole(picture: Picture) -> tuple[slice, slice]:
    return slice(0, picture.height), slice(0, picture.width)


def _signed(colour: np.ndarray, channels: int) -> np.ndarray:
    """`[H, W, 1 or 3]` in [0, 1] -> `[H, W, channels]` in [-1, 1]."""
    if channels == 1:
        colour = np.minimum(luma(colour), 1)
    shape = (*colour.shape[:2], channels)
    return np.ascontiguousarray(np.broadcast_to(colour, shape)) * np.float32(2) - 1

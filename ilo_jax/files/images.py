"""The edge to image files: 8-bit files outside, float32 `[H, W, C]` in [-1, 1] inside.

Pictures are read as a person sees them: EXIF rotation applied, palettes looked up, CMYK
and other colour models turned into RGB, integers scaled by the full range of their 8 or 16
bits, floats taken as [0, 1] or else [0, 255], transparent parts laid on white (as on a page),
only the first frame of an animation. One channel is Rec. 601 luma; grey fills three channels.
"""

import io
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ilo_jax.errors import InputError
from ilo_jax.files.atomic import write_atomically

# Fixed, so that Pillow never starts an outside program (Ghostscript, for EPS) on a file.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")
_EXPECTED = "expected a PNG, JPEG, TIFF, BMP, GIF, WebP, PNM or JPEG 2000 image"
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def read_image(
    path: Path | str, image_shape: tuple[int, int, int]
) -> tuple[np.ndarray, str | None]:
    """Reads a picture of any size: centre-cropped to the shape's proportions, then resized.

    Resizing is Lanczos with antialiasing, in floating point.

    Args:
      image_shape: `(H, W, C)`, C 1 or 3.

    Returns:
      float32 `[H, W, C]` in [-1, 1], and a line that says what was changed, None if nothing
      was: `photo.jpg: 640x480, centre-cropped to 480x480 and resized to 64x64`.

    Raises:
      InputError: not an image, damaged, or too large to be read safely.
    """
    height, width, channels = image_shape
    picture = _decode(path)
    colour, changes = _crop(picture.on_white(), height / width)
    if colour.shape[:2] != (height, width):
        changes.append(f"resized to {width}x{height}")
        colour = _resize(colour, height, width)
    notes = picture.notes
    if changes:
        notes = [f"{picture.size}, {' and '.join(changes)}", *notes]
    note = f"{Path(path).name}: {'; '.join(notes)}" if notes else None
    return _signed(colour, channels), note


def read_exact(path: Path | str, shape: tuple[int, int, int]) -> tuple[np.ndarray, str | None]:
    """`read_image` for measurements, which must not be resized.

    Raises:
      InputError: as `read_image`, or another size than `shape`.
    """
    picture = _decode(path)
    picture.expect_size(path, shape[:2])
    note = f"{Path(path).name}: {'; '.join(picture.notes)}" if picture.notes else None
    return _signed(picture.on_white(), shape[2]), note


def read_mask(path: Path | str, size: tuple[int, int]) -> np.ndarray:
    """Reads a mask: white is observed; black (below half) and transparent are missing.

    Args:
      size: `(H, W)`.

    Returns:
      float32 `[H, W, 1]` of 0 and 1.

    Raises:
      InputError: as `read_image`, or another size, or nothing observed, or a file that Pillow
        has doubts about.
    """
    picture = _decode(path)
    if picture.doubts:
        raise InputError(f"{path}: a doubtful file ({picture.doubts[0]}); save the mask as PNG")
    picture.expect_size(path, size)
    observed = _grey(picture.colour) >= 0.5
    if picture.alpha is not None:
        observed &= picture.alpha >= 0.5
    if not observed.any():
        raise InputError(f"{path}: nothing is observed; expected a mask with white pixels")
    return observed.astype(np.float32)


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


class _Picture(NamedTuple):
    """A decoded file: colour `[H, W, 1 or 3]` and alpha `[H, W, 1]` or None, in [0, 1]."""

    colour: np.ndarray
    alpha: np.ndarray | None
    frames: int
    doubts: list[str]

    @property
    def size(self) -> str:
        return f"{self.colour.shape[1]}x{self.colour.shape[0]}"

    @property
    def notes(self) -> list[str]:
        """What a reader should know beside a change of size."""
        notes = [f"doubtful file ({doubt})" for doubt in self.doubts]
        if self.alpha is not None and self.alpha.min() < 1:
            notes.append("transparent parts shown on white")
        if self.frames > 1:
            notes.append(f"first of {self.frames} frames")
        return notes

    def on_white(self) -> np.ndarray:
        return self.colour if self.alpha is None else 1 - self.alpha * (1 - self.colour)

    def expect_size(self, path: Path | str, size: tuple[int, int]) -> None:
        if self.colour.shape[:2] != size:
            raise InputError(f"{path}: {self.size} pixels; expected {size[1]}x{size[0]}")


def _decode(path: Path | str) -> _Picture:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=_FORMATS) as file:
                # An MPO is a JPEG with previews or the other eye's view, not an animation.
                frames = 1 if file.format == "MPO" else getattr(file, "n_frames", 1)
                file.load()
                image = ImageOps.exif_transpose(file)
        except UnidentifiedImageError as error:
            raise InputError(f"{path}: not an image; {_EXPECTED}") from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            limit = Image.MAX_IMAGE_PIXELS
            raise InputError(f"{path}: too large; expected at most {limit} pixels") from error
        except Exception as error:  # on damaged files decoders raise whatever they run into
            reason = getattr(error, "strerror", None) or _one_line(error) or type(error).__name__
            raise InputError(f"{path}: cannot be read ({reason}); {_EXPECTED}") from error
    colour, alpha = _channels(path, image)
    return _Picture(colour, alpha, frames, [_one_line(w.message) for w in caught])


def _channels(path: Path | str, image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    if image.mode[0] in "IF":
        values = np.asarray(image)[..., None]
        transparent = image.info.get("transparency")
        alpha = None if transparent is None else (values != transparent).astype(np.float32)
        return _scale(path, values.astype(np.float32), image.mode), alpha
    if image.has_transparency_data:
        pixels = np.asarray(image.convert("RGBA"), np.float32) / 255
        return pixels[..., :3], pixels[..., 3:]
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"), np.float32)[..., None] / 255, None
    return np.asarray(image.convert("RGB"), np.float32) / 255, None


def _scale(path: Path | str, values: np.ndarray, mode: str) -> np.ndarray:
    """16-bit, 32-bit and float values -> [0, 1]."""
    if mode[0] == "I":
        ranges, expected = (65535,), "0..65535"
    else:
        ranges, expected = (1, 255), "[0, 1] or [0, 255]"
    low, high = values.min(), values.max()
    for top in ranges:
        if low >= 0 and high <= top:
            return values / np.float32(top)
    raise InputError(f"{path}: values from {low:g} to {high:g}; expected {expected}")


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _crop(colour: np.ndarray, proportion: float) -> tuple[np.ndarray, list[str]]:
    """The largest centred part with height / width = `proportion`."""
    height, width = colour.shape[:2]
    new_height = max(1, min(height, round(width * proportion)))
    new_width = max(1, min(width, round(height / proportion)))
    if (new_height, new_width) == (height, width):
        return colour, []
    top, left = (height - new_height) // 2, (width - new_width) // 2
    cropped = colour[top : top + new_height, left : left + new_width]
    return cropped, [f"centre-cropped to {new_width}x{new_height}"]


def _resize(colour: np.ndarray, height: int, width: int) -> np.ndarray:
    channels = [
        Image.fromarray(channel).resize((width, height), Image.Resampling.LANCZOS)
        for channel in np.moveaxis(colour, -1, 0)
    ]
    return np.clip(np.stack([np.asarray(c) for c in channels], axis=-1), 0, 1)


def _grey(colour: np.ndarray) -> np.ndarray:
    return colour if colour.shape[-1] == 1 else np.minimum(colour @ _LUMA, 1)[..., None]


def _signed(colour: np.ndarray, channels: int) -> np.ndarray:
    """`[H, W, 1 or 3]` in [0, 1] -> `[H, W, channels]` in [-1, 1]."""
    if channels == 1:
        colour = _grey(colour)
    shape = (*colour.shape[:2], channels)
    return np.ascontiguousarray(np.broadcast_to(colour, shape)) * np.float32(2) - 1

"""The numbers of an image file where they are no picture: a kernel."""

from pathlib import Path

import numpy as np
from PIL import Image

from ilo_jax.errors import InputError
from ilo_jax.files.decode import Decoded, decode
from ilo_jax.files.samples import luma

_EXACT = ("PNG", "TIFF", "BMP", "PPM")


def read_greys(path: Path | str, most_pixels: int) -> np.ndarray:
    """Grey values as they are stored, of whatever range: float32 `[h, w]`. Colours are Rec. 601
    luma; profiles do not count.

    Args:
      most_pixels: that the file may have.

    Raises:
      InputError: it cannot be read without loss, is too large, or has values that are no finite
        float32, transparent parts or a colour model other than grey and RGB.
    """
    decoded = decode(path, _EXACT, most_pixels)
    try:
        return _greys(decoded)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _greys(decoded: Decoded) -> np.ndarray:
    numbers = decoded.numbers
    if isinstance(numbers, Image.Image):
        if numbers.has_transparency_data:
            numbers = numbers.convert("RGBA")
            _expect_opaque(np.asarray(numbers.getchannel("A")))
            numbers = numbers.convert("RGB")
        if numbers.mode not in ("1", "L", "P", "RGB"):
            raise InputError(f"{numbers.mode}; expected grey or RGB")
        return np.asarray(numbers.convert("F"))
    if numbers.values.shape[-1] == 4:
        raise InputError("CMYK; expected grey or RGB")
    if numbers.alpha is not None:
        _expect_opaque(numbers.alpha)
    values = numbers.values
    if numbers.white_is_zero:
        if values.dtype.kind != "u":
            raise InputError(f"white is zero, {values.dtype}; expected black to be zero")
        values = 2**numbers.bits - 1 - values
    if values.dtype.kind not in "uif":
        raise InputError(f"values of type {values.dtype}; expected integers or floats")
    with np.errstate(over="ignore"):  # to infinity, which is refused
        values = luma(values.astype(np.float32))[..., 0]
    if not np.isfinite(values).all():
        raise InputError("values that are no numbers or beyond float32; expected finite ones")
    return values


def _expect_opaque(alpha: np.ndarray) -> None:
    if alpha.min() != alpha.max():
        raise InputError("partly transparent; expected all of it to be opaque")

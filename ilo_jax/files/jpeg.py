"""How a JPEG file was compressed: its tables and its chroma."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from ilo_jax.errors import InputError, one_line
from ilo_jax.files.regular import open_regular

_SAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
"""As Pillow counts them."""

_ORIENTATION = 0x0112
_MOST_BYTES = 2**30


class Compression(NamedTuple):
    """Steps of the coefficients of luma and chroma, `[8, 8]` float32, lowest frequency first, and
    the sampling of chroma; of a grey file those of luma, and `4:4:4`."""

    luma: np.ndarray
    chroma: np.ndarray
    sampling: str


def compression_of(path: Path | str) -> Compression:
    """Of a JPEG file.

    Raises:
      InputError: no JPEG file, progressive, without tables, of other colours than grey and YCbCr,
        turned by its orientation, or not to be read.
    """
    with open_regular(path, _MOST_BYTES) as file:
        try:
            image = Image.open(file, formats=("JPEG",))
        except UnidentifiedImageError as error:
            raise InputError(
                f"{path}: not a JPEG file; expected the file that was compressed, or --quality N"
            ) from error
        except Exception as error:  # on damaged files decoders raise whatever they run into
            raise InputError(
                f"{path}: cannot be read ({one_line(error)}); expected JPEG"
            ) from error
        with image:
            try:
                return _compression(image)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error


def compression_by(quality: int) -> Compression:
    """Of what Pillow writes: libjpeg's tables, and 4:2:0.

    Raises:
      InputError: `quality` is not from 1 to 100.
    """
    if not 1 <= quality <= 100:
        raise InputError(f"{quality}: expected 1 to 100")
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return _compression(image)


def _compression(image: Image.Image) -> Compression:
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    if image.info.get("progressive"):
        raise InputError("a progressive JPEG; expected a baseline one")
    if image.mode not in ("L", "RGB") or image.info.get("adobe_transform", 1) != 1:
        raise InputError(f"a JPEG of {image.mode}, not luma and chroma; expected grey or YCbCr")
    if image.getexif().get(_ORIENTATION, 1) != 1:
        raise InputError("a JPEG turned by its EXIF orientation; expected it as it was compressed")
    used = [component[3] for component in image.layer]
    if not used or not set(used) <= image.quantization.keys():
        raise InputError("a JPEG without its tables; expected a file with them")
    steps = [np.reshape(image.quantization[i], (8, 8)).astype(np.float32) for i in used]
    if image.mode == "L":
        return Compression(steps[0], steps[0], _SAMPLINGS[0])
    sampling = JpegImagePlugin.get_sampling(image)
    if sampling < 0 or not np.array_equal(steps[1], steps[2]):
        raise InputError(
            f"a JPEG with other chroma than {', '.join(_SAMPLINGS)} by one table; expected those"
        )
    return Compression(steps[0], steps[1], _SAMPLINGS[sampling])

"""A picture as a person sees it, part by part: floats of a large one never exist at once."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from ilo_jax.errors import InputError
from ilo_jax.files.decode import Decoded, decode
from ilo_jax.files.profiles import Profile
from ilo_jax.files.samples import Limits, Samples, part, scale_of

_MOST_AT_ONCE, _BAND = 2**24, 2**20  # pixels
_GAP = 4.0  # nobody sees a difference from 3 on


class Picture:
    """A decoded file.

    Attributes:
      height, width: in pixels.
      doubts: what is wrong with the file.
      notes: what a reader should know beside a change of size, the doubts among it.
    """

    def __init__(self, decoded: Decoded, limits: Limits | None = None) -> None:
        """
        Args:
          limits: the numbers that are black and white, where they are not those of the type.

        Raises:
          InputError: it is not clear what its numbers mean.
        """
        self.height, self.width = decoded.size
        self.doubts = list(decoded.doubts)
        if limits is not None:
            decoded = dataclasses.replace(decoded, numbers=_samples(decoded.numbers))
        self._profile = self._profile_of(decoded)
        self._numbers = numbers = decoded.numbers
        notes = [f"doubtful file ({doubt})" for doubt in self.doubts]
        notes += [decoded.note] if decoded.note else []
        if isinstance(numbers, Samples):
            self._scale = scale_of(numbers, limits)
            notes += [self._scale.note] if self._scale.note else []
            if self._profile is not None and not self._profile.keeps_16_bits:
                notes.append("8 bits by its colour profile (more with pip install imagecodecs)")
            clear = numbers.alpha is not None and numbers.alpha.min() < self._scale.opaque
        else:
            if numbers.has_transparency_data and numbers.mode != "RGBA":
                self._numbers = numbers = numbers.convert("RGBA")
            clear = numbers.mode == "RGBA" and numbers.getchannel("A").getextrema()[0] != 255
        if clear:
            notes.append("transparent parts shown on white")
        if decoded.several:
            notes.append("first of several frames")
        self.notes = notes

    @property
    def step(self) -> float:
        """Between two values that the file can hold, in [0, 1]; 0 of floating-point numbers."""
        if isinstance(self._numbers, Samples):
            whole = self._numbers.values.dtype.kind != "f"
            return 1 / (self._scale.white - self._scale.black) if whole else 0
        return 1 if self._numbers.mode == "1" else 1 / 255

    @property
    def units(self) -> Limits:
        """The file's numbers that are black and white, in this order also where white is the lower
        one."""
        if not isinstance(self._numbers, Samples):
            return Limits(0.0, 255.0)
        black, white = self._scale.black, self._scale.white
        return Limits(*((white, black) if self._numbers.white_is_zero else (black, white)))

    def part(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray | None]:
        """Colour `[h, w, 1 or 3]` and alpha `[h, w, 1]` or None: float32 in [0, 1]."""
        colour, alpha = self._part(rows, columns)
        return self._seen(colour), alpha

    def on_white(self, rows: slice, columns: slice) -> np.ndarray:
        """Float32 `[h, w, 1 or 3]` in [0, 1], as on a page."""
        return self._seen(self._on_white(rows, columns))

    def resized(self, rows: slice, columns: slice, size: tuple[int, int]) -> np.ndarray:
        """A part on white, resized by Lanczos with antialiasing: float32 `[*size, 1 or 3]`."""
        height, width = size
        pixels = (rows.stop - rows.start) * (columns.stop - columns.start)
        if pixels <= _MOST_AT_ONCE:
            resized = _resize(self._on_white(rows, columns), height, width)
        else:  # along the rows, a few of them at a time, and then along the columns
            step = max(1, _BAND // (columns.stop - columns.start))
            tops = range(rows.start, rows.stop, step)
            bands = [slice(top, min(top + step, rows.stop)) for top in tops]
            narrow = [
                _resize(self._on_white(band, columns), band.stop - band.start, width, _GAP)
                for band in bands
            ]
            resized = _resize(np.concatenate(narrow), height, width)
        return self._seen(np.clip(resized, 0, 1))

    def _part(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray | None]:
        """`part`, of samples without their profile."""
        if isinstance(self._numbers, Samples):
            colour, alpha = part(self._numbers, self._scale, rows, columns)
            if colour.shape[-1] == 4:
                colour = (
                    (1 - colour[..., :3]) * (1 - colour[..., 3:])
                    if self._profile is None
                    else self._profile.of_inks(colour)
                )
            return colour, alpha
        image, box = self._numbers, (columns.start, rows.start, columns.stop, rows.stop)
        if box != (0, 0, *image.size):  # Pillow before 13 warns of a large picture here
            image = image.crop(box)
        alpha = _floats(image.getchannel("A")) if image.mode == "RGBA" else None
        if self._profile is not None:
            image = self._profile.of_image(image)
        elif image.mode != "L":
            image = image.convert("L" if image.mode == "1" else "RGB")
        return _floats(image), alpha

    def _on_white(self, rows: slice, columns: slice) -> np.ndarray:
        colour, alpha = self._part(rows, columns)
        if alpha is None:
            return colour
        ink = np.subtract(1, colour, out=colour)
        ink *= alpha
        return np.subtract(1, ink, out=ink)

    def _seen(self, colour: np.ndarray) -> np.ndarray:
        """Profiles of more than 8 bits are slow: they come last, where few pixels are left."""
        if self._profile is None or isinstance(self._numbers, Image.Image):
            return colour
        return colour if self._profile.mode == "CMYK" else self._profile.of_values(colour)

    def _profile_of(self, decoded: Decoded) -> Profile | None:
        if not decoded.profile:
            return None
        try:
            profile = Profile(decoded.profile, deep=isinstance(decoded.numbers, Samples))
        except InputError as error:
            self.doubts.append(str(error))
            return None
        if profile.mode not in _profiles_for(decoded.numbers):
            self.doubts.append("its colour profile is for other colours and is ignored")
            return None
        return profile if profile.changes else None


def open_picture(
    path: Path | str, limits: Limits | None = None, index: int | None = None
) -> Picture:
    """Reads a file's first picture, or a slice.

    Args:
      limits: the numbers that are black and white, where they are not those of the type.
      index: which slice or frame of a volume, from 0.

    Raises:
      InputError: as `decode`, or it is not clear what its numbers mean.
    """
    decoded = decode(path, index=index)
    try:
        return Picture(decoded, limits)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _profiles_for(numbers: Image.Image | Samples) -> tuple[str, ...]:
    """The modes of profiles that the numbers' colours can have."""
    if isinstance(numbers, Samples):
        return {1: ("L", "RGB"), 3: ("RGB",), 4: ("CMYK",)}[numbers.values.shape[-1]]
    if numbers.mode in ("1", "L", "LA"):
        return ("L", "RGB")
    return ("CMYK",) if numbers.mode == "CMYK" else ("RGB",) if numbers.mode != "LAB" else ()


def _samples(numbers: Image.Image | Samples) -> Samples:
    """Also of 8 bits."""
    if isinstance(numbers, Samples):
        return numbers
    if numbers.has_transparency_data:
        numbers = numbers if numbers.mode == "RGBA" else numbers.convert("RGBA")
    elif numbers.mode not in ("L", "RGB", "CMYK"):
        numbers = numbers.convert("L" if numbers.mode == "1" else "RGB")
    clear = numbers.mode == "RGBA"
    size, colours = (numbers.height, numbers.width), len(numbers.getbands()) - clear
    values = np.empty((*size, colours), np.uint8)
    alpha = np.empty((*size, 1), np.uint8) if clear else None
    step = max(1, _BAND // numbers.width)  # Pillow takes twice the memory of what it hands over
    for top in range(0, numbers.height, step):
        rows = slice(top, min(top + step, numbers.height))
        band = np.asarray(numbers.crop((0, rows.start, numbers.width, rows.stop)))
        band = band.reshape(*band.shape[:2], -1)
        values[rows] = band[..., :colours]
        if alpha is not None:
            alpha[rows] = band[..., colours:]
    return Samples(values, alpha, bits=8)


def _floats(image: Image.Image) -> np.ndarray:
    values = np.array(image, np.float32)
    values /= 255
    return values if values.ndim == 3 else values[..., None]


def _resize(colour: np.ndarray, height: int, width: int, gap: float | None = None) -> np.ndarray:
    """Each channel by itself; means of a few neighbours first, down to `gap` times the size."""
    channels = [
        Image.fromarray(channel).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=gap)
        for channel in np.moveaxis(colour, -1, 0)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)

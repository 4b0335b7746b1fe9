"""DICOM by pydicom: a frame, as a viewer shows it."""

import io

import numpy as np
import pydicom
from pydicom.pixels.processing import apply_color_lut, apply_rescale
from pydicom.pixels.utils import pixel_array

from ilo_jax.errors import InputError
from ilo_jax.files.samples import Limits, Samples

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META_BYTES = 2**12
_CODED = 2  # bytes a value that a decoder takes on its way


def read_dicom(
    file: io.BufferedReader, most_pixels: int, most_bytes: int, index: int = 0
) -> tuple[Samples, bool]:
    """A frame's samples, and whether there are others.

    Greys are rescaled to their units (Hounsfield's, say) and black and white are those of the first
    window, or else of the range of their bits. MONOCHROME1 has white at its low end.

    Raises:
      InputError: no picture, too large, or packed in a way that hides its size; pydicom and its
        decoders raise what they run into.
    """
    if _DEFLATED in file.peek(_META_BYTES)[:_META_BYTES]:
        raise InputError("a deflated data set, of a size that is not known; expected another")
    dataset = pydicom.dcmread(file)
    if "PixelData" not in dataset:
        raise InputError("DICOM without integer pixels; expected a picture")
    height, width = int(dataset.Rows), int(dataset.Columns)
    if height * width > most_pixels:
        raise InputError(f"{width}x{height}, too large; expected at most {most_pixels} pixels")
    size = height * width * int(dataset.SamplesPerPixel) * max(int(dataset.BitsAllocated) // 8, 1)
    if _CODED * size > most_bytes:
        raise InputError(f"{size} bytes of samples; expected at most {most_bytes // _CODED}")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if index >= frames:
        raise InputError(f"slice {index}: expected 0 to {frames - 1}, a frame of the file")
    values, several = pixel_array(dataset, index=index), frames > 1
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
        return Samples(values, bits=8 * values.dtype.itemsize), several
    bits = int(dataset.BitsStored)
    if values.ndim == 3:
        return Samples(values, bits=bits), several
    rescaled = np.asarray(apply_rescale(values, dataset))[..., None]
    white_is_zero = dataset.PhotometricInterpretation == "MONOCHROME1"
    limits = _window(dataset) or _of_bits(dataset, bits)
    return Samples(rescaled, bits=bits, white_is_zero=white_is_zero, limits=limits), several


def _window(dataset: pydicom.Dataset) -> Limits | None:
    """Of the first window, linear (DICOM PS3.3 C.11.2.1.2)."""
    centre, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or not width > 1:
        return None
    return Limits(centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


def _first(value: object) -> float | None:
    values = np.ravel(np.asarray([] if value is None else value, float))
    return float(values[0]) if values.size else None


def _of_bits(dataset: pydicom.Dataset, bits: int) -> Limits:
    signed = int(dataset.PixelRepresentation) == 1
    ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1])
    low, high = sorted(float(end) for end in apply_rescale(ends, dataset))
    return Limits(low, high)

"""NIfTI by nibabel: an axial slice of the first volume, anterior at the top, the patient's left at
the left."""

import gzip
import io
from typing import Any

import nibabel
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.files.samples import Limits, Samples

_HEADER_BYTES = 540  # of NIfTI-2; NIfTI-1 has 348
_GZIP = b"\x1f\x8b"
_KINDS = {
    b"n+1\0": (nibabel.Nifti1Image, nibabel.Nifti1Header, 348),
    b"n+2\0": (nibabel.Nifti2Image, nibabel.Nifti2Header, 540),
}
_SPARE_BYTES = 2**20  # of extensions of the header


def read_nifti(
    file: io.BufferedReader, most_pixels: int, most_bytes: int, index: int | None
) -> tuple[Samples, str]:
    """A slice's samples in the units of the file, and which one it is.

    Black and white are `cal_min` and `cal_max` of the header, where it has them. A compressed file
    is unpacked as far as the first volume goes.

    Args:
      index: the slice, from 0 at the feet; None for the middle one.

    Raises:
      InputError: no NIfTI, no slice of this number, too large; nibabel raises what it runs into.
    """
    stream: Any = gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == _GZIP else file
    head = stream.read(_HEADER_BYTES)
    kind = _kind(head)
    if kind is None:
        raise InputError("compressed by gzip, and no NIfTI; expected a picture or NIfTI")
    image_type, header_type, length = kind
    header = header_type(head[:length])
    shape, dtype = (*header.get_data_shape(), 1, 1)[:3], header.get_data_dtype()
    if dtype.kind not in "uif":
        raise InputError(f"NIfTI of type {dtype}; expected real numbers")
    start = int(header.get_data_offset())
    size = dtype.itemsize * int(np.prod(shape, dtype=object))
    if not (0 <= start <= _SPARE_BYTES and 0 < size <= most_bytes):
        raise InputError(f"a volume of {size} bytes; expected at most {most_bytes}")
    content = head + stream.read(max(start + size - len(head), 0))
    if len(content) < start + size:
        raise InputError("a truncated NIfTI file; expected its first volume")
    holder = nibabel.FileHolder(fileobj=io.BytesIO(content))
    image: Any = image_type.from_file_map({"header": holder, "image": holder})
    to_anatomy = nibabel.orientations.io_orientation(image.affine)
    across = [int(axis) if axis == axis else i for i, axis in enumerate(to_anatomy[:, 0])]
    vertical = across.index(2)
    count = shape[vertical]
    item = count // 2 if index is None else index
    if item >= count:
        raise InputError(f"slice {item}: expected 0 to {count - 1}")
    upwards = to_anatomy[vertical, 1] >= 0
    at: list[Any] = [slice(None)] * len(image.shape)
    at[3:] = [0] * (len(image.shape) - 3)
    if vertical < len(at):
        at[vertical] = item if upwards else count - 1 - item
    values = np.asarray(image.dataobj[tuple(at)])
    rest = [axis for axis in range(3) if axis != vertical]
    for place, axis in enumerate(rest):
        if to_anatomy[axis, 1] < 0:
            values = np.flip(values, place)
    if across[rest[0]] == 0:  # columns are from left to right
        values = values.T
    values = values[::-1]  # rows from anterior to posterior
    if values.size > most_pixels:
        raise InputError(f"{values.shape}, too large; expected at most {most_pixels} pixels")
    low, high = float(header["cal_min"]), float(header["cal_max"])
    limits = Limits(low, high) if low < high else None
    bits = 8 * values.dtype.itemsize
    samples = Samples(np.ascontiguousarray(values)[..., None], bits=bits, limits=limits)
    return samples, f"slice {item} of {count}, from 0"


def _kind(head: bytes) -> Any:
    return _KINDS.get(head[344:348]) or _KINDS.get(head[4:8])

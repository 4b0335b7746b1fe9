"""What operators are made of, in files: masks, coil maps and matrices."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from ilo_jax.errors import InputError, one_line
from ilo_jax.files import images
from ilo_jax.files.arrays import MOST_BYTES, is_array_file, open_arrays, pick
from ilo_jax.files.regular import read_regular

Shape = tuple[int, ...]


def read_mask(path: Path | str, image_shape: Shape) -> np.ndarray:
    """A mask, of an image or an array `[H, W]` or `[H, W, 1]` of 0 and 1: float32 `[H, W, 1]`.

    Raises:
      InputError: another size, other values, nothing observed, or not to be read.
    """
    if not is_array_file(path):
        return images.read_mask(path, (image_shape[0], image_shape[1]))
    return _checked(path, _read(path, ("mask",)), image_shape)


def read_alpha(path: Path | str, image_shape: Shape) -> np.ndarray:
    """As `read_mask`, of greys in between or numbers in [0, 1]: how much of a pixel shows."""
    if not is_array_file(path):
        return images.read_alpha(path, (image_shape[0], image_shape[1]))
    return _checked(path, _read(path, ("mask", "alpha")), image_shape, soft=True)


def read_sampling(path: Path | str, image_shape: Shape) -> np.ndarray:
    """As `read_mask`, of k-space; an array `[W]` is one of columns, as fastMRI has it."""
    if not is_array_file(path):
        return read_mask(path, image_shape)
    mask, (height, width, _) = _read(path, ("mask",)), image_shape
    if mask.shape == (width,):
        mask = np.broadcast_to(mask, (height, width))
    return _checked(path, mask, image_shape)


def read_maps(path: Path | str, image_shape: Shape) -> np.ndarray:
    """Sensitivities of coils, of an array `[K, H, W]`, or `[H, W]` of one coil: complex64
    `[K, H, W, 1]`.

    Raises:
      InputError: another size, all of it zero, or not to be read.
    """
    maps = _read(path, ("maps", "sensitivities"), np.complex64)
    size = image_shape[0], image_shape[1]
    if maps.ndim not in (2, 3) or maps.shape[-2:] != size or not maps.size:
        raise InputError(f"{path}: shape {maps.shape}; expected (coils, {size[0]}, {size[1]})")
    if not maps.any():
        raise InputError(f"{path}: all zero; expected maps of what coils see")
    return maps.reshape(-1, *size, 1)


def read_matrix(path: Path | str) -> np.ndarray:
    """A matrix, of an array `[m, n]` or of SciPy's `save_npz`: float32.

    Raises:
      InputError: of another rank, too large, complex, not finite, or not to be read.
    """
    with open_arrays(path) as stored:
        sparse = {"format", "shape", "data"} <= stored.keys()
    matrix = _as(path, _read_sparse(path)) if sparse else _read(path, ("matrix", "A"))
    if matrix.ndim != 2:
        raise InputError(f"{path}: shape {matrix.shape}; expected a matrix (m, n)")
    return matrix


def _read_sparse(path: Path | str) -> np.ndarray:
    import scipy.sparse  # late: it takes a second

    with open_arrays(path) as stored:  # SciPy takes memory for whatever it is told
        held = sum(math.prod(a.shape) * a.dtype.itemsize for a in stored.values())
        size = 8 * math.prod(int(n) for n in stored["shape"].read(None).ravel())
    if not 0 < max(held, size) <= MOST_BYTES:
        raise InputError(
            f"{path}: a matrix of {max(held, size)} bytes; expected at most {MOST_BYTES}"
        )
    try:
        matrix: Any = scipy.sparse.load_npz(io.BytesIO(read_regular(path, MOST_BYTES)))
        if matrix.format in ("csr", "csc", "bsr"):  # SciPy writes wherever indices say
            matrix.check_format(full_check=True)
        wide = np.result_type(matrix.dtype, np.float64)  # SciPy has none of 16 bits
        return np.asarray(matrix.astype(wide).toarray())
    except Exception as error:  # SciPy raises whatever it runs into
        reason = one_line(error)
        raise InputError(f"{path}: cannot be read ({reason}); expected a sparse matrix") from error


def _read(path: Path | str, names: tuple[str, ...], dtype: type = np.float32) -> np.ndarray:
    with open_arrays(path) as stored:
        return _as(path, pick(path, stored, names).read(None), dtype)


def _as(path: Path | str, array: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Finite numbers of a type."""
    if np.iscomplexobj(array) and dtype is not np.complex64:
        raise InputError(f"{path}: {array.dtype}; expected real numbers")
    with np.errstate(over="ignore"):  # to infinity, which is refused
        array = array.astype(dtype)
    if not np.isfinite(array).all():
        raise InputError(f"{path}: values that are not finite; expected finite numbers")
    return array


def _checked(
    path: Path | str, mask: np.ndarray, image_shape: Shape, *, soft: bool = False
) -> np.ndarray:
    size = image_shape[0], image_shape[1]
    if mask.shape not in (size, (*size, 1)):
        raise InputError(f"{path}: shape {mask.shape}; expected {size}, 1 where observed")
    if soft and not ((mask >= 0) & (mask <= 1)).all():
        raise InputError(f"{path}: values from {mask.min()} to {mask.max()}; expected 0 to 1")
    if not soft and not np.isin(mask, (0, 1)).all():
        raise InputError(f"{path}: values other than 0 and 1; expected a mask of them")
    if not mask.any():
        raise InputError(f"{path}: nothing is observed; expected a mask with ones")
    return mask.reshape(*size, 1)

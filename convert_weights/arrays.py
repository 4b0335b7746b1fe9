"""Arrays of checkpoints, PyTorch's, NumPy's and safetensors', as views of the file's bytes."""

import math
from typing import Any, Literal

import numpy as np

from convert_weights.pickles import Object
from convert_weights.storages import Slice, Storage
from ilo_jax.files.checkpoint import CheckpointError

_TENSOR = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
_PARAMETER = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
_NUMPY = ("numpy", "numpy.core", "numpy._core")
_RECONSTRUCT = tuple(f"{m}.multiarray._reconstruct" for m in _NUMPY)
_SCALAR = tuple(f"{m}.multiarray.scalar" for m in _NUMPY)
_FROM_BUFFER = tuple(f"{m}.numeric._frombuffer" for m in _NUMPY)


def is_tensor(value: Any) -> bool:
    return isinstance(value, Slice) or (
        isinstance(value, Object) and value.calls(*_TENSOR, *_PARAMETER)
    )


def tensor(value: Any) -> np.ndarray:
    """A PyTorch tensor or parameter, for which `is_tensor` holds, as an array."""
    if isinstance(value, Slice):
        return value.read()
    if value.calls(*_PARAMETER):
        match value.args:
            case (Object() as inner, *_) if inner.calls(*_TENSOR):
                value = inner
            case _:
                raise CheckpointError("a parameter that is not a tensor")
    match value.args:
        case (source, int(offset), tuple(shape), tuple(strides), *_):
            if not isinstance(source, Storage):
                raise CheckpointError("a tensor without a PyTorch storage")
            return _strided(source.array, offset, shape, strides)
    raise CheckpointError("a tensor that is not described as PyTorch describes one")


def is_ndarray(value: Any) -> bool:
    return isinstance(value, float) or (
        isinstance(value, Object) and value.calls(*_RECONSTRUCT, *_SCALAR, *_FROM_BUFFER)
    )


def ndarray(value: Any) -> np.ndarray:
    """A NumPy array or scalar, for which `is_ndarray` holds."""
    if isinstance(value, float):
        return np.array(value)
    if value.calls(*_RECONSTRUCT):
        match value.state:
            case (_, tuple(shape), dtype, fortran, data, *_):
                return _from_bytes(data, dtype, shape, "F" if fortran else "C")
    elif value.calls(*_SCALAR):
        match value.args:
            case (dtype, data):
                return _from_bytes(data, dtype, (), "C")
    else:
        match value.args:
            case (data, dtype, tuple(shape), ("C" | "F") as order):
                return _from_bytes(data, dtype, shape, order)
    raise CheckpointError("an array that is not described as NumPy describes one")


def _from_bytes(data: Any, dtype: Any, shape: tuple, order: Literal["C", "F"]) -> np.ndarray:
    if isinstance(data, str):  # of Python 2
        data = data.encode("latin1")
    if not isinstance(data, bytes | bytearray):
        raise CheckpointError("an array whose values are not bytes")
    numpy_dtype = _dtype(dtype)
    if _count(shape) * numpy_dtype.itemsize != len(data):
        raise CheckpointError(f"an array of shape {shape} has {len(data)} bytes: damaged")
    return np.frombuffer(data, numpy_dtype).reshape(shape, order=order)


def _dtype(value: Any) -> np.dtype:
    if isinstance(value, Object) and value.calls("numpy.dtype"):
        order = "<"
        match value.state:
            case (_, "<" | ">" | "|" as order, *_):
                pass
        match value.args:
            case ("f2" | "f4" | "f8" | "i4" | "i8" as code, *_):
                return np.dtype(order.replace("|", "<") + code)
    raise CheckpointError("an array that is not of a plain type; expected float32 or the like")


def squeezed(array: np.ndarray, *axes: int) -> np.ndarray:
    """Drops axes of size 1; leaves an array that does not have them as it is."""
    fits = all(axis < array.ndim and array.shape[axis] == 1 for axis in axes)
    return array.squeeze(axes) if fits else array


def _strided(flat: np.ndarray, offset: int, shape: tuple, strides: tuple) -> np.ndarray:
    count = _count(shape)
    if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in strides):
        raise CheckpointError("a tensor with impossible strides")
    strides = tuple(s if n > 1 else 0 for n, s in zip(shape, strides, strict=True))
    end = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1
    if offset < 0 or max(count, end) > flat.size:
        raise CheckpointError(
            f"a tensor of shape {shape} does not lie in its storage of {flat.size} elements"
        )
    byte_strides = [s * flat.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(flat[offset:], shape, byte_strides, writeable=False)


def _count(shape: tuple) -> int:
    """Number of elements; refuses what no array of a generator can be."""
    if len(shape) > 8 or not all(type(n) is int and 0 < n < 2**31 for n in shape):
        raise CheckpointError("an array with an impossible shape")
    return math.prod(shape)

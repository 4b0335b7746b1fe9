"""Arrays of pickled checkpoints: PyTorch tensors as views of the file's bytes."""

import math
from typing import Any

import numpy as np

from convert_weights.container import read_pickle
from convert_weights.pickles import Object
from convert_weights.storages import Storage
from ilo_jax.stylegan2 import CheckpointError

_TENSOR = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
_PARAMETER = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")


def is_tensor(value: Any) -> bool:
    return isinstance(value, Object) and value.calls(*_TENSOR, *_PARAMETER)


def tensor(value: Object) -> np.ndarray:
    """A PyTorch tensor or parameter, for which `is_tensor` holds, as an array."""
    if value.calls(*_PARAMETER):
        value = value.args[0] if value.args else None
        if not (isinstance(value, Object) and value.calls(*_TENSOR)):
            raise CheckpointError("a parameter that is not a tensor")
    match value.args:
        case (source, int(offset), tuple(shape), tuple(strides), *_):
            return _strided(_storage(source).array(), offset, shape, strides)
    raise CheckpointError("a tensor that is not described as PyTorch describes one")


def squeezed(array: np.ndarray, *axes: int) -> np.ndarray:
    """Drops axes of size 1; leaves an array that does not have them as it is."""
    fits = all(axis < array.ndim and array.shape[axis] == 1 for axis in axes)
    return array.squeeze(axes) if fits else array


def _storage(source: Any) -> Storage:
    if isinstance(source, Object) and source.calls("torch.storage._load_from_bytes"):
        match source.args:
            case (bytes(data),):  # a file of torch.save inside of the pickle
                source = read_pickle(data)
    if not isinstance(source, Storage):
        raise CheckpointError("a tensor without a PyTorch storage")
    return source


def _strided(flat: np.ndarray, offset: int, shape: tuple, strides: tuple) -> np.ndarray:
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in numbers):
        raise CheckpointError("a tensor with an impossible shape")
    end = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1
    count = math.prod(shape)
    if count > flat.size or (count and end > flat.size):
        raise CheckpointError(
            f"a tensor of shape {shape} does not lie in its storage of {flat.size} elements"
        )
    if not count:
        return np.zeros(shape, flat.dtype)
    byte_strides = [s * flat.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(flat[offset:], shape, byte_strides, writeable=False)

"""What every format is read into, and the folding of equalized learning rates.

StyleGAN2 stores weights of unit variance and scales them when run (Karras et al., 2018,
section 4.1). Here the scale goes into the weight, in float64, then float32.
"""

import dataclasses

import numpy as np

from ilo_jax.stylegan2 import CheckpointError, GeneratorConfig

MAX_RESOLUTION = 2048


@dataclasses.dataclass(frozen=True)
class Network:
    """A generator as a file has it.

    Attributes:
      format: name of the file's format.
      config: its sizes.
      mapping, synthesis: parameters as the Flax modules of `ilo_jax.stylegan2` name them.
      w_avg: `[w_dim]`, or None if the file has none.
      noises: fixed noise maps `[H, W, 1]`, one a layer, or None if the file has none.
    """

    format: str
    config: GeneratorConfig
    mapping: dict
    synthesis: dict
    w_avg: np.ndarray | None
    noises: tuple[np.ndarray, ...] | None


class Arrays:
    """Named arrays, taken with the shapes they must have."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self._arrays = arrays

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def count(self, pattern: str, start: int = 0) -> int:
        """How many names `pattern.format(i)` there are without a gap, from `i = start`."""
        n = 0
        while pattern.format(start + n) in self._arrays:
            n += 1
        return n

    def take(self, name: str, *shape: int | None) -> np.ndarray:
        """An array in float64; None in `shape` stands for any size.

        Raises:
          CheckpointError: it is not there, has another shape, or is not finite.
        """
        if name not in self._arrays:
            raise CheckpointError(f"has no array {name!r}")
        array = self._arrays[name]
        fits = len(array.shape) == len(shape) and all(
            n in (None, m) for n, m in zip(shape, array.shape, strict=True)
        )
        if not fits or 0 in array.shape:
            expected = ", ".join("any" if n is None else str(n) for n in shape)
            raise CheckpointError(
                f"array {name!r} has shape {list(array.shape)}; expected [{expected}]"
            )
        array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise CheckpointError(f"array {name!r} has values that are not finite")
        return array


def dense(weight: np.ndarray, bias: np.ndarray, lr_multiplier: float = 1.0) -> dict:
    """Equalized dense layer, `weight` `[O, I]`, as parameters of `nn.Dense`."""
    kernel = weight.T * (lr_multiplier / np.sqrt(weight.shape[1]))
    return {"kernel": kernel.astype(np.float32), "bias": (bias * lr_multiplier).astype(np.float32)}


def conv(weight: np.ndarray) -> np.ndarray:
    """Equalized convolution, `[O, I, k, k]` -> `[k, k, I, O]`."""
    kernel = np.transpose(weight, (2, 3, 1, 0)) / np.sqrt(np.prod(weight.shape[1:]))
    return kernel.astype(np.float32)


def float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32)

"""What every format is read into.

A format names the arrays of a file as below, in PyTorch's layout and as stored; `assemble`
checks their shapes, reads the sizes off them and folds the equalized learning rates: StyleGAN2
stores weights of unit variance and scales them when run (Karras et al., 2018, section 4.1).
Here the scale goes into the weight, in float64, then float32.

    const                                   [C, 4, 4]
    layers.L.weight, .bias                  [O, I, 3, 3], [O]
    layers.L.affine.weight, .bias           [I, w_dim], [I]
    layers.L.noise_strength                 []
    layers.L.noise                          [H, W]; for all layers or for none
    to_rgb.B.weight, .bias                  [image_channels, I, 1, 1], [image_channels]
    to_rgb.B.affine.weight, .bias           [I, w_dim], [I]
    residuals.B.weight                      [O, I, 1, 1]; with 'resnet'
    mapping.I.weight, .bias                 [O, I], [O]
    embed.weight, .bias                     [label_width, label_dim], [label_width]; with labels
    w_avg                                   [w_dim]; may be missing
"""

import dataclasses
import itertools

import numpy as np

from convert_weights.limits import Budget
from ilo_jax.files.checkpoint import CheckpointError
from ilo_jax.stylegan2 import GeneratorConfig
from ilo_jax.stylegan2.config import MAX_BLOCKS, MAX_MAPPING_LAYERS

MAX_RESOLUTION = 2 ** (MAX_BLOCKS + 1)


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
    """The named arrays of a network, taken with the shapes they must have.

    Args:
      arrays: for each of the names above, the name in the file and the array.
      budget: what is left to the file.
    """

    def __init__(self, arrays: dict[str, tuple[str, np.ndarray]], budget: Budget):
        self._arrays = arrays
        self._budget = budget

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def count(self, pattern: str) -> int:
        """How many names `pattern.format(i)` there are without a gap, from `i = 0`."""
        n = 0
        while pattern.format(n) in self._arrays:
            n += 1
        return n

    def last_size(self, name: str) -> int:
        """The last size of an array, which the others must go with.

        Raises:
          CheckpointError: it is not there, or a scalar.
        """
        if name not in self._arrays:
            raise CheckpointError(f"a network without its array {name}")
        origin, array = self._arrays[name]
        if not array.ndim:
            raise CheckpointError(f"array {origin} has shape []; expected a matrix")
        return array.shape[-1]

    def take(self, name: str, *shape: int | None) -> np.ndarray:
        """An array in float64; None in `shape` stands for any size.

        Raises:
          CheckpointError: it is not there, has another shape, is too large, or is not of finite
            floating-point numbers.
        """
        if name not in self._arrays:
            raise CheckpointError(f"a network without its array {name}")
        origin, array = self._arrays[name]
        fits = len(array.shape) == len(shape) and all(
            n in (None, m) for n, m in zip(shape, array.shape, strict=True)
        )
        if not fits or 0 in array.shape:
            expected = ", ".join("any" if n is None else str(n) for n in shape)
            raise CheckpointError(
                f"array {origin} has shape {list(array.shape)}; expected [{expected}]"
            )
        if array.dtype.kind in "biuc":
            raise CheckpointError(f"array {origin} is of type {array.dtype}; expected float32")
        self._budget.take(origin, array)
        with np.errstate(invalid="ignore"):
            array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise CheckpointError(f"array {origin} has values that are not finite")
        return array


def assemble(
    form: str,
    arrays: Arrays,
    *,
    lr_mapping: float,
    architecture: str = "skip",
    conv_clamp: float | None = None,
    joint_normalization: bool = False,
) -> Network:
    """A network from its arrays and from what cannot be read off them.

    Args:
      form: name of the format.
      lr_mapping: learning-rate multiplier of the mapping network.
      architecture, conv_clamp, joint_normalization: see `GeneratorConfig`.

    Raises:
      CheckpointError: an array is missing, or does not go with the others.
    """
    num_layers = arrays.count("layers.{}.weight")
    resolution = 2 ** (num_layers // 2 + 2)
    if num_layers % 2 == 0 or not 8 <= resolution <= MAX_RESOLUTION:
        raise CheckpointError(
            f"a generator of {num_layers} layers; "
            f"expected 3 (8 px) to {2 * MAX_RESOLUTION.bit_length() - 5} ({MAX_RESOLUTION} px)"
        )
    const = arrays.take("const", None, None, None)
    if const.shape[1:] != (4, 4):
        raise CheckpointError(
            f"a generator of images that are not square: its constant has shape "
            f"{list(const.shape)}; expected [any, 4, 4]"
        )
    w_dim = arrays.last_size("layers.0.affine.weight")

    def affine(name: str, width: int) -> dict:
        return _dense(
            arrays.take(f"{name}.affine.weight", width, w_dim),
            arrays.take(f"{name}.affine.bias", width),
        )

    synthesis: dict = {"const": float32(const.transpose(1, 2, 0))}
    channels = [len(const)]
    for i in range(num_layers):
        width = channels[-1]
        weight = arrays.take(f"layers.{i}.weight", width if i % 2 == 0 else None, width, 3, 3)
        synthesis[f"layers_{i}"] = {
            "kernel": _conv(weight),
            "bias": float32(arrays.take(f"layers.{i}.bias", len(weight))),
            "noise_strength": float32(arrays.take(f"layers.{i}.noise_strength")),
            "affine": affine(f"layers.{i}", width),
        }
        channels += [len(weight)] if i % 2 else []

    heads = channels if architecture == "skip" else channels[-1:]
    image_channels = arrays.take("to_rgb.0.bias", None).shape[0]
    if image_channels not in (1, 3):
        raise CheckpointError(
            f"a generator of images of {image_channels} channels; expected 1 (grey) or 3 (RGB)"
        )
    for b, width in enumerate(heads):
        weight = arrays.take(f"to_rgb.{b}.weight", image_channels, width, 1, 1)
        synthesis[f"to_rgb_{b}"] = {
            "kernel": _conv(weight)[0, 0],
            "bias": float32(arrays.take(f"to_rgb.{b}.bias", image_channels)),
            "affine": affine(f"to_rgb.{b}", width),
        }
    if architecture == "resnet":
        for b, (before, after) in enumerate(itertools.pairwise(channels)):
            weight = arrays.take(f"residuals.{b}.weight", after, before, 1, 1)
            synthesis[f"residuals_{b}"] = {"kernel": _conv(weight)[0, 0]}

    mapping = {}
    label_width = label_dim = 0
    if "embed.weight" in arrays:
        weight = arrays.take("embed.weight", None, None)
        label_width, label_dim = weight.shape
        mapping["embed"] = _dense(weight, arrays.take("embed.bias", label_width))
    depth = arrays.count("mapping.{}.weight")
    if depth > MAX_MAPPING_LAYERS:
        raise CheckpointError(
            f"a mapping network of {depth} layers; expected at most {MAX_MAPPING_LAYERS}"
        )
    widths = [arrays.last_size("mapping.0.weight")]
    for i in range(depth):
        hidden = w_dim if i == depth - 1 else None if i == 0 else widths[1]
        weight = arrays.take(f"mapping.{i}.weight", hidden, widths[-1])
        bias = arrays.take(f"mapping.{i}.bias", len(weight))
        mapping[f"dense_{i}"] = _dense(weight, bias, lr_mapping)
        widths.append(len(weight))

    try:
        config = GeneratorConfig(
            channels=tuple(channels),
            w_dim=w_dim,
            z_dim=widths[0] - label_width,
            mapping_layers=depth,
            image_channels=image_channels,
            architecture=architecture,
            conv_clamp=conv_clamp,
            mapping_width=None if widths[1] == w_dim else widths[1],
            label_dim=label_dim,
            label_width=label_width,
            joint_normalization=joint_normalization,
        )
    except ValueError as error:
        raise CheckpointError(f"a generator of impossible sizes: {error}") from error
    return Network(
        format=form,
        config=config,
        mapping={"params": mapping},
        synthesis=synthesis,
        w_avg=float32(arrays.take("w_avg", w_dim)) if "w_avg" in arrays else None,
        noises=_noises(arrays, config),
    )


def positive(value: float, name: str) -> float:
    """A number of a file, as a float.

    Raises:
      CheckpointError: it is not positive and finite.
    """
    if not 0 < value < 1e30:
        raise CheckpointError(f"{name} is out of range; expected a positive number")
    return float(value)


def _dense(weight: np.ndarray, bias: np.ndarray, lr_multiplier: float = 1.0) -> dict:
    kernel = weight.T * (lr_multiplier / np.sqrt(weight.shape[1]))
    return {"kernel": float32(kernel), "bias": float32(bias * lr_multiplier)}


def _conv(weight: np.ndarray) -> np.ndarray:
    return float32(np.transpose(weight, (2, 3, 1, 0)) / np.sqrt(np.prod(weight.shape[1:])))


def _noises(arrays: Arrays, config: GeneratorConfig) -> tuple[np.ndarray, ...] | None:
    sizes = [config.layer_resolution(i) for i in range(config.num_layers)]
    if not any(f"layers.{i}.noise" in arrays for i in range(len(sizes))):
        return None
    return tuple(
        float32(arrays.take(f"layers.{i}.noise", n, n)[..., None]) for i, n in enumerate(sizes)
    )


def float32(array: np.ndarray) -> np.ndarray:
    """An array as a parameter is kept.

    Raises:
      CheckpointError: a value that float32 does not have.
    """
    with np.errstate(over="ignore"):
        array = np.asarray(array, np.float32)
    if not np.isfinite(array).all():
        raise CheckpointError("an array has values beyond float32")
    return array

"""`python -m convert_weights.classifier SOURCE OUT`: ResNets of torchvision and `robustness`."""

import argparse
import hashlib
import itertools
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convert_weights import container
from convert_weights.arrays import is_tensor, tensor
from convert_weights.limits import Budget
from convert_weights.network import Arrays, float32
from convert_weights.sources import locate
from convert_weights.stopping import leave, stoppable
from ilo_jax.classifiers import Network, ResNetConfig, save
from ilo_jax.errors import InputError
from ilo_jax.files.checkpoint import CheckpointError

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, colours in [0, 1]
_EPSILON = 1e-5  # of PyTorch's batch normalization
_SIGN = "layer1.0.conv3.weight"


def read_classifier(source: str | pathlib.Path) -> Network:
    """Reads a PyTorch checkpoint of a ResNet without running any of it.

    Training states are read as `robustness` writes them: `model`, else `state_dict`, else the
    value itself; the network's names may have any prefix.

    Raises:
      CheckpointError: it cannot be read, is damaged, or holds no ResNet of bottleneck blocks.
    """
    path = pathlib.Path(source)
    try:
        value, budget = container.read(path)
        states = [value.get(key) for key in ("model", "state_dict")] if type(value) is dict else []
        for tensors in map(_tensors, [*states, value]):
            prefixes = [name.removesuffix(_SIGN) for name in tensors if name.endswith(_SIGN)]
            if prefixes:
                return _assemble(tensors, min(prefixes, key=len), budget)
        raise CheckpointError(
            "holds no ResNet; expected a state dict in torchvision's naming, with bottleneck "
            "blocks, or a checkpoint of the library robustness with one"
        )
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _tensors(state: Any) -> dict[str, Any]:
    if not isinstance(state, dict):
        return {}
    return {k: t for k, t in state.items() if isinstance(k, str) and is_tensor(t)}


def _assemble(tensors: dict[str, Any], prefix: str, budget: Budget) -> Network:
    arrays = Arrays(
        {
            name.removeprefix(prefix): (name, tensor(t))
            for name, t in tensors.items()
            if name.startswith(prefix)
        },
        budget,
    )
    width = arrays.take("conv1.weight", None, 3, 7, 7).shape[0]
    params: dict = _normalization(tensors, budget)
    params["stem"] = _convolution(arrays, "conv1", "bn1", 3, width, 7)
    counts = (arrays.count(f"layer{s}.{{}}.conv1.weight") for s in itertools.count(1))
    sizes = tuple(itertools.takewhile(bool, counts))
    channels = width
    for stage, block in ((s, b) for s, size in enumerate(sizes) for b in range(size)):
        inner, old = width * 2**stage, f"layer{stage + 1}.{block}"
        parts = {
            "conv_0": _convolution(arrays, f"{old}.conv1", f"{old}.bn1", channels, inner, 1),
            "conv_1": _convolution(arrays, f"{old}.conv2", f"{old}.bn2", inner, inner, 3),
            "conv_2": _convolution(arrays, f"{old}.conv3", f"{old}.bn3", inner, 4 * inner, 1),
        }
        if not block:
            parts["shortcut"] = _convolution(
                arrays, f"{old}.downsample.0", f"{old}.downsample.1", channels, 4 * inner, 1
            )
        params[f"stage_{stage}_block_{block}"] = parts
        channels = 4 * inner
    head = arrays.take("fc.weight", None, channels)
    params["head"] = {
        "kernel": float32(head.T),
        "bias": float32(arrays.take("fc.bias", len(head))),
    }
    config = ResNetConfig(stage_sizes=sizes, width=width, classes=len(head))
    return Network(config, jax.tree.map(jnp.asarray, params))


def _normalization(tensors: dict[str, Any], budget: Budget) -> dict[str, np.ndarray]:
    """Mean and standard deviation of the colours, which `robustness` keeps in the file."""
    found = {"mean": np.array(_MEAN, np.float32), "std": np.array(_STD, np.float32)}
    for name, t in tensors.items():
        for key in found:
            if name.endswith(f"normalizer.new_{key}"):
                array = Arrays({key: (name, tensor(t))}, budget).take(key, 3, 1, 1)
                found[key] = float32(array[:, 0, 0])
    return found


def _convolution(
    arrays: Arrays, name: str, norm: str, inputs: int, outputs: int, size: int
) -> dict[str, np.ndarray]:
    """A convolution and the batch normalization after it as one convolution with a bias."""
    kernel = arrays.take(f"{name}.weight", outputs, inputs, size, size)
    gamma, beta, mean, variance = (
        arrays.take(f"{norm}.{part}", outputs)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    if variance.min() < 0:
        raise CheckpointError(f"array {norm}.running_var has negative values; the file is damaged")
    scale = gamma / np.sqrt(variance + _EPSILON)
    return {
        "kernel": float32(kernel.transpose(2, 3, 1, 0) * scale),
        "bias": float32(beta - mean * scale),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0 all done, 2 bad input, 130 interrupted, 143
    terminated."""
    return stoppable(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m convert_weights.classifier",
        description="Convert a classifier for ilo_jax: ResNet-50, 101 or 152 as a PyTorch state "
        "dict in torchvision's naming, or as a checkpoint of the library robustness. Nothing in "
        "the file is executed.",
    )
    parser.add_argument("source", help="checkpoint file, or address")
    parser.add_argument("out", help="folder to write; must not exist")
    options = parser.parse_args(arguments)
    try:
        path = locate(options.source)
        network = read_classifier(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        save(options.out, network, {"source": path.name, "sha256": digest})
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    config = network.config
    print(f"{config}, {sum(a.size for a in jax.tree.leaves(network.params)):,} parameters")
    return 0


if __name__ == "__main__":
    leave(main())

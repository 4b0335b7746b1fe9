"""A trained classifier as a pytree, and on disk."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.classifiers.convnet import ConvNet, ConvNetConfig
from ilo_jax.classifiers.resnet import ResNet, ResNetConfig
from ilo_jax.files import digest
from ilo_jax.files.checkpoint import Checkpoints
from ilo_jax.files.functions import digest_of_function, load_function

Config = ResNetConfig | ConvNetConfig
Classify = Callable[[jax.Array], jax.Array]
"""Images `[..., H, W, C]` in [-1, 1] -> logits `[..., K]`; a pytree."""

_CONFIGS: Mapping[str, type[Config]] = {"resnet": ResNetConfig, "convnet": ConvNetConfig}
_MODULES: Mapping[type, Callable[..., nn.Module]] = {ResNetConfig: ResNet, ConvNetConfig: ConvNet}
_CLASSIFIERS = Checkpoints(
    kind="classifier",
    embedded=pathlib.Path(__file__).parent / "pretrained",
    again="python -m convert_weights.classifier SOURCE OUT",
)


class Network(flax.struct.PyTreeNode):
    """A trained classifier: images `[..., H, W, C]` in [-1, 1] -> logits `[..., classes]`.

    Attributes:
      config: the sizes, which also say what network it is.
      params: Flax parameters.
    """

    config: Config = flax.struct.field(pytree_node=False)
    params: dict

    def __call__(self, image: jax.Array) -> jax.Array:
        logits = _MODULES[type(self.config)](self.config).apply({"params": self.params}, image)
        assert isinstance(logits, jax.Array)
        return logits


def random_network(config: Config, key: jax.Array) -> Network:
    """A classifier with random weights."""
    module = _MODULES[type(config)](config)
    return Network(config, dict(jax.jit(module.init)(key, jnp.zeros((8, 8, 3)))["params"]))


def save(path: str | pathlib.Path, network: Network, about: dict) -> None:
    """Writes a classifier to the folder `path`, whole or not at all.

    Args:
      about: JSON-serializable notes on where the weights are from.

    Raises:
      CheckpointError: `path` exists already, or cannot be written.
    """
    (name,) = (name for name, kind in _CONFIGS.items() if isinstance(network.config, kind))
    config = {"network": name} | dataclasses.asdict(network.config)
    _CLASSIFIERS.save(path, config, network.params, about)


def load(what: str | pathlib.Path) -> Classify:
    """A classifier by folder, by the name of an embedded one (`digits`), or as a function.

    Args:
      what: folder, name, or `MODULE:FUNCTION`: a function from images `[..., H, W, C]` in
        [-1, 1] to logits `[..., K]`, of JAX operations.

    Raises:
      InputError: there is none, or it is damaged or of another format version.
    """
    folder = _CLASSIFIERS.locate(what)
    if _is_function(what):
        return jax.tree_util.Partial(load_function(str(what)))
    stored = _CLASSIFIERS.describe(folder).get("config", {})
    try:
        sizes: dict[str, Any] = {k: tuple(v) if type(v) is list else v for k, v in stored.items()}
        config = _CONFIGS[sizes.pop("network")](**sizes)
        shapes = jax.eval_shape(lambda: random_network(config, jax.random.key(0)).params)
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise _CLASSIFIERS.damaged(folder, error) from error
    return Network(config, _CLASSIFIERS.arrays(folder, shapes))


def digest_of(what: str | pathlib.Path) -> str:
    """Of what `load` reads: the folder's files, or the file of the function's module.

    Raises:
      InputError: it cannot be read.
    """
    if _is_function(what):
        return digest_of_function(str(what))
    return digest.digest_of(_CLASSIFIERS.locate(what))


def _is_function(what: str | pathlib.Path) -> bool:
    return ":" in str(what) and not os.path.lexists(_CLASSIFIERS.locate(what))

"""Classifiers, for measurements of the kind 'this image shows class c' (Section 4.3)."""

from ilo_jax.classifiers.convnet import ConvNet, ConvNetConfig
from ilo_jax.classifiers.network import (
    Classify,
    Network,
    digest_of,
    load,
    random_network,
    save,
)
from ilo_jax.classifiers.resnet import ResNet, ResNetConfig

__all__ = [
    "Classify",
    "ConvNet",
    "ConvNetConfig",
    "Network",
    "ResNet",
    "ResNetConfig",
    "digest_of",
    "load",
    "random_network",
    "save",
]

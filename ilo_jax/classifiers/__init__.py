"""Classifiers, for measurements of the kind 'this image shows class c' (Section 4.3)."""

from ilo_jax.classifiers.convnet import ConvNet, ConvNetConfig
from ilo_jax.classifiers.network import Classify, Network, load, random_network, save
from ilo_jax.classifiers.resnet import ResNet, ResNetConfig

__all__ = [
    "Classify",
    "ConvNet",
    "ConvNetConfig",
    "Network",
    "ResNet",
    "ResNetConfig",
    "load",
    "random_network",
    "save",
]

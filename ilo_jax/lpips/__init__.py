"""LPIPS: a learned perceptual distance between images."""

from ilo_jax.lpips.network import (
    SIZE,
    Conv,
    Lpips,
    Stage,
    distance,
    features,
    lpips,
    prepare,
    resized,
    smallest_size,
)
from ilo_jax.lpips.weights import NETWORKS, load

__all__ = [
    "NETWORKS",
    "SIZE",
    "Conv",
    "Lpips",
    "Stage",
    "distance",
    "features",
    "load",
    "lpips",
    "prepare",
    "resized",
    "smallest_size",
]

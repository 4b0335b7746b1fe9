"""Terms of the objective, by the names that their weights have."""

from collections.abc import Callable, Mapping

from ilo_jax import lpips
from ilo_jax.solve.losses.base import Data, Loss, Target, View
from ilo_jax.solve.losses.classification import ClassLikelihood
from ilo_jax.solve.losses.fidelity import DeadZone, Mse, Reference
from ilo_jax.solve.losses.perceptual import Perceptual, PerceptualFilled
from ilo_jax.solve.losses.regularizers import (
    Geocross,
    GeocrossW,
    NoiseCorrelation,
    geodesic_distance,
)

LOSSES: Mapping[str, Callable[[], Loss]] = {
    "mse": Mse,
    "lpips": lambda: Perceptual(lpips.load("vgg")),
    "lpips_alex": lambda: Perceptual(lpips.load("alex")),
    "lpips_filled": lambda: PerceptualFilled(lpips.load("vgg")),
    "dead_zone": DeadZone,
    "reference": Reference,
    "geocross": Geocross,
    "geocross_w": GeocrossW,
    "noise_correlation": NoiseCorrelation,
}
"""How each loss is made with its usual settings."""

__all__ = [
    "LOSSES",
    "ClassLikelihood",
    "Data",
    "DeadZone",
    "Geocross",
    "GeocrossW",
    "Loss",
    "Mse",
    "NoiseCorrelation",
    "Perceptual",
    "PerceptualFilled",
    "Reference",
    "Target",
    "View",
    "geodesic_distance",
]

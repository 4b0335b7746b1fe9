"""Terms of the objective, by the names that their weights have."""

from collections.abc import Callable, Mapping

from ilo_jax.solve.losses.base import Data, Loss, Target, View
from ilo_jax.solve.losses.fidelity import DeadZone, Mse, Reference
from ilo_jax.solve.losses.regularizers import (
    Geocross,
    GeocrossW,
    NoiseCorrelation,
    geodesic_distance,
)

LOSSES: Mapping[str, Callable[[], Loss]] = {
    "mse": Mse,
    "dead_zone": DeadZone,
    "reference": Reference,
    "geocross": Geocross,
    "geocross_w": GeocrossW,
    "noise_correlation": NoiseCorrelation,
}
"""How each loss is made with its usual settings."""

__all__ = [
    "LOSSES",
    "Data",
    "DeadZone",
    "Geocross",
    "GeocrossW",
    "Loss",
    "Mse",
    "NoiseCorrelation",
    "Reference",
    "Target",
    "View",
    "geodesic_distance",
]

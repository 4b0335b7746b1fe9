"""Terms of the objective, by the names that their weights have."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from ilo_jax import lpips
from ilo_jax.errors import InputError
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

T = TypeVar("T")

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


def choose(names: Iterable[str], table: Mapping[str, T]) -> dict[str, T]:
    """The rows of a table of losses that have these names.

    Raises:
      InputError: there is none of a name.
    """
    chosen = {}
    for name in names:
        if name not in table:
            raise InputError(f"loss {name}: expected one of {', '.join(table)}")
        chosen[name] = table[name]
    return chosen


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
    "choose",
    "geodesic_distance",
]

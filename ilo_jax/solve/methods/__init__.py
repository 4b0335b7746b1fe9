"""ILO and what the paper compares it with, each a few rounds."""

from ilo_jax.solve.methods.around import around
from ilo_jax.solve.methods.baselines import PULSE_MSE, csgm, dhar, projector, pulse
from ilo_jax.solve.methods.brgm import brgm
from ilo_jax.solve.methods.ilo import algorithm_1, ilo, ilo_from_mean
from ilo_jax.solve.methods.langevin import langevin, sgilo
from ilo_jax.solve.methods.posterior import NARROW, map_estimate
from ilo_jax.solve.methods.presets import PRESETS, Preset
from ilo_jax.solve.methods.robust import robust
from ilo_jax.solve.methods.usual import is_scarce, usual

__all__ = [
    "NARROW",
    "PRESETS",
    "PULSE_MSE",
    "Preset",
    "algorithm_1",
    "around",
    "brgm",
    "csgm",
    "dhar",
    "ilo",
    "ilo_from_mean",
    "is_scarce",
    "langevin",
    "map_estimate",
    "projector",
    "pulse",
    "robust",
    "sgilo",
    "usual",
]

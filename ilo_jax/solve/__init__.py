"""The ILO loop, and the command line around it."""

from ilo_jax.solve.loop import Solution, solve
from ilo_jax.solve.losses import geocross, measurement_mse
from ilo_jax.solve.schedule import (
    Cut,
    HyperParameters,
    Round,
    Schedule,
    hyper_parameters,
    ilo_schedule,
)

__all__ = [
    "Cut",
    "HyperParameters",
    "Round",
    "Schedule",
    "Solution",
    "geocross",
    "hyper_parameters",
    "ilo_schedule",
    "measurement_mse",
    "solve",
]

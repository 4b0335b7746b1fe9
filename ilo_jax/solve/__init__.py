"""The ILO loop, and the command line around it."""

from ilo_jax.solve.cuts import Cut, ExtendedRange, RangeProjection, Solution
from ilo_jax.solve.loop import solve
from ilo_jax.solve.losses import LOSSES, Loss
from ilo_jax.solve.methods import METHODS, Method, Plan
from ilo_jax.solve.schedule import (
    HyperParameters,
    Round,
    Schedule,
    Search,
    algorithm_1,
    hyper_parameters,
    ilo_schedule,
)

__all__ = [
    "LOSSES",
    "METHODS",
    "Cut",
    "ExtendedRange",
    "HyperParameters",
    "Loss",
    "Method",
    "Plan",
    "RangeProjection",
    "Round",
    "Schedule",
    "Search",
    "Solution",
    "algorithm_1",
    "hyper_parameters",
    "ilo_schedule",
    "solve",
]

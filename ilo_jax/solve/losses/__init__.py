"""What is minimized: an algebra of terms, and the terms."""

from ilo_jax.solve.losses.near_mean import FOR_ERROR, FOR_LPIPS, NearMean
from ilo_jax.solve.losses.objective import Data, Objective, Target, Term, View, as_objective
from ilo_jax.solve.losses.scales import PerceptualEnlarged, PerceptualScales
from ilo_jax.solve.losses.terms import (
    TERMS,
    ClassLikelihood,
    DeadZone,
    Geocross,
    Likelihood,
    Mse,
    Perceptual,
    PerceptualFilled,
    Reference,
    Regularizer,
    Score,
    usual_objective,
)

__all__ = [
    "FOR_ERROR",
    "FOR_LPIPS",
    "TERMS",
    "ClassLikelihood",
    "Data",
    "DeadZone",
    "Geocross",
    "Likelihood",
    "Mse",
    "NearMean",
    "Objective",
    "Perceptual",
    "PerceptualEnlarged",
    "PerceptualFilled",
    "PerceptualScales",
    "Reference",
    "Regularizer",
    "Score",
    "Target",
    "Term",
    "View",
    "as_objective",
    "usual_objective",
]

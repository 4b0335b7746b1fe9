"""Intermediate Layer Optimization: the method of the paper, on any prior, operator and objective.

`loop.py` is Algorithm 1 for one image, `variables.py` what is searched, `rounds.py` and `method.py`
what a run is made of, `methods/` those with names, `losses/` what is minimized, `batch.py` the loop
over a batch, `reconstruct.py` the door; `sweep.py` and `auto.py` try many.
"""

from ilo_jax.solve.auto import reconstruct_auto
from ilo_jax.solve.chain import chain
from ilo_jax.solve.choice import EFFORTS, Auto, Choice
from ilo_jax.solve.combine import COMBINE, combined
from ilo_jax.solve.consistent import consistent
from ilo_jax.solve.loop import Problem, Search, Solution
from ilo_jax.solve.losses import (
    TERMS,
    ClassLikelihood,
    Data,
    DeadZone,
    Geocross,
    Likelihood,
    Mse,
    NearMean,
    Objective,
    Perceptual,
    PerceptualEnlarged,
    PerceptualFilled,
    PerceptualScales,
    Reference,
    Regularizer,
    Score,
    Term,
    View,
    usual_objective,
)
from ilo_jax.solve.method import Method, align
from ilo_jax.solve.methods import (
    PRESETS,
    algorithm_1,
    around,
    brgm,
    csgm,
    dhar,
    ilo,
    ilo_from_mean,
    is_scarce,
    langevin,
    map_estimate,
    projector,
    pulse,
    robust,
    sgilo,
    usual,
)
from ilo_jax.solve.reconstruct import (
    NOT_FINITE,
    OK,
    Result,
    Run,
    finish,
    init,
    reconstruct,
    step,
    steps,
)
from ilo_jax.solve.rounds import Round
from ilo_jax.solve.sweep import Runs, stack, sweep
from ilo_jax.solve.variables import Variables, code, compose, image, sample
from ilo_jax.solve.variational import Variational, variational

__all__ = [
    "COMBINE",
    "EFFORTS",
    "NOT_FINITE",
    "OK",
    "PRESETS",
    "TERMS",
    "Auto",
    "Choice",
    "ClassLikelihood",
    "Data",
    "DeadZone",
    "Geocross",
    "Likelihood",
    "Method",
    "Mse",
    "NearMean",
    "Objective",
    "Perceptual",
    "PerceptualEnlarged",
    "PerceptualFilled",
    "PerceptualScales",
    "Problem",
    "Reference",
    "Regularizer",
    "Result",
    "Round",
    "Run",
    "Runs",
    "Score",
    "Search",
    "Solution",
    "Term",
    "Variables",
    "Variational",
    "View",
    "algorithm_1",
    "align",
    "around",
    "brgm",
    "chain",
    "code",
    "combined",
    "compose",
    "consistent",
    "csgm",
    "dhar",
    "finish",
    "ilo",
    "ilo_from_mean",
    "image",
    "init",
    "is_scarce",
    "langevin",
    "map_estimate",
    "projector",
    "pulse",
    "reconstruct",
    "reconstruct_auto",
    "robust",
    "sample",
    "sgilo",
    "stack",
    "step",
    "steps",
    "sweep",
    "usual",
    "usual_objective",
    "variational",
]

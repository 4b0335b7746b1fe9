"""Intermediate Layer Optimization: the method of the paper, on any prior, operator and objective.

`loop.py` is Algorithm 1 for one image, `variables.py` what is searched, `method.py` what a run is
made of, `presets.py` the methods with names, `objective.py` and `terms.py` what is minimized,
`batch.py` the loop over a batch, `reconstruct.py` the door; `sweep.py` and `auto.py` try many.
"""

from ilo_jax.solve.auto import EFFORTS, Auto, Choice, reconstruct_auto
from ilo_jax.solve.loop import Problem, Search, Solution
from ilo_jax.solve.method import Method, Round
from ilo_jax.solve.objective import Data, Objective, Term, View
from ilo_jax.solve.presets import (
    PRESETS,
    algorithm_1,
    csgm,
    dhar,
    ilo,
    ilo_from_mean,
    projector,
    pulse,
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
from ilo_jax.solve.sweep import Runs, align, stack, sweep
from ilo_jax.solve.terms import (
    TERMS,
    ClassLikelihood,
    DeadZone,
    Geocross,
    Mse,
    Perceptual,
    PerceptualFilled,
    Reference,
    Regularizer,
    usual_objective,
)
from ilo_jax.solve.variables import Variables, code, compose, image

__all__ = [
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
    "Method",
    "Mse",
    "Objective",
    "Perceptual",
    "PerceptualFilled",
    "Problem",
    "Reference",
    "Regularizer",
    "Result",
    "Round",
    "Run",
    "Runs",
    "Search",
    "Solution",
    "Term",
    "Variables",
    "View",
    "algorithm_1",
    "align",
    "code",
    "compose",
    "csgm",
    "dhar",
    "finish",
    "ilo",
    "ilo_from_mean",
    "image",
    "init",
    "projector",
    "pulse",
    "reconstruct",
    "reconstruct_auto",
    "stack",
    "step",
    "steps",
    "sweep",
    "usual_objective",
]

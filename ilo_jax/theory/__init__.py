"""The paper's theory (Section 3): bounds as functions, and what can be measured of a generator."""

from ilo_jax.theory.bounds import (
    Scaling,
    additive_error,
    circulant_measurements,
    csgm_intermediate_measurements,
    csgm_measurements,
    deviation_radius,
    failure_probability,
    ilo_error,
    ilo_measurements,
    scaling,
)
from ilo_jax.theory.lipschitz import CutNorms, cut_norms, generator_norms, spectral_norm
from ilo_jax.theory.parts import draw_inputs, g1, g2
from ilo_jax.theory.srec import (
    Differences,
    draw_differences,
    draw_l1_ball,
    extended_image,
    isometry_ratios,
)

__all__ = [
    "CutNorms",
    "Differences",
    "Scaling",
    "additive_error",
    "circulant_measurements",
    "csgm_intermediate_measurements",
    "csgm_measurements",
    "cut_norms",
    "deviation_radius",
    "draw_differences",
    "draw_inputs",
    "draw_l1_ball",
    "extended_image",
    "failure_probability",
    "g1",
    "g2",
    "generator_norms",
    "ilo_error",
    "ilo_measurements",
    "isometry_ratios",
    "scaling",
    "spectral_norm",
]

"""StyleGAN2 as pure functions, with a per-layer interface, and as a prior."""

from ilo_jax.stylegan2.config import GeneratorConfig, config_f
from ilo_jax.stylegan2.generator import (
    PRECISIONS,
    Generator,
    Noises,
    apply_layers,
    derive,
    initial_state,
    map_latents,
    random_generator,
    sample_noises,
    synthesize,
    with_label,
    with_precision,
    zero_styles,
)
from ilo_jax.stylegan2.networks import State, Styles
from ilo_jax.stylegan2.prior import Inputs, StyleGAN2
from ilo_jax.stylegan2.proxy import MappingProxy, fit_mapping_proxy
from ilo_jax.stylegan2.shapes import generator_shapes

__all__ = [
    "PRECISIONS",
    "Generator",
    "GeneratorConfig",
    "Inputs",
    "MappingProxy",
    "Noises",
    "State",
    "StyleGAN2",
    "Styles",
    "apply_layers",
    "config_f",
    "derive",
    "fit_mapping_proxy",
    "generator_shapes",
    "initial_state",
    "map_latents",
    "random_generator",
    "sample_noises",
    "synthesize",
    "with_label",
    "with_precision",
    "zero_styles",
]

"""StyleGAN2 as pure functions, with a per-layer interface."""

from ilo_jax.checkpoint import CheckpointError
from ilo_jax.stylegan2.checkpoint import EMBEDDED_DEFAULT, NOTICES, load, save
from ilo_jax.stylegan2.config import GeneratorConfig, config_f
from ilo_jax.stylegan2.generator import (
    Generator,
    MappingProxy,
    Noises,
    apply_layers,
    derive,
    fit_mapping_proxy,
    initial_state,
    map_latents,
    random_generator,
    sample_noises,
    synthesize,
)
from ilo_jax.stylegan2.networks import State

__all__ = [
    "EMBEDDED_DEFAULT",
    "NOTICES",
    "CheckpointError",
    "Generator",
    "GeneratorConfig",
    "MappingProxy",
    "Noises",
    "State",
    "apply_layers",
    "config_f",
    "derive",
    "fit_mapping_proxy",
    "initial_state",
    "load",
    "map_latents",
    "random_generator",
    "sample_noises",
    "save",
    "synthesize",
]

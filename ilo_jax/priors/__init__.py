"""Generators as priors: what a solver knows of one, and a chain of plain functions as one."""

from ilo_jax.priors.base import NO_FACTS, Facts, Inputs, Masks, Prior, State, growth_factor
from ilo_jax.priors.sequential import Sequential

__all__ = ["NO_FACTS", "Facts", "Inputs", "Masks", "Prior", "Sequential", "State", "growth_factor"]

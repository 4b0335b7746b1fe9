"""Image reconstruction by Intermediate Layer Optimization (Daras et al., ICML 2021) in JAX.

`ilo_jax.stylegan2` is the generator, `ilo_jax.ops` the forward operators and projections,
`ilo_jax.solve` the loop and the command line, `ilo_jax.lpips` the perceptual distance,
`ilo_jax.classifiers` networks that say what an image shows, `ilo_jax.theory` the paper's bounds.
"""

import os

# XLA calls tuning hints of a processor ("prefer-no-gather") errors whenever it loads a program that
# it has compiled before; what really fails is raised. JAX reads this when it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from ilo_jax import ops, stylegan2
from ilo_jax.errors import InputError

__all__ = ["InputError", "ops", "stylegan2"]

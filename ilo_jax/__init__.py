"""Image reconstruction by Intermediate Layer Optimization (Daras et al., ICML 2021) in JAX.

`ilo_jax.load` reads a generator, `ilo_jax.sample` draws an image of it, `ilo_jax.ops` has the
forward operators, `ilo_jax.reconstruct` the method; `ilo_jax.solve` is what it is made of,
`ilo_jax.priors` how to bring your own generator, `ilo_jax.load_variables` reads what a run has
optimized and `ilo_jax.image_of` gives its image back, `ilo_jax.theory` has the paper's bounds,
`ilo_jax.app` the command line and the page.
"""

from ilo_jax.stopping import exit_while_importing

exit_while_importing()  # in front of what takes a second

from ilo_jax import ops, priors, solve  # noqa: E402
from ilo_jax.errors import InputError  # noqa: E402
from ilo_jax.files.generators import load  # noqa: E402
from ilo_jax.files.variables import image_of, load_variables, save_variables  # noqa: E402
from ilo_jax.solve import reconstruct, sample  # noqa: E402

__version__ = "0.2.0"

__all__ = [
    "InputError",
    "image_of",
    "load",
    "load_variables",
    "ops",
    "priors",
    "reconstruct",
    "sample",
    "save_variables",
    "solve",
]

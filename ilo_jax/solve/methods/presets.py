"""The methods by name.

A new method is one function in a file beside this one, one row here, and one in the tests.
"""

import dataclasses
from collections.abc import Callable, Mapping

from ilo_jax.solve.losses import Term
from ilo_jax.solve.method import Method
from ilo_jax.solve.methods.baselines import PULSE_MSE, csgm, dhar, projector, pulse
from ilo_jax.solve.methods.brgm import brgm
from ilo_jax.solve.methods.ilo import algorithm_1, ilo, ilo_from_mean
from ilo_jax.solve.methods.langevin import langevin, sgilo
from ilo_jax.solve.methods.posterior import map_estimate
from ilo_jax.solve.methods.robust import robust


@dataclasses.dataclass(frozen=True)
class Preset:
    """A row of the table.

    Attributes:
      make: `(prior, steps=, rate=, objective=, ...) -> Method`.
      help: what is optimized and who proposed it, one line.
      steps, rate, radii: as `make` has them by default, for help; None for the generator's.
      has_radii: whether there are balls of deviations.
      cuts: whether other cuts can be asked for.
      terms: of the objective, by name, where they are not as in `TERMS`.
    """

    make: Callable[..., Method]
    help: str
    steps: tuple[int, ...]
    rate: tuple[float, ...] = (0.1,)
    radii: float | None = None
    has_radii: bool = False
    cuts: bool = False
    terms: Mapping[str, Callable[[], Term]] = dataclasses.field(default_factory=dict)


PRESETS: Mapping[str, Preset] = {
    "ilo": Preset(
        ilo,
        "Intermediate Layer Optimization over successive layers (Section 4)",
        (100, 100, 100, 100),
        has_radii=True,
        cuts=True,
    ),
    "ilo-mean": Preset(
        ilo_from_mean,
        "ILO from the mean of W: one w, then W+, then rounds at the cuts",
        (100, 100, 100, 100),
        rate=(0.06,),
        has_radii=True,
        cuts=True,
    ),
    "ilo-range": Preset(
        algorithm_1,
        "Algorithm 1 as printed: balls around the range of G1 and projections back to it",
        (100, 60, 40, 60, 40, 60, 40),
        radii=1000.0,
        has_radii=True,
        cuts=True,
    ),
    "csgm": Preset(csgm, "inputs only (Bora et al., 2017, with PULSE's sphere)", (400,)),
    "pulse": Preset(
        pulse,
        "the same with PULSE's numbers (Menon et al., 2020)",
        (100,),
        (0.4,),
        terms={"mse": lambda: PULSE_MSE},
    ),
    "dhar": Preset(
        dhar,
        "inputs and sparse deviations of the image, in an l1 ball (Dhar et al., 2018)",
        (200, 200),
        radii=300.0,
        has_radii=True,
    ),
    "projector": Preset(
        projector,
        "StyleGAN2's projector: one w, all noise maps, LPIPS (Karras et al., 2020)",
        (1000,),
    ),
    "robust": Preset(
        robust,
        "w, W+, then every style, fixed lengths, LPIPS at many scales (Poirier-Ginter & Lalonde, "
        "2023)",
        (150, 150, 150),
        (0.008, 0.002, 0.0005),
    ),
    "brgm": Preset(
        brgm,
        "W+ from the mean on, a Gaussian prior and equal directions of w, pixels and LPIPS "
        "(Marinescu et al., 2020)",
        (500,),
        (0.23,),
    ),
    "map": Preset(
        map_estimate,
        "W+ from the mean on, a Gaussian prior that weighs more where noise hides more, then ILO's "
        "rounds in narrow balls",
        (70, 65, 65),
        has_radii=True,
    ),
    "sgilo": Preset(
        sgilo,
        "ILO's rounds with noise in each step instead of balls, a heuristic (Daras et al., 2022)",
        (300, 300, 300),
        (0.05,),
        cuts=True,
    ),
    "langevin": Preset(
        langevin,
        "a sample of the posterior by Langevin dynamics, for tasks of known noise",
        (1000,),
        (1e-5,),
    ),
}
"""By the name on the command line."""

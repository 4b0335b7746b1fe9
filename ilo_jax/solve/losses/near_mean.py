"""The logarithm of a Gaussian prior on W, weighted as the noise asks."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops import Determined, Operator
from ilo_jax.priors import Prior
from ilo_jax.solve.losses.objective import Data, Target, Term, View

ANGLES = 0.01
"""Of the angles between layers, as a part: with it W+ stays near W (BRGM's ratio is 0.001)."""


@dataclasses.dataclass(frozen=True)
class ByNoise:
    """A weight that grows with what noise hides: `slope (s0 / s - 1)`, at most `most`, where a
    share `s` of the image is determined and `s0` would be without noise (`ops.determined_share`).
    """

    slope: float
    most: float

    def __call__(self, determined: Determined) -> jax.Array:
        share, noiseless = map(jnp.asarray, determined)
        hidden = noiseless / jnp.maximum(share, jnp.finfo(jnp.float32).tiny) - 1
        return jnp.clip(self.slope * hidden, 0, self.most)


FOR_ERROR, FOR_LPIPS = ByNoise(0.02, 3), ByNoise(0.05, 6)
"""What suits squared error, and LPIPS, which minds unlikely images more."""


class NearMean(Term):
    """`-log p(w)` of W+ as Marinescu et al. (2020) have it, in units of the squared error: the mean
    squared distance of each `w` from the mean of W, in units of W's spread, and 0.01 of the angles
    between layers.

    Attributes:
      by_noise: its weight; 1 without. Static.
    """

    by_noise: ByNoise | None = flax.struct.field(pytree_node=False, default=None)

    @property
    def asks_what_is_determined(self) -> bool:
        return self.by_noise is not None

    def prepare(self, prior: Prior, operator: Operator, data: Data) -> None:
        if not {"w_gaussian", "w_cosine"} <= {*prior.regularizers}:
            raise InputError(
                f"loss near_mean: {type(prior).__name__} has no W; expected a generator that has"
            )

    def __call__(self, target: Target, view: View) -> jax.Array:
        del target
        terms = view.prior.regularizers
        gaussian, cosine = (
            terms[name](view.prior, view.x.inputs, view.free) for name in ("w_gaussian", "w_cosine")
        )
        value = gaussian + ANGLES * cosine
        if self.by_noise is None:
            return value
        assert view.determined is not None  # it was asked for
        return self.by_noise(view.determined) * value

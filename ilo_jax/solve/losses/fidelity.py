"""Terms that compare the image with what is known of it (Section 4.2)."""

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops import Operator
from ilo_jax.solve.losses.base import Data, Loss, Target, View


class Mse(Loss):
    """`max(mean (A(x) - y)^2, floor)`: the squared error of the measurement.

    Attributes:
      floor: below it the measurement counts as met and its gradient is 0, as PULSE has it.
    """

    floor: jax.typing.ArrayLike = 0.0

    def __call__(self, target: Target, view: View) -> jax.Array:
        del target
        data = view.data
        error = view.operator.error(view.predicted, data.measurement, data.kept)
        return jnp.maximum(error, self.floor)


class DeadZone(Loss):
    """`mean max(|A(x) - y| - alpha, 0)`: linear beyond a tolerance.

    Attributes:
      alpha: the tolerance, in the units of the measurement.
    """

    alpha: jax.typing.ArrayLike = 0.1

    def __call__(self, target: Target, view: View) -> jax.Array:
        del target
        data = view.data
        if data.held_out is not None:
            raise InputError("loss dead_zone: expected no entries to be held out of it")
        beyond = jax.tree.map(
            lambda p, m: jnp.maximum(jnp.abs(p - m) - self.alpha, 0).ravel(),
            view.predicted,
            data.measurement,
        )
        return jnp.mean(jnp.concatenate(jax.tree.leaves(beyond)))


class Reference(Loss):
    """`mean (x - reference)^2`: the squared distance to an image, such as the last frame."""

    def prepare(self, operator: Operator, data: Data) -> jax.Array:
        del operator
        if data.reference is None:
            raise InputError("loss reference: no reference image; expected one")
        return data.reference

    def __call__(self, target: jax.Array, view: View) -> jax.Array:
        return jnp.mean((view.image - target) ** 2)

"""LPIPS between what is generated and what was measured, with two treatments of missing pixels
(Section 4.2)."""

import jax
import jax.numpy as jnp

from ilo_jax import lpips
from ilo_jax.errors import InputError
from ilo_jax.ops import Inpaint, Operator
from ilo_jax.solve.losses.base import Data, Loss, View


class Perceptual(Loss):
    """LPIPS of `A(x)` against `y`, at 256 px where they are larger. Pixels that inpainting misses
    are grey in both, and down-sampling blends them with those observed.

    Attributes:
      network: as `lpips.load` gives it.
    """

    network: lpips.Lpips

    def prepare(self, operator: Operator, data: Data) -> tuple[jax.Array, ...]:
        _check_all_is_seen(data)
        if not operator.measures_image:
            raise InputError(
                f"loss lpips: a measurement is {operator.measurement_shape}; "
                "expected an image (height, width, 1 or 3)"
            )
        return lpips.features(self.network, lpips.resized(data.measurement))

    def __call__(self, target: tuple[jax.Array, ...], view: View) -> jax.Array:
        found = lpips.features(self.network, lpips.resized(view.predicted))
        return lpips.distance(found, target)


class PerceptualFilled(Loss):
    """LPIPS of the image against itself with the observed pixels put in, for inpainting: where
    pixels are missing nothing is compared, nor blended with those observed.

    Attributes:
      network: as `lpips.load` gives it.
    """

    network: lpips.Lpips

    def prepare(self, operator: Operator, data: Data) -> jax.Array:
        """The observed pixels, 0 where one is missing."""
        _check_all_is_seen(data)
        if not isinstance(operator, Inpaint):
            raise InputError(
                f"loss lpips_filled: operator {type(operator).__name__} misses no pixels; "
                "expected inpainting, or the loss lpips"
            )
        return operator.restrict(data.measurement)

    def __call__(self, target: jax.Array, view: View) -> jax.Array:
        missing = view.image - view.operator(view.image)
        both = jnp.stack([view.image, target + missing])
        x, filled = zip(*lpips.features(self.network, lpips.resized(both)), strict=True)
        return lpips.distance(x, filled)


def _check_all_is_seen(data: Data) -> None:
    if data.held_out is not None:
        raise InputError(
            "loss lpips: looks at all entries of a measurement at once; expected the loss mse "
            "where some are held out"
        )

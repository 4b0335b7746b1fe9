"""Super-resolution of images that were made small by a filter that nobody knows."""

import jax.numpy as jnp
import numpy as np

from ilo_jax.ops.base import Measurement, Shape
from ilo_jax.ops.downsample import superresolution
from ilo_jax.ops.noise_estimate import estimate_mismatch
from ilo_jax.ops.noise_gaussian import Noisy, UnknownNoise


class UnknownFilter(UnknownNoise):
    """Averages of blocks, and as noise on them what another filter's values differ by, of each
    image as rough as it is."""

    def known(self, y: Measurement) -> Noisy:
        """`Noisy` with sigma by `estimate_mismatch`."""
        sigma = jnp.float32(estimate_mismatch(np.asarray(y)))
        return Noisy(self.image_shape, self.operator, sigma, clip=True)


def unknown_superresolution(image_shape: Shape, factor: int) -> UnknownFilter:
    """`superresolution` of small images where nobody knows the filter.

    Raises:
      InputError: `factor` does not divide H and W.
    """
    return UnknownFilter(image_shape, superresolution(image_shape, factor, "average"))

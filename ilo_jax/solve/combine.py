"""One image of several restarts: error or sharpness.

A mean has the least squared error, and is smooth where restarts disagree; a single restart is as
sharp as the generator's images, which LPIPS minds (Blau & Michaeli, *The perception-distortion
tradeoff*, CVPR 2018).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ilo_jax.ops import Measurement, Operator
from ilo_jax.priors import Prior
from ilo_jax.solve.consistent import consistent


def mean(images: np.ndarray) -> np.ndarray:
    """`[K, H, W, C]` -> `[H, W, C]`."""
    return images.mean(0)


def nearest(images: np.ndarray) -> np.ndarray:
    """The restart that is nearest to their mean, `[K, H, W, C]` -> `[H, W, C]`."""
    return images[((images - images.mean(0)) ** 2).mean((1, 2, 3)).argmin()]


COMBINE: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {"mean": mean, "nearest": nearest}
"""By name."""


def combined(
    prior: Prior,
    operator: Operator,
    measurement: Measurement,
    samples: Sequence[np.ndarray],
    moved: np.ndarray,
    combine: str,
) -> np.ndarray:
    """`[B, H, W, C]` of the restarts of each image, moved to its measurement where that is said.

    Args:
      samples, moved: as in `Choice`.
      combine: `mean`, or `nearest` for the restart that is nearest to it.
    """
    image = np.stack([COMBINE[combine](of_image) for of_image in samples])
    if moved.any():
        met = np.asarray(consistent(prior, operator, measurement, image))
        image = np.where(moved[:, None, None, None], met, image)
    return image

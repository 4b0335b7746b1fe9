"""One image of several restarts: error or sharpness.

A mean has the least squared error, and is smooth where restarts disagree; a single restart is as
sharp as the generator's images, which LPIPS minds (Blau & Michaeli, *The perception-distortion
tradeoff*, CVPR 2018).
"""

from collections.abc import Callable, Mapping

import numpy as np


def mean(images: np.ndarray) -> np.ndarray:
    """`[K, H, W, C]` -> `[H, W, C]`."""
    return images.mean(0)


def nearest(images: np.ndarray) -> np.ndarray:
    """The restart that is nearest to their mean, `[K, H, W, C]` -> `[H, W, C]`."""
    return images[((images - images.mean(0)) ** 2).mean((1, 2, 3)).argmin()]


COMBINE: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {"mean": mean, "nearest": nearest}
"""By name."""

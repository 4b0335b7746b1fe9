"""How much noise an image has: Gaussian, clipped, or by a filter that nobody knows."""

import numpy as np

_OF_MEDIAN = 0.6745
"""Of standard normal numbers, the median magnitude."""

_OF_ROUGHNESS = 0.0068
"""Of the mean square of a small image's Laplacian, the mean squared difference between its filter
and averages of blocks: the mean of bilinear, bicubic and Lanczos, from 0.0026 (bicubic, by 2) to
0.0167 (bilinear, by 2), on radiographs that are not held out (`benchmarks.filters`)."""

_ITERATIONS = 8
_WINDOW = 5


def estimate_sigma(y: np.ndarray) -> float:
    """The standard deviation of Gaussian noise in an image `[h, w, C]` that is clipped to [-1, 1].

    The median magnitude of what a high-pass filter leaves (Donoho & Johnstone, 1994), in the half
    of the image that is nearest to mid-grey, where least is clipped; local means tell where that
    is, so that no noise is chosen by its own size. What is clipped all the same is corrected: sigma
    is what noise on the local means must have, clipped, to leave as much.

    Args:
      y: of at least 5 x 5 pixels; smaller ones are taken for 0.
    """
    from scipy.ndimage import uniform_filter  # late: it changes the warnings of the process

    if min(y.shape[:2]) < _WINDOW:
        return 0.0
    y = np.asarray(y, np.float64)
    means = uniform_filter(y, _WINDOW, axes=(0, 1))
    grey = np.abs(means[1:-1, 1:-1])
    chosen = grey <= np.median(grey)

    def left(noisy: np.ndarray) -> float:
        # Immerkaer (1996): blind to what is linear along rows or columns, and of norm 1.
        high = np.diff(np.diff(noisy, 2, axis=0), 2, axis=1) / 6
        return float(np.median(np.abs(high[chosen]))) / _OF_MEDIAN

    found = sigma = left(y)
    if not found:
        return 0.0
    noise = np.random.default_rng(1996).normal(size=(4, *y.shape))
    for _ in range(_ITERATIONS):
        simulated = np.mean([left(np.clip(means + sigma * n, -1, 1)) for n in noise])
        sigma = min(sigma * found / float(simulated), 8.0)
    return sigma


def estimate_mismatch(y: np.ndarray) -> float:
    """Root mean square of what a small image `[h, w, C]` is off the averages of blocks, if it was
    made by a filter that nobody knows: filters differ where an image is rough."""
    y = np.asarray(y, np.float64)
    padded = np.pad(y, ((1, 1), (1, 1), (0, 0)), mode="edge")
    roughness = np.diff(padded, 2, axis=0)[:, 1:-1] + np.diff(padded, 2, axis=1)[1:-1]
    return float(np.sqrt(_OF_ROUGHNESS * np.mean(roughness**2)))

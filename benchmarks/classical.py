"""Classical methods, without a generator: what a user has at hand today.

`BASELINES` has them by name. They know, as the generator does, when the three channels are equal,
as a radiograph's are: then they reconstruct one, from all that was measured. `WEIGHTS` were chosen
on images of the training set by

    python -m benchmarks.classical --data chest_xray_64.npz

which prints them. The data set is not part of the repository; `benchmarks/quality.py` says what
it is.
"""

import argparse
import dataclasses
import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pywt
from PIL import Image
from scipy.interpolate import griddata
from scipy.stats import norm
from skimage.restoration import (
    denoise_nl_means,
    denoise_tv_chambolle,
    denoise_wavelet,
    inpaint_biharmonic,
)

from benchmarks.methods import PANELS, Case, Solver, reconstruct, trained_on
from ilo_jax.app.page.classical import Prox, fista, total_variation
from ilo_jax.errors import InputError
from ilo_jax.ops import (
    Downsample,
    Inpaint,
    LinearOperator,
    Measurement,
    Noisy,
    Operator,
)
from ilo_jax.priors import Prior

WAVELET, LEVELS = "sym4", 4

Channels = Callable[..., np.ndarray]
"""`(operator, measurement, grey) -> [B, H, W, C]`, and `weight` where weights are tried; one
channel if all are equal (`grey`)."""


def each_channel(of_one: Callable[..., np.ndarray]) -> Channels:
    """Of what reconstructs one channel, `[B, H, W]`, of measurements that are images: of all their
    channels together if they are equal."""

    def solve(operator: Any, measurement: Any, grey: bool, **weight: float) -> np.ndarray:
        y = np.asarray(measurement)
        parts = [y] if grey else np.split(y, y.shape[-1], -1)
        return np.stack([of_one(operator, part, **weight) for part in parts], -1)

    return solve


def biharmonic(operator: Inpaint, measurement: np.ndarray) -> np.ndarray:
    """Inpainting by the biharmonic equation."""
    missing = np.asarray(operator.mask[..., 0]) == 0
    # One mask for all: the batch is the channels of one image, whose equation is solved once.
    images = np.moveaxis(measurement[..., 0].astype(np.float64), 0, -1)
    return np.moveaxis(inpaint_biharmonic(images, missing, channel_axis=-1), -1, 0)


def linear(operator: Inpaint, measurement: np.ndarray) -> np.ndarray:
    """Inpainting by linear interpolation on the Delaunay triangulation of the observed pixels;
    beyond their convex hull the nearest one counts."""
    mask = np.asarray(operator.mask[..., 0]) > 0
    images = np.moveaxis(measurement[..., 0], 0, -1)
    known, values = np.argwhere(mask), images[mask]
    everywhere = np.argwhere(np.ones_like(mask))
    nearest = griddata(known, values, everywhere, "nearest")
    inside = griddata(known, values, everywhere, "linear")
    found = np.where(np.isnan(inside), nearest, inside)
    return np.moveaxis(found.reshape(images.shape), -1, 0)


def bicubic(operator: Downsample, measurement: np.ndarray) -> np.ndarray:
    """Super-resolution by bicubic up-sampling."""
    height, width, _ = operator.image_shape
    return np.stack(
        [
            np.asarray(Image.fromarray(y).resize((width, height), Image.Resampling.BICUBIC))
            for y in np.ascontiguousarray(measurement[..., 0])
        ]
    )


def non_local_means(noisy: np.ndarray, sigma: float, weight: float) -> np.ndarray:
    """Denoising of one channel; the strength `h` is `weight` times sigma."""
    return denoise_nl_means(
        noisy, patch_size=5, patch_distance=11, h=weight * sigma, sigma=sigma, fast_mode=True
    )


def bayes_shrink(noisy: np.ndarray, sigma: float) -> np.ndarray:
    """Denoising of one channel by soft thresholds of wavelet coefficients."""
    return denoise_wavelet(noisy, sigma=sigma, wavelet=WAVELET, method="BayesShrink")


def tv_chambolle(noisy: np.ndarray, sigma: float, weight: float) -> np.ndarray:
    """Denoising of one channel by total variation, weighed with `weight` times sigma."""
    return denoise_tv_chambolle(noisy, weight=weight * sigma)


def bm3d(noisy: np.ndarray, sigma: float) -> np.ndarray:
    """Denoising of one channel by block matching (Dabov et al., 2007), by the authors' package,
    which is for non-commercial use and no dependency of anything here."""
    from bm3d import bm3d as denoise  # pyright: ignore[reportMissingImports]

    return denoise(noisy, sigma)


def denoiser(one: Callable[..., np.ndarray], told: bool = False) -> Channels:
    """Denoises the mean of channels that are equal, in which sigma is less by the root of their
    number.

    Args:
      told: of clipping: what was found is taken for the mean of clipped noisy values, and the value
        that has this mean in its place.
    """

    def denoise(operator: Noisy, measurement: np.ndarray, **weight: float) -> np.ndarray:
        sigma, channels = float(operator.sigma), measurement.shape[-1]
        noisy = measurement.mean(-1)
        found = np.stack([one(y, sigma / channels**0.5, **weight) for y in noisy])
        if not told:
            return found
        values = np.linspace(-1, 1, 1001)
        return np.interp(found, mean_of_clipped(values, sigma), values)

    return each_channel(denoise)


def mean_of_clipped(x: np.ndarray, sigma: float) -> np.ndarray:
    """Of `clip(x + sigma n, -1, 1)`, which grows with `x`."""
    low, high = (-1 - x) / sigma, (1 - x) / sigma
    inside = norm.cdf(high) - norm.cdf(low)
    drawn = sigma * (norm.pdf(low) - norm.pdf(high))
    return x * inside + drawn + norm.sf(high) - norm.cdf(low)


def _filters(n: int) -> np.ndarray:
    """One level of the wavelet transform of `n` values, an orthogonal matrix: low half, high
    half."""
    return np.concatenate(pywt.dwt(np.eye(n), WAVELET, "periodization", axis=0))


def _transform(x: jax.Array, inverse: bool) -> jax.Array:
    """Wavelet transform of an image, all levels in one array, or back."""
    sizes = [(x.shape[0] >> i, x.shape[1] >> i) for i in range(LEVELS)]
    for h, w in reversed(sizes) if inverse else sizes:
        rows, columns = jnp.asarray(_filters(h), x.dtype), jnp.asarray(_filters(w), x.dtype)
        part = x[:h, :w]
        part = rows.T @ part @ columns if inverse else rows @ part @ columns.T
        x = x.at[:h, :w].set(part)
    return x


def wavelet_l1(x: jax.Array, weight: jax.Array, state: None) -> tuple[jax.Array, Any]:
    """Of the l1 norm of an orthogonal wavelet transform, less its coarsest part."""
    coefficients = _transform(x, inverse=False)
    h, w = (n >> LEVELS for n in x.shape)
    shrunk = jnp.sign(coefficients) * jnp.maximum(jnp.abs(coefficients) - weight, 0)
    return _transform(shrunk.at[:h, :w].set(coefficients[:h, :w]), inverse=True), state


def penalized(prox: Prox, initial_state: Callable[[Any], Any]) -> Channels:
    """Least squares and a weighted penalty of each channel, from grey on."""
    of_channels = jax.vmap(prox, (-1, None, -1), -1)

    @functools.partial(jax.jit, static_argnames="grey")
    def solve(
        operator: LinearOperator, measurement: Measurement, grey: bool, weight: float
    ) -> jax.Array:
        height, width, channels = operator.image_shape
        shape = (height, width, 1 if grey else channels)

        def forward(x: jax.Array) -> Measurement:
            return operator(jnp.broadcast_to(x, operator.image_shape))

        def one(y: Measurement) -> jax.Array:
            return fista(forward, y, of_channels, weight, jnp.zeros(shape), initial_state(shape))

        return jax.vmap(one)(measurement)

    def found(
        operator: LinearOperator, measurement: Measurement, grey: bool, weight: float
    ) -> np.ndarray:
        return np.asarray(solve(operator, measurement, grey=grey, weight=weight))

    return found


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A row of the table.

    Attributes:
      task: the one that it serves.
      channels: what reconstructs.
      tried: weights.
    """

    task: str
    channels: Channels
    tried: tuple[float, ...] = ()


_STRENGTHS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0)
_PENALTIES = (1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)
BASELINES = {
    "biharmonic": Baseline("inpaint", each_channel(biharmonic)),
    "linear": Baseline("inpaint", each_channel(linear)),
    "bicubic": Baseline("superres", each_channel(bicubic)),
    "non-local means": Baseline("denoise", denoiser(non_local_means), _STRENGTHS),
    "wavelets, BayesShrink": Baseline("denoise", denoiser(bayes_shrink)),
    "TV, Chambolle": Baseline("denoise", denoiser(tv_chambolle), _STRENGTHS),
    "non-local means, told": Baseline("denoise", denoiser(non_local_means, told=True), _STRENGTHS),
    "wavelets, told": Baseline("denoise", denoiser(bayes_shrink, told=True)),
    "TV, told": Baseline("denoise", denoiser(tv_chambolle, told=True), _STRENGTHS),
    "BM3D": Baseline("denoise", denoiser(bm3d)),
    "BM3D, told": Baseline("denoise", denoiser(bm3d, told=True)),
    "TV, FISTA": Baseline(
        "compress", penalized(total_variation, lambda shape: jnp.zeros((2, *shape))), _PENALTIES
    ),
    "wavelets l1, FISTA": Baseline(
        "compress", penalized(wavelet_l1, lambda shape: None), _PENALTIES
    ),
}

WEIGHTS: dict[str, dict[float, float]] = {
    "non-local means": {5.0: 0.8, 10.0: 0.8, 25.0: 0.6, 50.0: 0.4, 100.0: 0.05, 256.0: 0.05},
    "TV, Chambolle": {5.0: 0.4, 10.0: 0.4, 25.0: 0.6, 50.0: 0.8, 100.0: 0.6, 256.0: 0.6},
    "non-local means, told": {5.0: 1.0, 10.0: 0.8, 25.0: 0.6, 50.0: 0.4, 100.0: 0.05, 256.0: 0.05},
    "TV, told": {5.0: 0.4, 10.0: 0.4, 25.0: 0.6, 50.0: 0.8, 100.0: 1.5, 256.0: 1.25},
    "TV, FISTA": {0.01: 0.1, 0.02: 0.03, 0.05: 0.01, 0.1: 0.01, 0.25: 0.003, 0.5: 0.0001},
    "wavelets l1, FISTA": {0.01: 0.3, 0.02: 1.0, 0.05: 0.3, 0.1: 0.01, 0.25: 0.003, 0.5: 0.0001},
}
"""By baseline and by the task's number: sigma, or the fraction of measurements."""


def solve_classical(
    name: str,
    case: Case,
    operator: Operator,
    measurement: Measurement,
    grey: bool = True,
    weight: float | None = None,
) -> np.ndarray:
    """`[B, H, W, C]` float32 in [-1, 1].

    Args:
      grey: whether all channels of the truth are equal.
      weight: instead of the one in `WEIGHTS`.

    Raises:
      InputError: another task than the baseline's, or a number without a weight.
    """
    baseline = BASELINES[name]
    if case.task != baseline.task:
        raise InputError(f"{name}: for {baseline.task}, got {case.task}")
    chosen = {}
    if baseline.tried:
        (level,) = case.options.values()
        if weight is None and level not in WEIGHTS[name]:
            levels = ", ".join(f"{k:g}" for k in WEIGHTS[name])
            raise InputError(f"{name}: no weight for {level:g}; expected one of {levels}")
        chosen["weight"] = WEIGHTS[name][level] if weight is None else weight
    channels = baseline.channels(operator, measurement, grey, **chosen)
    found = np.clip(channels, -1, 1).astype(np.float32)
    return np.broadcast_to(found, (*found.shape[:-1], operator.image_shape[-1]))


def solver(prior: Prior, name: str, case: Case) -> Solver | None:
    """The solver of a cell; None where the baseline is for another task, or its package is not
    there."""
    if BASELINES[name].task != case.task or not is_installed(name):
        return None
    return functools.partial(_solve, name, None, prior.facts.grey)


def is_installed(name: str) -> bool:
    """Whether the package of a baseline is."""
    return not name.startswith("BM3D") or importlib.util.find_spec("bm3d") is not None


def _solve(
    name: str,
    weight: float | None,
    grey: bool,
    case: Case,
    operator: Operator,
    measurement: Measurement,
    keys: jax.Array,
) -> np.ndarray:
    del keys
    return solve_classical(name, case, operator, measurement, grey, weight)


def best_weight(name: str, case: Case, truth: jax.Array, seed: int) -> float:
    """Of those tried, the one with the best mean PSNR."""

    def psnr(weight: float) -> float:
        solver = functools.partial(_solve, name, weight, True)
        return reconstruct(case, solver, truth, seed).psnr_db.mean()

    return max(BASELINES[name].tried, key=psnr)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `train`, uint8 [N, 64, 64]")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    tried = [name for name, baseline in BASELINES.items() if baseline.tried]
    parser.add_argument("--methods", nargs="+", choices=tried, default=tried)
    args = parser.parse_args()

    truth = trained_on(args.data, args.images)
    for name in args.methods:
        chosen = {
            level: best_weight(name, case, truth, args.seed)
            for case in PANELS[BASELINES[name].task].values()
            for level in case.options.values()
        }
        print(f"{name!r}: {chosen},", flush=True)


if __name__ == "__main__":
    main()

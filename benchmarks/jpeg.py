"""What the loss knows of JPEG's rounding: squared error of the pixels, coefficients weighted by
their steps, intervals.

    python -m benchmarks.jpeg --data chest_xray_64.npz

ILO in four rounds on held-out radiographs by `chest64`, compressed by Pillow; mean PSNR in dB at
the end, and of the files themselves. The data set is not part of the repository;
`benchmarks/quality.py` says what it is.
"""

import argparse
import io

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import ilo_jax
from benchmarks.likelihood import psnr
from benchmarks.methods import held_out
from ilo_jax import ops, solve
from ilo_jax.files.images import from_uint8, to_uint8
from ilo_jax.files.jpeg import compression_by
from ilo_jax.ops.jpeg import BLOCK, Jpeg, transformed
from ilo_jax.ops.likelihood import log_phi

SPREAD = 10 / 127.5
"""Of what the generator gets wrong of a coefficient: 10 grey values."""


class ByCoefficient(Jpeg):
    """With a loss of each coefficient of luma; the generator's images are grey."""

    def error(self, predicted, measured, where=None):
        difference = transformed(jnp.mean(predicted - measured, -1, keepdims=True))[..., 0]
        tiles = tuple(n // BLOCK for n in difference.shape)
        return jnp.mean(self.of_coefficients(difference, jnp.tile(self.luma, tiles) / 127.5))

    def of_coefficients(self, difference: jax.Array, step: jax.Array) -> jax.Array:
        raise NotImplementedError


class ByStep(ByCoefficient):
    def of_coefficients(self, difference, step):
        return difference**2 * jnp.mean(step**2) / step**2


class BySpread(ByCoefficient):
    """Weighted by the variance of rounding and of what the generator gets wrong."""

    def of_coefficients(self, difference, step):
        weight = 1 / (step**2 / 12 + SPREAD**2)
        return difference**2 * weight / jnp.mean(weight)


class Interval(ByCoefficient):
    def of_coefficients(self, difference, step):
        return jnp.maximum(jnp.abs(difference) - step / 2, 0) ** 2


class Likelihood(ByCoefficient):
    """Of the interval, under Gaussian errors of the generator."""

    def of_coefficients(self, difference, step):
        # log(Phi(a) - Phi(b)), a > b and a + b >= 0 by symmetry.
        far = jnp.abs(difference) / SPREAD
        half = step / 2 / SPREAD
        high, low = log_phi(half - far), log_phi(-half - far)
        return -2 * SPREAD**2 * (high + jnp.log1p(-jnp.exp(jnp.minimum(low - high, -1e-6))))


LOSSES = {
    "squared error": Jpeg,
    "by step": ByStep,
    "by step and spread": BySpread,
    "interval": Interval,
    "likelihood of the interval": Likelihood,
}


def compressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """uint8 `[H, W, C]`, as a file has it."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(
        file, "JPEG", quality=quality
    )
    return np.asarray(Image.open(file)).reshape(pixels.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `test`, uint8 [N, 64, 64]")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=50, help="of a round")
    parser.add_argument("--quality", type=int, nargs="+", default=[18, 12, 6])
    args = parser.parse_args()

    prior = ilo_jax.load("chest64")
    truth = held_out(args.data, args.images)
    print(f"| quality | file | {' | '.join(LOSSES)} |\n{(2 + len(LOSSES)) * '|---'}|")
    for quality in args.quality:
        decoded = [compressed(pixels, quality) for pixels in to_uint8(np.asarray(truth))]
        measurement = jnp.asarray(from_uint8(np.stack(decoded)))
        known = ops.jpeg(prior.image_shape, *compression_by(quality))
        cells = [f"{psnr(measurement, truth):.2f}"]
        for kind in LOSSES.values():
            operator = kind(**{n: getattr(known, n) for n in known.__dataclass_fields__})
            method = solve.ilo(prior, (args.steps,) * 4)
            found = solve.reconstruct(prior, operator, measurement, jax.random.key(1), method)
            cells.append(f"{psnr(found.image, truth):.2f}")
            print(cells[-1], flush=True)
        print(f"| {quality} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

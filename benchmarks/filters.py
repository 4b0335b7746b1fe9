"""By how much filters of down-sampling differ from averages, and what of a small image tells.

    python -m benchmarks.filters --data chest_xray_64.npz

Root mean squared difference in grey values, and its square over that of `ops.estimate_mismatch`,
with the coefficient of variation over images. Those are of the training set, which is not part of
the repository; `benchmarks/quality.py` says what it is.
"""

import argparse

import numpy as np
from PIL import Image

from ilo_jax.ops import estimate_mismatch

FILTERS = ("BILINEAR", "BICUBIC", "LANCZOS")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `train`, uint8 [N, 64, 64]")
    parser.add_argument("--images", type=int, default=64)
    args = parser.parse_args()

    pixels = np.load(args.data)["train"].astype(np.float32)
    chosen = pixels[:: max(len(pixels) // args.images, 1)][: args.images]
    print("| factor | filter | difference | over the estimate | variation |\n|---|---|---|---|---|")
    for factor in (2, 4, 8, 16):
        for name in FILTERS:
            found = np.array([_compared(image, factor, name) for image in chosen])
            squared, estimated = np.square(found).T
            ratio = squared / estimated
            rms, variation = np.sqrt(squared.mean()), ratio.std() / ratio.mean()
            print(f"| {factor} | {name} | {rms:.2f} | {ratio.mean():.2f} | {variation:.2f} |")


def _compared(image: np.ndarray, factor: int, name: str) -> tuple[float, float]:
    size = (image.shape[1] // factor, image.shape[0] // factor)
    small, average = (
        np.asarray(Image.fromarray(image).resize(size, Image.Resampling[f])) for f in (name, "BOX")
    )
    return float(np.sqrt(np.mean((small - average) ** 2))), estimate_mismatch(small[..., None])


if __name__ == "__main__":
    main()

"""Stochastic Noise Addition, the paper's Table 1: denoising at sigma 30 with and without it, of
noise that is clipped, as the paper's is, and of noise that is not.

    python -m benchmarks.sna --data chest_xray_64.npz

The data set is not part of the repository; `benchmarks/quality.py` says what it is.
"""

import argparse

import jax
import jax.numpy as jnp

from benchmarks.methods import VARIANTS, Case, held_out, pose, prior, psnr_db, solver

CASE = Case("denoise", {"sigma": 30.0})
NAMES = ("CSGM", "ILO", "CSGM, both", "ILO, both")
HEADER = "| | without SNA | with SNA | gain, dB |\n|---|---|---|---|"


def line(variant: str, without: float, with_sna: float) -> str:
    """A row of the table, from mean PSNR."""
    return f"| {variant} | {without:.2f} | {with_sna:.2f} | {with_sna - without:+.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `test`, uint8 [N, 64, 64]")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=NAMES)
    args = parser.parse_args()

    truth = held_out(args.data, args.images)
    noisy, _, keys = pose(CASE, truth, args.seed)
    print(HEADER)
    for variant in args.variants:
        for clip in (True, False):
            operator = noisy.replace(clip=clip)
            y = operator.measure(jax.random.key(args.seed), truth)
            psnr = []
            for sna in (False, True):
                by = solver(prior(), CASE, VARIANTS[variant], sna)
                assert by is not None  # LPIPS is defined
                image = jnp.clip(jnp.asarray(by(CASE, operator, y, keys)), -1, 1)
                psnr.append(float(psnr_db(image, truth).mean()))
            print(line(f"{variant}, {'clipped' if clip else 'not'}", *psnr), flush=True)


if __name__ == "__main__":
    main()

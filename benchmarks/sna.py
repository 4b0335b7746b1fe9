"""Stochastic Noise Addition, the paper's Table 1: denoising at sigma 30 with and without it.

    python -m benchmarks.sna --data chest_xray_64.npz

The data set is not part of the repository; `benchmarks/quality.py` says what it is.
"""

import argparse

from benchmarks.methods import VARIANTS, Case, held_out, prior, reconstruct, solver

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
    print(HEADER)
    for variant in args.variants:
        psnr = []
        for sna in (False, True):
            by = solver(prior(), CASE, VARIANTS[variant], sna)
            assert by is not None  # LPIPS is defined
            psnr.append(reconstruct(CASE, by, truth, args.seed).psnr_db.mean())
        print(line(variant, *psnr), flush=True)


if __name__ == "__main__":
    main()

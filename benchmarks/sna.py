"""Stochastic Noise Addition, the paper's Table 1: denoising at sigma 30 with and without it.

    python -m benchmarks.sna --data chest_xray_64.npz

The data set is not part of the repository; `benchmarks/quality.py` says what it is.
"""

import argparse

from benchmarks.methods import VARIANTS, Case, held_out, reconstruct, settings

CASE = Case("denoise", {"sigma": 30.0}, "lpips")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `test`, uint8 [N, 64, 64]")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    names = ["CSGM", "CSGM, both", "ILO", "ILO, no balls", "ILO, both"]
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=names)
    args = parser.parse_args()

    truth = held_out(args.data, args.images)
    print("| | without SNA | with SNA | gain, dB |\n|---|---|---|---|")
    for variant in args.variants:
        chosen = settings(CASE, variant)
        assert chosen is not None
        without, with_sna = (
            reconstruct(CASE, *chosen, truth, args.seed, sna).psnr_db.mean()
            for sna in (False, True)
        )
        gain = with_sna - without
        print(f"| {variant} | {without:.2f} | {with_sna:.2f} | {gain:+.2f} |", flush=True)


if __name__ == "__main__":
    main()

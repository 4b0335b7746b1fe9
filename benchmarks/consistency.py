"""How much of the noise an image has that was fitted to it, and what the last step gains.

    python -m benchmarks.consistency --data chest_xray_64.npz

Denoising of images of the training set by ILO, one run and the mean of four: PSNR before and after
`ops.make_batch_consistent`, and after all of `solve.consistent`; and the share of the noise in what
is determined that the image has, of which the step supposes a half. The data set is not part of the
repository; `benchmarks/quality.py` says what it is.
"""

import argparse

import jax
import jax.numpy as jnp

from benchmarks.methods import PANELS, pose, prior, psnr_db, trained_on
from ilo_jax.app.cli import start_quickly
from ilo_jax.ops import make_batch_consistent
from ilo_jax.solve import consistent, ilo, sweep
from ilo_jax.solve.batch import each_determined
from ilo_jax.solve.candidates import knowing_noise


def fitted(image: jax.Array, measured: jax.Array, truth: jax.Array, variance: float) -> float:
    """Degrees of freedom a value: of an image that is off by `b + n` where it has the noise, and by
    `b` elsewhere."""
    error = jnp.mean((image - truth) ** 2)
    residual = jnp.mean((measured - image) ** 2)
    return float((error - residual + variance) / (2 * variance))


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `train`, uint8 [N, 64, 64]")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=50, help="of each of the four rounds")
    parser.add_argument("--sigma", type=float, nargs="+", default=(5.0, 10.0, 25.0, 50.0))
    args = parser.parse_args()

    start_quickly()
    truth = trained_on(args.data, args.images)
    method = knowing_noise(ilo(prior(), [args.steps] * 4))
    print("| sigma | of | before, dB | after, dB | alike, dB | fitted, of what is determined |")
    print("|---|---|---|---|---|---|")
    for sigma in args.sigma:
        operator, y, keys = pose(PANELS["denoise"][f"denoise {sigma:g}"], truth, 0)
        found = sweep(prior(), operator, y, keys, [method], restarts=4, batch_size=2 * len(keys))
        determined = each_determined(operator, y, prior().facts)
        share = float(determined.share[0])
        restarts = jnp.clip(found.image[0], -1, 1)
        for name, image in (("one run", restarts[0]), ("four", restarts.mean(0))):
            after = make_batch_consistent(operator, y, image, None, determined, grey=True)
            shown = image, jnp.clip(after, -1, 1), consistent(prior(), operator, y, image)
            psnr = " | ".join(f"{psnr_db(x, truth).mean().item():.2f}" for x in shown)
            grey = (x.mean(-1) for x in (image, y, truth))  # a grey value is measured three times
            part = fitted(*grey, variance=float(jnp.asarray(operator.noise_variance)) / 3) / share
            print(f"| {sigma:g} | {name} | {psnr} | {part:.2f} |")


if __name__ == "__main__":
    main()

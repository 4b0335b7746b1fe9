"""What the loss knows of noise that is clipped: its likelihood, the squared error, SNA.

    python -m benchmarks.likelihood --data chest_xray_64.npz

ILO in four rounds on held-out radiographs by `chest64`; mean PSNR in dB after each round. The data
set is not part of the repository; `benchmarks/quality.py` says what it is.
"""

import argparse

import jax
import jax.numpy as jnp

import ilo_jax
from benchmarks.methods import held_out
from ilo_jax import ops, solve


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `test`, uint8 [N, 64, 64]")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=50, help="of a round")
    parser.add_argument("--sigma", type=float, nargs="+", default=[25.0, 100.0, 256.0])
    args = parser.parse_args()

    prior = ilo_jax.load("chest64")
    truth = jnp.asarray(held_out(args.data, args.images))
    losses = {"likelihood": (True, False), "squared error": (False, False), "SNA": (True, True)}
    print(f"| sigma | {' | '.join(losses)} |\n{(1 + len(losses)) * '|---'}|")
    for sigma in args.sigma:
        clipped = ops.denoising(prior.image_shape, sigma)
        measurement = jax.jit(lambda x, a=clipped: a.measure(jax.random.key(5), x))(truth)
        cells = []
        for known, sna in losses.values():
            method = solve.ilo(prior, (args.steps,) * 4, sna=sna)
            operator = clipped.replace(clip=known)
            found = solve.reconstruct(prior, operator, measurement, jax.random.key(1), method)
            cells.append(" ".join(f"{psnr(r.image, truth):.2f}" for r in found.rounds))
        print(f"| {sigma:g} | {' | '.join(cells)} |", flush=True)


def psnr(image: jax.Array, truth: jax.Array) -> float:
    """Mean over images, in dB."""
    error = jnp.mean((jnp.clip(image, -1, 1) - truth) ** 2, (1, 2, 3))
    return float(jnp.mean(10 * jnp.log10(4 / error)))


if __name__ == "__main__":
    main()

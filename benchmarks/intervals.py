"""How well intervals are calibrated: the share of held-out radiographs' pixels within 90 %
intervals of restarts, of Langevin dynamics and of a Gaussian that is fitted, and what each costs.

    python -m benchmarks.intervals --data chest_xray_64.npz

An interval is the mean of the draws and 1.645 of their standard deviations to both sides. The last
two begin at CSGM's solution, whose time is counted. The data set is not part of the repository;
`benchmarks/quality.py` says what it is.
"""

import argparse
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import ilo_jax
from ilo_jax import ops, solve
from ilo_jax.files.images import from_uint8
from ilo_jax.solve import Variables
from ilo_jax.solve.variational import Gaussian

WIDTH = 1.645  # of a normal distribution, 90 %


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `test`, uint8 [N, 64, 64]")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--steps", type=int, default=400, help="of each search, of each burn-in")
    parser.add_argument("--every", type=int, default=50, help="steps between two draws of a chain")
    parser.add_argument("--rate", type=float, default=1e-6, help="of the chain")
    parser.add_argument("--sigmas", type=float, nargs="+", default=[10.0, 25.0, 50.0])
    args = parser.parse_args()

    prior = ilo_jax.load("chest64")
    pixels = np.load(args.data)["test"][: args.images]
    truth = np.repeat(from_uint8(pixels)[..., None], 3, -1)
    print("| noise | draws of | inside 90 % | half width | PSNR of their mean | seconds |")
    print("|---|---|---|---|---|---|")
    for sigma in args.sigmas:
        operator = ops.denoising(prior.image_shape, sigma)
        noisy = operator.measure(jax.random.key(1), jnp.asarray(truth))
        for name, draw in draws_of(prior, operator, noisy, args).items():
            began = time.perf_counter()
            images = np.clip(np.asarray(draw()), -1, 1)
            seconds = time.perf_counter() - began
            mean, half = images.mean(0), WIDTH * images.std(0)
            inside = np.mean(np.abs(truth - mean) <= half)
            psnr = np.mean(10 * np.log10(4 / np.mean((mean - truth) ** 2, (1, 2, 3))))
            numbers = f"{inside:.2f} | {half.mean():.3f} | {psnr:.2f} | {seconds:.0f}"
            print(f"| {sigma:g} | {name} | {numbers} |", flush=True)


def draws_of(prior, operator, noisy, args) -> dict[str, Callable[[], jax.Array]]:
    """By name, what makes images `[draws, N, H, W, C]`."""
    render = jax.jit(jax.vmap(jax.vmap(lambda x: solve.image(prior, x))))

    def begun() -> Variables:
        method = solve.csgm(prior, args.steps)
        return ilo_jax.reconstruct(prior, operator, noisy, jax.random.key(2), method).x

    def restarts() -> jax.Array:
        method = solve.ilo(prior, [args.steps // 4] * 4)
        keys = jax.random.split(jax.random.key(3), args.draws)
        return jnp.stack(
            [ilo_jax.reconstruct(prior, operator, noisy, key, method).image for key in keys]
        )

    def chain() -> jax.Array:
        total = args.steps + args.draws * args.every
        x = solve.chain(
            *(prior, operator, noisy, jax.random.key(4)),
            solve.langevin(prior, total, args.rate),
            burn_in=args.steps,
            draws=args.draws,
            every=args.every,
            initial=begun(),
        )
        return render(x)

    def fitted() -> jax.Array:
        gaussian, x = solve.Variational(prior), begun()
        keys = jax.random.split(jax.random.key(5), len(noisy))
        start: Gaussian = jax.vmap(gaussian.starts()["random"])(keys)
        initial = Variables(start._replace(mean=x.inputs), {})
        method = solve.variational(gaussian, args.steps)
        found = ilo_jax.reconstruct(
            gaussian, operator, noisy, jax.random.key(6), method, initial=initial
        )
        return render(gaussian.samples(found.x, jax.random.key(7), args.draws))

    return {"restarts": restarts, "a Langevin chain": chain, "a Gaussian fitted": fitted}


if __name__ == "__main__":
    main()

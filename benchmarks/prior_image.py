"""An earlier image of the same subject: held-out radiographs with a change drawn into them, from
5 % Gaussian measurements, without and with the unchanged one.

    python -m benchmarks.prior_image --data chest_xray_64.npz

The change is a soft disc of 10 px, brighter where the image is dark and darker where it is bright.
The data set is not part of the repository; `benchmarks/quality.py` says what it is.
"""

import argparse
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

import ilo_jax
from ilo_jax import ops, solve
from ilo_jax.files.images import from_uint8
from ilo_jax.stylegan2 import Inputs


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", required=True, help=".npz with `test`, uint8 [N, 64, 64]")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100, help="of each of four rounds")
    parser.add_argument("--share", type=float, default=0.05, help="measurements a pixel")
    parser.add_argument("--latents", type=float, nargs="+", default=[20.0], help="l1 radii")
    parser.add_argument("--noises", type=float, default=5.0, help="l1 radius of each noise map")
    parser.add_argument(
        "--scales", type=float, nargs="+", default=[1.0], help="of the generator's own radii"
    )
    args = parser.parse_args()

    prior = ilo_jax.load("chest64")
    pixels = np.load(args.data)["test"][: args.images]
    before = np.repeat(from_uint8(pixels)[..., None], 3, -1)
    truth, inside = changed(before)
    shape = prior.image_shape
    k_operator, k_noise, k_invert, k_solve = jax.random.split(jax.random.key(0), 4)
    operator = ops.gaussian_matrix(k_operator, shape, round(args.share * np.prod(shape)))
    measurement = operator.measure(k_noise, jnp.asarray(truth))
    method = solve.ilo(prior, [args.steps] * 4)
    identity = ops.Identity(shape)
    earlier = ilo_jax.reconstruct(prior, identity, jnp.asarray(before), k_invert, method)

    def row(name: str, image: np.ndarray) -> None:
        square = (np.clip(image, -1, 1) - truth) ** 2
        psnr = 10 * np.log10(4 / square.mean((1, 2, 3)))
        error = np.sqrt([s[where].mean() for s, where in zip(square, inside, strict=True)])
        print(f"| {name} | {psnr.mean():.2f} | {error.mean():.3f} |", flush=True)

    print("| | PSNR, dB | error inside the change |\n|---|---|---|")
    row("the earlier image, inverted", np.asarray(earlier.image))
    alone = ilo_jax.reconstruct(prior, operator, measurement, k_solve, method)
    row("without it", np.asarray(alone.image))
    for scale in args.scales:
        for radius in args.latents:
            balls = Inputs(latents=radius, w=None, w_plus=None, styles=None, noises=args.noises)
            wider = method.replace(radii=jax.tree.map(lambda r, s=scale: s * r, method.radii))
            near = solve.around(prior, wider, radii_inputs=balls)
            found = ilo_jax.reconstruct(
                *(prior, operator, measurement, k_solve, near), initial=earlier.x, center=earlier.x
            )
            row(f"with it, latents {radius:g}, radii x {scale:g}", np.asarray(found.image))


def changed(images: np.ndarray) -> tuple[np.ndarray, Sequence[np.ndarray]]:
    """Images `[N, H, W, C]` with a disc each, and where it is."""
    random, side = np.random.default_rng(0), images.shape[1]
    rows, columns = np.mgrid[:side, :side]
    drawn, inside = [], []
    for image in images:
        row, column = random.uniform(0.3 * side, 0.7 * side, 2)
        distance = np.hypot(rows - row, columns - column) - side / 13
        disc = 1 / (1 + np.exp(2 * distance))
        sign = 1 if image[int(row), int(column)].mean() < 0.2 else -1
        drawn.append(np.clip(image + 0.5 * sign * disc[..., None], -1, 1))
        inside.append(distance < 1)
    return np.stack(drawn).astype(np.float32), inside


if __name__ == "__main__":
    main()

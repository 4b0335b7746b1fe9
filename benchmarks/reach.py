"""What CSGM leaves of images, from which a generator's `reach` is taken (docs/checkpoints.md).

    python -m benchmarks.reach --generator chest64 --images ilo_jax/app/samples
    python -m benchmarks.reach --generator chest64
    python -m benchmarks.reach --generator chest64 --photographs

of images of a folder, of the generator's own samples, or of scikit-image's photographs, which are
none of a radiograph's kind.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import skimage
from PIL import Image

import ilo_jax
from ilo_jax import ops, solve
from ilo_jax.files.find import find_images
from ilo_jax.files.images import read_image
from ilo_jax.stylegan2 import StyleGAN2

PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "coins", "moon", "page", "brick")
OWN = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--generator", default="chest64", help="name or folder")
    parser.add_argument("--images", nargs="+", help="files of its kind that it has not seen")
    parser.add_argument("--photographs", action="store_true", help="scikit-image's")
    parser.add_argument("--steps", type=int, default=100, help="CSGM's (default: %(default)s)")
    args = parser.parse_args()

    prior = ilo_jax.load(args.generator)
    if args.images:
        files = find_images(args.images)
        truth = {file.stem: read_image(file, prior.image_shape)[0] for file in files}
    elif args.photographs:
        truth = {name: photograph(name, prior.image_shape) for name in PHOTOGRAPHS}
    else:
        truth = {f"sample {i}": sample(prior, i) for i in range(OWN)}
    images = jnp.asarray(np.stack(list(truth.values())))
    keys = jax.random.split(jax.random.key(0), len(images))
    method = solve.ilo(prior, steps=[args.steps])
    result = solve.reconstruct(prior, ops.identity(prior.image_shape), images, keys, method)
    errors = np.mean((np.asarray(result.image) - images) ** 2, (1, 2, 3))
    for name, error in zip(truth, errors, strict=True):
        print(f"{name:16}{error:.4f}")
    print(f"mean {errors.mean():.4f}, least {errors.min():.4f}, largest {errors.max():.4f}")


def sample(prior: StyleGAN2, seed: int) -> np.ndarray:
    start = prior.starts()["random"](jax.random.key(seed))
    return np.asarray(solve.image(prior, solve.Variables(start, {})))


def photograph(name: str, shape: tuple[int, int, int]) -> np.ndarray:
    """In grey, resized."""
    picture = (
        Image.fromarray(getattr(skimage.data, name)()).convert("L").resize((shape[1], shape[0]))
    )
    return np.repeat(np.asarray(picture, np.float32)[..., None] / 127.5 - 1, shape[2], -1)


if __name__ == "__main__":
    main()

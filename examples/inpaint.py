"""A batch of images from a tenth of their pixels, written as PNG files.

python examples/inpaint.py
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import ilo_jax
from ilo_jax.files.images import read_image, write_png

SAMPLES = Path(ilo_jax.__file__).parent / "app" / "samples"


def main() -> None:
    prior = ilo_jax.load("chest64")
    k_operator, k_noise, k_solve = jax.random.split(jax.random.key(0), 3)
    files = sorted(SAMPLES.glob("*.png"))[:2]
    truth = jnp.stack([read_image(file, prior.image_shape)[0] for file in files])

    operator = ilo_jax.ops.random_inpainting(k_operator, prior.image_shape, observed=0.1)
    measurement = operator.measure(k_noise, truth)
    method = ilo_jax.solve.ilo(prior, steps=[20, 20, 20])
    result = ilo_jax.reconstruct(prior, operator, measurement, k_solve, method)

    for file, image, true in zip(files, np.clip(result.image, -1, 1), truth, strict=True):
        out = Path(f"inpainted_{file.name}")
        write_png(out, image)
        psnr = -10 * np.log10(np.mean((image - true) ** 2) / 4)
        print(f"{out}: {psnr:.1f} dB")


if __name__ == "__main__":
    main()

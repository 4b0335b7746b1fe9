"""Runs deepinv's operators and their adjoints, and keeps what goes in and what comes out.

    python tests/oracle/deepinv_operators.py tests/golden/deepinv.npz

needs PyTorch and deepinv (made with 0.5.0). Down-sampling is kept for a factor of 2, where both put
the pixels of the small image at the same places; beyond it deepinv's are shifted, as it shifts
kernels of even size.
"""
# pyright: reportMissingImports=false

import sys

import numpy as np
import torch
from deepinv import physics

SIZE, COILS = (12, 15), 3


def main(path: str) -> None:
    random = np.random.default_rng(0)
    grey, mask = random.uniform(-1, 1, (1, *SIZE)), random.uniform(size=SIZE) < 0.4
    maps = random.normal(size=(COILS, *SIZE)) + 1j * random.normal(size=(COILS, *SIZE))
    colour = random.uniform(-1, 1, (3, 12, 16))
    kernel = random.uniform(size=(5, 3))
    given = {"grey": grey, "mask": mask, "maps": maps.astype(np.complex64), "colour": colour}
    given["kernel"] = kernel / kernel.sum()
    inputs = {k: a if k == "maps" else a.astype(np.float32) for k, a in given.items()}
    of = {name: torch.from_numpy(array) for name, array in inputs.items()}
    real = torch.stack([of["grey"][0], torch.zeros(SIZE)])  # real part, imaginary part
    operators = {
        "mri": (physics.MRI(mask=of["mask"]), real),
        "coils": (physics.MultiCoilMRI(mask=of["mask"], coil_maps=of["maps"]), real),
        "inpainting": (physics.Inpainting((1, *SIZE), mask=of["mask"]), of["grey"]),
        "superresolution": (
            physics.Downsampling((3, 12, 16), filter="bicubic", factor=2, padding="reflect"),
            of["colour"],
        ),
        "blur": (physics.Blur(of["kernel"][None, None], padding="reflect"), of["colour"]),
    }
    found = {}
    for name, (operator, image) in operators.items():
        y = operator.A(image[None])
        other = torch.from_numpy(random.normal(size=y.shape).astype(np.float32))
        arrays = {"y": y[0], "other": other[0], "adjoint": operator.A_adjoint(other)[0]}
        found |= {f"{name}/{what}": array.numpy() for what, array in arrays.items()}
    np.savez_compressed(path, allow_pickle=False, **inputs, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])

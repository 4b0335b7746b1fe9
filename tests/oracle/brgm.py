"""Runs the terms of BRGM (Marinescu et al., 2020) and keeps what goes in and what comes out.

    python tests/oracle/brgm.py CHECKOUT tests/golden/brgm.npz

needs PyTorch and a checkout of github.com/razvanmarinescu/brgm-pytorch. The Gaussian prior, which
its loop computes inline, stands here as it stands there; VGG16 gives back what it is given.
"""
# pyright: reportMissingImports=false

import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

SPREAD = 3.0


def images() -> Iterator[np.ndarray]:
    """`[H, H, C]` from 0 to 255: pixels that are averaged, that overlap, that are repeated."""
    for size, channels in ((512, 1), (96, 1), (8, 3)):
        random = np.random.default_rng(size)
        yield random.uniform(0, 255, (size, size, channels)).astype(np.float32)


def codes() -> tuple[np.ndarray, np.ndarray]:
    """W+ `[L, d]`, and a mean of W `[d]`."""
    random = np.random.default_rng(0)
    w, mean = random.normal(size=(4, 16)), random.normal(size=16)
    return w.astype(np.float32), mean.astype(np.float32)


def main(checkout: pathlib.Path, out: pathlib.Path) -> None:
    import torch
    from ilo import definitions

    cosine, features = definitions(
        checkout / "bayesmap_recon.py", "cosine_distance", "getVggFeatures"
    )
    w, average = codes()
    ws = torch.tensor(w)[None].requires_grad_()
    w_avg, w_std_scalar = torch.tensor(average)[None, None], torch.tensor(SPREAD)
    values = {
        "cosine": cosine(ws),
        "gaussian": (ws / w_std_scalar - w_avg / w_std_scalar).square().mean(),
    }
    kept = {}
    for name, value in values.items():
        (gradient,) = torch.autograd.grad(value, ws)
        kept[name], kept[f"{name}_gradient"] = value.item(), gradient[0].numpy()

    def given(images, resize_images, return_lpips):
        assert return_lpips
        assert not resize_images
        return images

    for image in images():
        nchw = torch.tensor(image).permute(2, 0, 1)[None]
        seen = features(nchw, image.shape[-1], given)[0, 0]
        kept[f"resized_{len(image)}"] = seen[::9, ::9].numpy()
    arrays: dict[str, Any] = {k: np.asarray(v, np.float32) for k, v in kept.items()}
    np.savez_compressed(out, **arrays)


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))

"""Runs the loss and the optimizer of Poirier-Ginter & Lalonde (2023) and keeps what goes in and
what comes out.

    python tests/oracle/robust.py CHECKOUT tests/golden/robust.npz

needs PyTorch and a checkout of github.com/yohan-pg/robust-unsupervised. LPIPS is stood in for by
one of one convolution, and the noise for missing pixels, drawn anew at each scale, by what is kept.
"""
# pyright: reportMissingImports=false

import pathlib
import sys
import typing
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from ilo import definitions

SIZE, SCALES, STEPS, RATE = 40, 2, 4, 0.02


class StandIn(torch.nn.Module):
    """LPIPS of one convolution and one ReLU: `kernel` `[3, 3, I, O]`, `bias` and `head` `[O]`."""

    def __init__(self, kernel, bias, head):
        super().__init__()
        self.kernel, self.bias, self.head = kernel.permute(3, 2, 0, 1), bias, head

    def cuda(self):
        return self

    def features(self, x):
        shift = torch.tensor([-0.030, -0.088, -0.188])[None, :, None, None]
        scale = torch.tensor([0.458, 0.448, 0.450])[None, :, None, None]
        y = F.relu(F.conv2d((x - shift) / scale, self.kernel, self.bias, padding=1))
        return y / (torch.sqrt(torch.sum(y**2, 1, keepdim=True)) + 1e-10)

    def forward(self, x, y, normalize):
        assert normalize  # of images in [0, 1]
        square = (self.features(2 * x - 1) - self.features(2 * y - 1)) ** 2
        return (square * self.head[None, :, None, None]).sum(1).mean()


class Drawn:
    """PyTorch, whose `randn_like` gives one scale's noise after the other."""

    def __init__(self, noise):
        self.noise = iter(noise)

    def __getattr__(self, name):
        return getattr(torch, name)

    def randn_like(self, x):
        return next(self.noise).expand_as(x)


def nchw(x):
    return torch.tensor(x, dtype=torch.float32).permute(2, 0, 1)[None]


def main(checkout: pathlib.Path, out: pathlib.Path) -> None:
    random = np.random.default_rng(0)
    kept = {
        "kernel": random.normal(size=(3, 3, 3, 4)),
        "bias": random.normal(size=4),
        "head": random.uniform(size=4),
        "image": random.uniform(size=(SIZE, SIZE, 3)),
        "measurement": random.uniform(size=(SIZE, SIZE, 3)),
        "mask": random.uniform(size=(SIZE, SIZE, 1)) < 0.3,
    }
    for i in range(SCALES):
        kept[f"noise_{i}"] = random.normal(size=(SIZE // 2**i, SIZE // 2**i, 3))
    weights = [torch.tensor(kept[n], dtype=torch.float32) for n in ("kernel", "bias", "head")]
    for case in ("whole", "masked"):
        space = {
            "torch": Drawn([nchw(kept[f"noise_{i}"]) for i in range(SCALES)]),
            "List": list,
            "Optional": typing.Optional,
            "Tensor": torch.Tensor,
            "LPIPS": lambda net, verbose: StandIn(*weights),
        }
        (loss,) = definitions(
            checkout / "robust_unsupervised/loss_function.py", "MultiscaleLPIPS", **space
        )
        x, y = nchw(kept["image"]).requires_grad_(), nchw(kept["measurement"])
        mask = nchw(kept["mask"]) if case == "masked" else None
        seen = 1.0 if mask is None else mask
        value = loss()(lambda clean, seen=seen: clean * seen, x, y * seen, mask)
        value.backward()
        kept[f"loss_{case}"] = value.item()
        kept[f"gradient_{case}"] = x.grad[0].permute(1, 2, 0).numpy()

    (descent,) = definitions(checkout / "robust_unsupervised/optimizer.py", "NGD")
    codes = torch.nn.Parameter(torch.tensor(random.normal(size=(3, 5)), dtype=torch.float32))
    kept["goal"], kept["rate"] = random.normal(size=(3, 5)), RATE
    kept["goal"][2] = codes[2].detach()  # whose gradient is 0
    kept["codes_0"] = codes.detach().numpy().copy()
    optimizer = descent([codes], lr=RATE)
    for i in range(STEPS):
        optimizer.zero_grad()
        torch.sum((codes - torch.tensor(kept["goal"], dtype=torch.float32)) ** 4).backward()
        optimizer.step()
        kept[f"codes_{i + 1}"] = codes.detach().numpy().copy()
    arrays: dict[str, Any] = {k: np.asarray(v, np.float32) for k, v in kept.items()}
    np.savez_compressed(out, **arrays)


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))

"""Runs the authors' measurements and geodesic loss and keeps what goes in and what comes out.

    python tests/oracle/ilo.py CHECKOUT tests/golden/ilo.npz

needs PyTorch and a checkout of github.com/giannisdaras/ilo; of its two files only the pure
functions are run.
"""
# pyright: reportMissingImports=false

import ast
import pathlib
import sys
from typing import Any

import numpy as np
import torch
import torch.fft
import torch.nn.functional as F

FACTORS = (2, 3, 4)


class OldFft:
    """`torch.fft` and `torch.ifft` of PyTorch < 1.8, which the authors call: complex numbers as
    pairs of reals on the last axis."""

    def __getattr__(self, name):
        return getattr(torch, name)

    def fft(self, x, _):
        return torch.view_as_real(torch.fft.fft(torch.view_as_complex(x.contiguous())))

    def ifft(self, x, _):
        return torch.view_as_real(torch.fft.ifft(torch.view_as_complex(x.contiguous())))


def definitions(path: pathlib.Path, *names: str, **others: Any) -> list:
    """Functions and classes of a file, which is not run; `others` are what else they find."""
    body = ast.parse(path.read_text()).body
    found = {n.name: n for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    space = {"torch": OldFft(), "np": np, "nn": torch.nn, "F": F} | others
    exec(compile(ast.Module([found[n] for n in names], []), str(path), "exec"), space)
    return [space[name] for name in names]


def main(checkout: pathlib.Path, out: pathlib.Path) -> None:
    bicubic, circulant = definitions(
        checkout / "utils.py", "BicubicDownSample", "partial_circulant_torch"
    )
    (geocross,) = definitions(checkout / "ilo_stylegan.py", "loss_geocross")
    random = np.random.default_rng(0)

    def tensor(x):
        return torch.tensor(x, dtype=torch.float32)

    kept: dict[str, np.ndarray] = {"image": random.uniform(-1, 1, (12, 24, 3))}
    nchw = tensor(kept["image"]).permute(2, 0, 1)[None]
    for factor in FACTORS:
        small = bicubic(factor, cuda=False)(nchw)[0].permute(1, 2, 0)
        kept[f"small_{factor}"] = small.numpy()

    n, m = 3 * 3 * 3, 8
    kept["x"] = random.uniform(-1, 1, (2, n))
    kept["filter"] = random.normal(size=n)
    kept["signs"] = random.choice([-1.0, 1.0], n)
    kept["rows"] = np.sort(random.choice(n, m, replace=False))
    kept["measured"] = circulant(
        tensor(kept["x"]), tensor(kept["filter"])[None], kept["rows"], tensor(kept["signs"])
    ).numpy()

    kept["latents"] = random.normal(size=(4, 512))
    kept["geocross"] = geocross(tensor(kept["latents"])[None]).numpy()
    arrays: dict[str, Any] = {
        k: v if v.dtype.kind == "i" else v.astype(np.float32) for k, v in kept.items()
    }
    np.savez_compressed(out, **arrays)


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))

"""Runs the loop of SGILO (Daras et al., 2022) on linear generators and keeps the states.

    python tests/oracle/sgilo.py CHECKOUT tests/golden/sgilo.npz

needs PyTorch and a checkout of github.com/giannisdaras/sgilo. Generator, operator and losses are
stood in for by linear functions and squared errors, score networks by ones that leave all as it
is, and the noise that is drawn by what is kept.
"""
# pyright: reportMissingImports=false

import math
import os
import pathlib
import sys
import types
from typing import Any

import numpy as np
import torch
from ilo import definitions

SIZE, PIXELS, STEPS = 5, 7, 6


class Drawn:
    """PyTorch, whose `normal` gives what is kept, one after the other."""

    def __init__(self, noise):
        self.noise = iter(noise)

    def __getattr__(self, name):
        return getattr(torch, name)

    def normal(self, mean, std, size, device):
        assert (mean, std) == (0.0, 1.0)
        return torch.tensor(next(self.noise), dtype=torch.float32).reshape(size)


class Generator:
    """`kernel @ code`, of the latents or, where there is one, of the code at the cut."""

    def __init__(self, kernel):
        self.kernel = torch.tensor(kernel, dtype=torch.float32)

    def __call__(self, latents, start_layer, layer_in, noise_mode=None, end_layer=None):
        if end_layer is not None:  # the code, which the loop keeps for its next round
            return latents.clone()
        code = latents if layer_in is None else layer_in
        return (code.reshape(1, SIZE) @ self.kernel.T).reshape(1, 1, 1, PIXELS)


def main(checkout: pathlib.Path, out: pathlib.Path) -> None:
    random = np.random.default_rng(0)
    kept = {
        "kernel": 0.1 * random.normal(size=(PIXELS, SIZE)),
        "measurement": 0.1 * random.normal(size=PIXELS),
        "start": random.normal(size=SIZE),
        "latent_noise": random.normal(size=(STEPS, SIZE)),
        "code_noise": random.normal(size=(STEPS, SIZE)),
    }

    def identity(x, *_):
        return x

    def loss(x, y):
        return [torch.nn.functional.mse_loss(x, y)]

    for case in ("latents", "code"):
        noise = [kept["latent_noise"]] + [kept["code_noise"]] * (case == "code")
        space = {
            "torch": Drawn(row for step in zip(*noise, strict=True) for row in step),
            "optim": torch.optim,
            "tqdm": lambda steps, disable: steps,
            "os": os,
            "math": math,
            "transforms": types.SimpleNamespace(Resize=lambda _: identity),
            "get_forward_operator": lambda *_, **__: identity,
            "get_loss_fn": lambda *_, **__: (loss, ["MSE"]),
            "get_eval_loss_fn": lambda *_: (None, []),
            "read_yaml": lambda _: {"ckpt": "", "sampling": {}, "image_shape": []},
            "initialize_score_model": lambda _: (types.SimpleNamespace(to=identity), None),
            "load_dict": lambda *_: None,
            "get_sampling_fn": lambda *_, **__: lambda _, x: (x,),
            "normalize": identity,
            "denormalize": identity,
            "update_pbar_desc": lambda *_: None,
        }
        (spheres,) = definitions(checkout / "utils.py", "SphericalOptimizer", **space)
        (solver,) = definitions(
            checkout / "solve_inverse.py",
            "LatentOptimizer",
            **space,
            SphericalOptimizer=spheres,
        )
        made = solver.__new__(solver)
        torch.nn.Module.__init__(made)
        made.logger = types.SimpleNamespace(info=lambda _: None)
        made.project_dir = ""
        made.config = {
            "steps": [STEPS],
            "operators": {"forward_measurements": False},
            "device": 0,
            "gen_temperature": [0.1 * (case == "code")],
            "gen_configs": [""],
            "latent_temperature": [0.0],
            "latent_noise_temp": 0.025,
            "gen_noise_temp": 0.025,
            "vars": [{"latents": "l", "code": "g"}[case]],
            "lr": [0.05],
            "project_latent": True,
            "project_noises": False,
            "latent_min": 0,
            "latent_max": 0,
            "gen_min": 0,
            "gen_max": 0,
            "save_images": False,
            "clip_texts": None,
        }
        made.best_eval_metrics, made.buffers = {}, []
        made.mpl = identity
        made.gen = Generator(kept["kernel"])
        start = torch.tensor(kept["start"], dtype=torch.float32).reshape(1, 1, SIZE)
        made.latent_z = start.clone().requires_grad_()
        code = start.clone().requires_grad_()
        made.gen_outs = [code if case == "code" else None]
        measured = torch.tensor(kept["measurement"], dtype=torch.float32).reshape(1, 1, 1, PIXELS)
        made._invert(measured, 0, [], STEPS, 0)
        end = made.latent_z if case == "latents" else code
        kept[f"end_{case}"] = end.detach().numpy().reshape(SIZE)
    arrays: dict[str, Any] = {k: np.asarray(v, np.float32) for k, v in kept.items()}
    np.savez_compressed(out, **arrays)


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))

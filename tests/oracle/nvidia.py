"""Runs NVIDIA's PyTorch StyleGAN2 and keeps what goes in and what comes out, to compare with.

    python tests/oracle/nvidia.py CHECKOUT OUT --case skip [--resolution 16] [--full]

needs PyTorch and a checkout of github.com/NVlabs/stylegan2-ada-pytorch or NVlabs/stylegan3.
Writes OUT.pkl, a training snapshot with random weights of which none is trivial, pickled by
that code, and OUT.npz, images for several z, labels, truncations and noise modes.
`tests/oracle/compare.py OUT.pkl` holds the converter against them. `--full` is the size of
the public networks. The golden files are made by

    python tests/oracle/nvidia.py ADA tests/golden/ada_CASE --case CASE --sourceless
    python tests/oracle/nvidia.py ADA tests/golden/ada_alone --case orig --sourceless --alone
    python tests/oracle/nvidia.py STYLEGAN3 tests/golden/sg3_labels --case labels --sourceless

for every CASE of 'skip', 'labels', 'resnet'. `--sourceless` puts a line that must not
run where these files carry the source code of their classes, which is not ours to pass on.
"""
# pyright: reportMissingImports=false

import argparse
import inspect
import json
import pathlib
import pickle
import sys
import types

import numpy as np
import torch

TRAP = "raise SystemExit('the code in a checkpoint was run')"
CASES = {
    "skip": {"conv_clamp": 2.0},
    "labels": {"c_dim": 3, "embed_features": 5, "layer_features": 8, "img_channels": 1},
    "orig": {"architecture": "orig", "conv_clamp": 2.0},
    "resnet": {"architecture": "resnet", "conv_clamp": 1.0},
}


def import_networks(checkout: str):
    sys.path.insert(0, checkout)
    # StyleGAN3 asks it for the version of PyTorch; newer setuptools have it no more.
    stub = types.ModuleType("pkg_resources")
    stub.__dict__["parse_version"] = torch.torch_version.TorchVersion
    sys.modules.setdefault("pkg_resources", stub)
    if (pathlib.Path(checkout) / "training" / "networks_stylegan2.py").exists():
        from training import networks_stylegan2 as networks
    else:
        from training import networks
    return networks


def build(networks, resolution: int, full: bool, options: dict) -> dict:
    mapping = {k: options.pop(k) for k in ("embed_features", "layer_features") if k in options}
    common = {
        "c_dim": options.pop("c_dim", 0),
        "img_resolution": resolution,
        "img_channels": options.pop("img_channels", 3),
    }
    synthesis = options if full else {"channel_base": 128, "channel_max": 12} | options
    signature = inspect.signature(networks.Generator.__bases__[0])
    nested = signature.parameters["synthesis_kwargs"].kind is not inspect.Parameter.VAR_KEYWORD
    generator = networks.Generator(
        z_dim=512 if full else 7,
        w_dim=512 if full else 9,
        mapping_kwargs=mapping if full else {"num_layers": 3} | mapping,
        **({"synthesis_kwargs": synthesis} if nested else synthesis),
        **common,
    )
    discriminator = networks.Discriminator(
        channel_base=max(64, resolution), channel_max=8, **common
    )
    return {"G": generator, "D": discriminator, "G_ema": generator, "training_set_kwargs": {}}


def randomize(generator: torch.nn.Module) -> None:
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.normal_(0, 0.3)
        elif name.startswith("mapping.fc") and name.endswith("bias"):
            parameter.data.normal_(0, 20)  # times the learning-rate multiplier: 0.2
        elif name.endswith("bias"):
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    generator.get_buffer("mapping.w_avg").normal_(0, 0.3)


def record(generator: torch.nn.Module, out: str) -> None:
    """Runs the generator for several inputs and writes OUT.npz."""
    z = torch.randn(2, generator.z_dim)
    label = torch.eye(generator.c_dim)[1:3] if generator.c_dim else None
    arrays: dict = {"z": z.numpy()}
    calls = [
        {"psi": 1.0, "cutoff": None, "noise": "const"},
        {"psi": 0.6, "cutoff": None, "noise": "none"},
        {"psi": 0.6, "cutoff": 3, "noise": "random"},
    ]
    if label is not None:
        arrays["label"] = label.numpy()
    for i, call in enumerate(calls):
        drawn: list = []
        original = torch.randn

        def recording(*args, drawn=drawn, original=original, **kwargs):
            drawn.append(original(*args, **kwargs))
            return drawn[-1]

        torch.randn = recording
        try:
            with torch.no_grad():
                image = generator(
                    z,
                    label,
                    truncation_psi=call["psi"],
                    truncation_cutoff=call["cutoff"],
                    noise_mode=call["noise"],
                    force_fp32=True,
                )
        finally:
            torch.randn = original
        arrays[f"image_{i}"] = image.permute(0, 2, 3, 1).numpy()
        arrays |= {f"noise_{j}": n.permute(0, 2, 3, 1).numpy() for j, n in enumerate(drawn)}
    np.savez_compressed(f"{out}.npz", calls=json.dumps(calls), **arrays)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout")
    parser.add_argument("out")
    parser.add_argument("--case", choices=CASES, default="skip")
    parser.add_argument("--resolution", type=int, default=16)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--sourceless", action="store_true")
    parser.add_argument("--alone", action="store_true", help="no training snapshot around it")
    options = parser.parse_args()
    networks = import_networks(options.checkout)
    torch.manual_seed(0)
    snapshot = build(networks, options.resolution, options.full, dict(CASES[options.case]))
    generator = snapshot["G_ema"].eval().requires_grad_(False)
    randomize(generator)
    if options.sourceless:
        for name in dir(networks):
            if hasattr(getattr(networks, name), "_orig_module_src"):
                getattr(networks, name)._orig_module_src = TRAP
    with open(f"{options.out}.pkl", "wb") as file:
        pickle.dump(generator if options.alone else snapshot, file)
    record(generator, options.out)


if __name__ == "__main__":
    main()

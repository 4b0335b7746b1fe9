"""Runs rosinality's StyleGAN2 and keeps what goes in and what comes out, to compare with.

    python tests/oracle/rosinality.py CHECKOUT OUT [--resolution 64] [--small] [--legacy]

needs PyTorch and a checkout of github.com/rosinality/stylegan2-pytorch. Writes OUT.pt, a
checkpoint with random weights of which none is trivial, and OUT.npz, images for several z,
truncations and noise maps. `tests/oracle/compare.py OUT.pt` holds the converter against them.
The golden files are made by

    python tests/oracle/rosinality.py CHECKOUT tests/golden/rosinality --resolution 16 --small
    python tests/oracle/rosinality.py CHECKOUT tests/golden/rosinality_legacy \
        --resolution 8 --small --legacy
    python tests/oracle/rosinality.py CHECKOUT tests/golden/rosinality_bare \
        --resolution 8 --small --bare
"""
# pyright: reportMissingImports=false

import argparse
import json
import sys

import numpy as np
import torch
import torch.utils.cpp_extension


def build(checkout: str, resolution: int, small: bool):
    # Its CUDA extensions are compiled on import; on CPU none of them is called.
    torch.utils.cpp_extension.load = lambda *args, **kwargs: None
    sys.path.insert(0, checkout)
    from model import Generator

    if not small:
        return Generator(resolution, 512, 8)

    class Small(Generator):
        channels = property(lambda self: {4: 12, 8: 12, 16: 8, 32: 6}, lambda self, value: None)

    return Small(resolution, 10, 3)


def randomize(generator: torch.nn.Module) -> None:
    for name, parameter in generator.named_parameters():
        if name.endswith("noise.weight"):
            parameter.data.normal_(0, 0.3)
        elif name.startswith("style.") and name.endswith("bias"):
            parameter.data.normal_(0, 20)  # times the learning-rate multiplier: 0.2
        elif name.endswith("bias"):
            parameter.data.add_(0.2 * torch.randn_like(parameter))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout")
    parser.add_argument("out")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--legacy", action="store_true", help="the file format before PyTorch 1.6")
    parser.add_argument("--bare", action="store_true", help="the state dict alone")
    options = parser.parse_args()
    torch.manual_seed(0)
    generator = build(options.checkout, options.resolution, options.small).eval()
    randomize(generator)
    with torch.no_grad():
        latent_avg = generator.mean_latent(4096)[0]
    state = generator.state_dict()
    torch.save(
        state if options.bare else {"g_ema": state, "latent_avg": latent_avg},
        f"{options.out}.pt",
        _use_new_zipfile_serialization=not options.legacy,
    )

    z = torch.randn(2, generator.style_dim)
    drawn = generator.make_noise()
    arrays = {"z": z} | {f"noise_{i}": n[0, 0, :, :, None] for i, n in enumerate(drawn)}
    calls = [
        {"psi": 1.0, "cutoff": None, "noise": "const"},
        {"psi": 0.6, "cutoff": None, "noise": "const"},
        {"psi": 0.6, "cutoff": None, "noise": "random"},
    ]
    if options.bare:  # without the mean of W there is no truncation to compare
        calls = [call | {"psi": 1.0} for call in calls[1:]]
    for i, call in enumerate(calls):
        with torch.no_grad():
            image, _ = generator(
                [z],
                truncation=call["psi"],
                truncation_latent=latent_avg[None],
                noise=drawn if call["noise"] == "random" else None,
                randomize_noise=False,
            )
        arrays[f"image_{i}"] = image.permute(0, 2, 3, 1)
    arrays = {name: value.numpy() for name, value in arrays.items()}
    np.savez_compressed(f"{options.out}.npz", calls=json.dumps(calls), **arrays)


if __name__ == "__main__":
    main()

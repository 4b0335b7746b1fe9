"""State dicts of NVIDIA's PyTorch networks, without the classes of their pickles.

Neither the bound of activations nor the learning-rate multiplier of the mapping network is in them:
both are what NVIDIA's training takes.
"""

from typing import Any

import numpy as np

from convert_weights.arrays import tensor
from convert_weights.formats.state_dict import expect_filter, taken_of
from convert_weights.limits import Budget
from convert_weights.network import Arrays, Network, assemble

NAME = "NVIDIA's PyTorch state dict"
LR_MAPPING = 0.01
CONV_CLAMP = 256.0
_SIGN = "synthesis.b4.conv1.weight"


def read(value: Any, budget: Budget) -> Network | None:
    """Reads the averaged generator if there is one."""
    if (taken := taken_of(value, _SIGN)) is None:
        return None
    tensors, name = taken.tensors, taken.name

    def modulated(new: str, old: str) -> None:
        for last in ("weight", "bias", "affine.weight", "affine.bias"):
            name(f"{new}.{last}", f"{old}.{last}")

    def resampled(old: str) -> None:
        filtered = f"{old}.resample_filter"
        taken.used.add(filtered)
        if filtered in tensors:
            expect_filter(filtered, tensor(tensors[filtered]), total=1, atol=1e-4)

    def layer(i: int, old: str) -> None:
        modulated(f"layers.{i}", old)
        resampled(old)
        noise = f"{old}.noise_const"
        name(f"layers.{i}.noise", noise, optional=True)
        name(f"layers.{i}.noise_strength", f"{old}.noise_strength", optional=noise not in tensors)
        if noise not in tensors:  # a network without noise
            size = 4 * 2 ** ((i + 1) // 2)
            taken.arrays[f"layers.{i}.noise"] = noise, np.broadcast_to(0.0, (size, size))
            taken.arrays[f"layers.{i}.noise_strength"] = noise, np.zeros(())

    parts = {".".join(n.split(".")[:2]) for n in tensors}
    sizes = [4]
    while f"synthesis.b{2 * sizes[-1]}" in parts:
        sizes.append(2 * sizes[-1])
    skips = "synthesis.b4.torgb.weight" in tensors
    residual = "synthesis.b8.skip.weight" in tensors
    name("const", "synthesis.b4.const")
    for b, size in enumerate(sizes):
        block = f"synthesis.b{size}"
        if b > 0:
            layer(2 * b - 1, f"{block}.conv0")
        layer(2 * b, f"{block}.conv1")
        resampled(block)
        if residual and b > 0:
            name(f"residuals.{b - 1}.weight", f"{block}.skip.weight")
            resampled(f"{block}.skip")
        if skips:
            modulated(f"to_rgb.{b}", f"{block}.torgb")
    if not skips:
        modulated("to_rgb.0", f"synthesis.b{sizes[-1]}.torgb")
    depth = 0
    while not depth or f"mapping.fc{depth}" in parts:
        for last in ("weight", "bias"):
            name(f"mapping.{depth}.{last}", f"mapping.fc{depth}.{last}")
        depth += 1
    for last in ("weight", "bias"):
        labels = "mapping.embed" in parts
        name(f"embed.{last}", f"mapping.embed.{last}", optional=not labels)
    name("w_avg", "mapping.w_avg", optional=True)
    taken.expect_all(NAME)
    return assemble(
        NAME,
        Arrays(taken.arrays, budget),
        lr_mapping=LR_MAPPING,
        architecture="skip" if skips else "resnet" if residual else "orig",
        conv_clamp=CONV_CLAMP,
    )

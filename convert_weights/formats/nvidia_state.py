"""State dicts of NVIDIA's PyTorch networks, without the classes of their pickles.

Neither the bound of activations nor the learning-rate multiplier of the mapping network is in them:
both are what NVIDIA's training takes.
"""

from typing import Any

import numpy as np

from convert_weights.arrays import tensor
from convert_weights.formats.state_dict import expect_all, state_of
from convert_weights.limits import Budget
from convert_weights.network import Arrays, Network, assemble
from ilo_jax.files.checkpoint import CheckpointError

NAME = "NVIDIA's PyTorch state dict"
LR_MAPPING = 0.01
CONV_CLAMP = 256.0
_SIGN = "synthesis.b4.conv1.weight"
_FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def read(value: Any, budget: Budget) -> Network | None:
    """Reads the averaged generator if there is one."""
    if not isinstance(value, dict) or (state := state_of(value, _SIGN)) is None:
        return None
    tensors: dict[str, Any] = state
    arrays: dict[str, tuple[str, np.ndarray]] = {}
    missing: list[str] = []
    used: set[str] = set()

    def name(new: str, old: str, optional: bool = False) -> None:
        used.add(old)
        if old in tensors:
            arrays[new] = old, tensor(tensors[old])
        elif not optional:
            missing.append(old)

    def modulated(new: str, old: str) -> None:
        for last in ("weight", "bias", "affine.weight", "affine.bias"):
            name(f"{new}.{last}", f"{old}.{last}")

    def resampled(old: str) -> None:
        used.add(f"{old}.resample_filter")
        if f"{old}.resample_filter" in tensors:
            _expect_filter(f"{old}.resample_filter", tensor(tensors[f"{old}.resample_filter"]))

    def layer(i: int, old: str) -> None:
        modulated(f"layers.{i}", old)
        resampled(old)
        noise = f"{old}.noise_const"
        name(f"layers.{i}.noise", noise, optional=True)
        name(f"layers.{i}.noise_strength", f"{old}.noise_strength", optional=noise not in tensors)
        if noise not in tensors:  # a network without noise
            size = 4 * 2 ** ((i + 1) // 2)
            arrays[f"layers.{i}.noise"] = noise, np.broadcast_to(0.0, (size, size))
            arrays[f"layers.{i}.noise_strength"] = noise, np.zeros(())

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
    expect_all(NAME, tensors, used, missing)
    return assemble(
        NAME,
        Arrays(arrays, budget),
        lr_mapping=LR_MAPPING,
        architecture="skip" if skips else "resnet" if residual else "orig",
        conv_clamp=CONV_CLAMP,
    )


def _expect_filter(name: str, found: np.ndarray) -> None:
    if found.shape != (4, 4) or not np.allclose(found.astype(np.float64), _FILTER, atol=1e-4):
        raise CheckpointError(
            f"{name} is not that of [1, 3, 3, 1]; expected StyleGAN2's resampling filter"
        )

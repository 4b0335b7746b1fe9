"""rosinality/stylegan2-pytorch: state dicts of a `Generator`, alone or in another one.

The generator's names may have any prefix, as in training states of other projects
(`decoder.` of pixel2style2pixel, `module.` of `DataParallel`), and the state dict may stand alone
or under any key (`g_ema`, `params_ema`, `state_dict`). What belongs to no StyleGAN2 is refused:
it would be another network.
"""

import re
from typing import Any

import numpy as np

from convert_weights.arrays import is_tensor, tensor
from convert_weights.formats.state_dict import expect_filter, taken_of
from convert_weights.limits import Budget
from convert_weights.network import Arrays, Network, assemble
from ilo_jax.files.checkpoint import CheckpointError

NAME = "rosinality's PyTorch state dict"
LR_MAPPING = 0.01  # `lr_mlp` there; a state dict does not record it
_SIGN = "conv1.conv.modulation.weight"
_AVERAGE = "latent_avg"
_KERNEL = re.compile(r"convs\.\d+\.conv\.blur\.kernel|to_rgbs\.\d+\.upsample\.kernel")


def read(value: Any, budget: Budget) -> Network | None:
    """Reads the averaged generator if there is one; `latent_avg` beside it if there."""
    if (taken := taken_of(value, _SIGN)) is None:
        return None
    tensors, name = taken.tensors, taken.name

    def modulated(new: str, old: str) -> None:
        name(f"{new}.weight", f"{old}.conv.weight", 0)
        name(f"{new}.affine.weight", f"{old}.conv.modulation.weight")
        name(f"{new}.affine.bias", f"{old}.conv.modulation.bias")

    def layer(i: int, old: str) -> None:
        modulated(f"layers.{i}", old)
        name(f"layers.{i}.bias", f"{old}.activate.bias")
        name(f"layers.{i}.noise_strength", f"{old}.noise.weight", 0)
        name(f"layers.{i}.noise", f"noises.noise_{i}", 0, 1, optional=True)

    def head(b: int, old: str) -> None:
        modulated(f"to_rgb.{b}", old)
        name(f"to_rgb.{b}.bias", f"{old}.bias", 0, 2, 3)

    name("const", "input.input", 0)
    layer(0, "conv1")
    head(0, "to_rgb1")
    parts = {".".join(n.split(".")[:2]) for n in tensors}
    i = 0
    while f"convs.{i}" in parts:
        layer(i + 1, f"convs.{i}")
        i += 1
    for b in range(i // 2):
        head(b + 1, f"to_rgbs.{b}")
    i = 0
    while not i or f"style.{i + 1}" in parts:
        name(f"mapping.{i}.weight", f"style.{i + 1}.weight")
        name(f"mapping.{i}.bias", f"style.{i + 1}.bias")
        i += 1
    taken.used |= {n for n in tensors if n == _AVERAGE or _KERNEL.fullmatch(n)}
    if any({"iwt", "dwt"} & set(n.split(".")) for n in tensors.keys() - taken.used):
        raise CheckpointError("a SWAGAN generator, of wavelets (iwt, dwt); expected StyleGAN2")
    taken.expect_all(NAME)
    for old in filter(_KERNEL.fullmatch, tensors):
        expect_filter(old, tensor(tensors[old]), total=4, atol=1e-3)
    _check_unconditional(
        *(taken.arrays[n][1].shape for n in ("mapping.0.weight", "layers.0.affine.weight"))
    )
    average = next((d[_AVERAGE] for d in (value, tensors) if is_tensor(d.get(_AVERAGE))), None)
    if average is not None:
        taken.arrays["w_avg"] = _AVERAGE, _one_row(tensor(average))
    return assemble(NAME, Arrays(taken.arrays, budget), lr_mapping=LR_MAPPING)


def _check_unconditional(mapping: tuple[int, ...], affine: tuple[int, ...]) -> None:
    if len(mapping) == len(affine) == 2 and mapping[1] != affine[1]:
        raise CheckpointError(
            f"style.1.weight reads {mapping[1]} numbers where w has {affine[1]}: a conditional "
            "network; expected one without labels in this format"
        )


def _one_row(average: np.ndarray) -> np.ndarray:
    """`[d]` of `[d]` or `[L, d]`, where the mean of W is repeated."""
    if average.ndim != 2:
        return average
    if not (average == average[:1]).all():
        raise CheckpointError(f"{_AVERAGE} has rows that differ; expected one mean of W")
    return average[0]

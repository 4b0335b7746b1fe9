"""rosinality/stylegan2-pytorch: state dicts of a `Generator`, alone or in a training state."""

from typing import Any

from convert_weights.arrays import is_tensor, squeezed, tensor
from convert_weights.network import Arrays, Network, assemble

NAME = "rosinality's PyTorch state dict"
LR_MAPPING = 0.01  # `lr_mlp` there; a state dict does not record it
_SIGN = "conv1.conv.modulation.weight"


def read(value: Any) -> Network | None:
    """Reads `g_ema`, else `g`, else the value itself; `latent_avg` beside it if there."""
    if not isinstance(value, dict):
        return None
    candidates = [value.get("g_ema"), value.get("g"), value]
    tensors = next((d for c in candidates if _SIGN in (d := _tensors(c))), None)
    if tensors is None:
        return None

    arrays = {}

    def name(new: str, old: str, *ones: int) -> None:
        if old in tensors:
            arrays[new] = old, squeezed(tensor(tensors[old]), *ones)

    def modulated(new: str, old: str) -> None:
        name(f"{new}.weight", f"{old}.conv.weight", 0)
        name(f"{new}.affine.weight", f"{old}.conv.modulation.weight")
        name(f"{new}.affine.bias", f"{old}.conv.modulation.bias")

    def layer(i: int, old: str) -> None:
        modulated(f"layers.{i}", old)
        name(f"layers.{i}.bias", f"{old}.activate.bias")
        name(f"layers.{i}.noise_strength", f"{old}.noise.weight", 0)
        name(f"layers.{i}.noise", f"noises.noise_{i}", 0, 1)

    def head(b: int, old: str) -> None:
        modulated(f"to_rgb.{b}", old)
        name(f"to_rgb.{b}.bias", f"{old}.bias", 0, 2, 3)

    name("const", "input.input", 0)
    layer(0, "conv1")
    head(0, "to_rgb1")
    i = 0
    while f"convs.{i}.conv.weight" in tensors:
        layer(i + 1, f"convs.{i}")
        head(i + 1, f"to_rgbs.{i}")
        i += 1
    i = 0
    while f"style.{i + 1}.weight" in tensors:
        name(f"mapping.{i}.weight", f"style.{i + 1}.weight")
        name(f"mapping.{i}.bias", f"style.{i + 1}.bias")
        i += 1
    if is_tensor(value.get("latent_avg")):
        arrays["w_avg"] = "latent_avg", squeezed(tensor(value["latent_avg"]), 0)
    return assemble(NAME, Arrays(arrays), lr_mapping=LR_MAPPING)


def _tensors(state: Any) -> dict[str, Any]:
    """The tensors of a state dict by name, without the prefix of `DataParallel`."""
    if not isinstance(state, dict):
        return {}
    return {
        k.removeprefix("module."): t
        for k, t in state.items()
        if isinstance(k, str) and is_tensor(t)
    }

"""rosinality/stylegan2-pytorch: state dicts of a `Generator`, alone or in a training state."""

from typing import Any

import numpy as np

from convert_weights import arrays
from convert_weights.network import MAX_RESOLUTION, Arrays, Network, conv, dense, float32
from ilo_jax.stylegan2 import CheckpointError, GeneratorConfig

NAME = "rosinality (PyTorch state dict)"
LR_MAPPING = 0.01  # `lr_mlp` there; a state dict does not record it
_SIGN = "conv1.conv.modulation.weight"


def read(value: Any) -> Network | None:
    """Reads `g_ema`, else `g`, else the value itself; `latent_avg` beside it if there."""
    if not isinstance(value, dict):
        return None
    candidates = [value.get("g_ema"), value.get("g"), value]
    found = next((d for c in candidates if _SIGN in (d := _named(c))), None)
    if found is None:
        return None
    tensors = Arrays({name: arrays.tensor(t) for name, t in found.items()})

    blocks = 1 + tensors.count("to_rgbs.{}.bias")
    layers = 2 * blocks - 1
    if not 8 <= 4 * 2 ** (blocks - 1) <= MAX_RESOLUTION:
        raise CheckpointError(
            f"a generator of {blocks} blocks; expected a resolution from 8 to {MAX_RESOLUTION}"
        )
    const = tensors.take("input.input", 1, None, 4, 4)
    w_dim = tensors.take(_SIGN, const.shape[1], None).shape[1]
    convs = ["conv1", *(f"convs.{i}" for i in range(layers - 1))]
    heads = ["to_rgb1", *(f"to_rgbs.{i}" for i in range(blocks - 1))]
    synthesis: dict = {"const": float32(const[0].transpose(1, 2, 0))}

    def affine(name: str, width: int) -> dict:
        return dense(
            tensors.take(f"{name}.conv.modulation.weight", width, w_dim),
            tensors.take(f"{name}.conv.modulation.bias", width),
        )

    channels = [const.shape[1]]
    for i, name in enumerate(convs):
        weight = tensors.take(f"{name}.conv.weight", 1, None, channels[-1], 3, 3)[0]
        synthesis[f"layers_{i}"] = {
            "kernel": conv(weight),
            "bias": float32(tensors.take(f"{name}.activate.bias", len(weight))),
            "noise_strength": float32(tensors.take(f"{name}.noise.weight", 1)[0]),
            "affine": affine(name, channels[-1]),
        }
        channels.append(len(weight))
    if channels[0::2] != channels[1::2]:
        raise CheckpointError(f"layers of {channels} channels; expected equal ones within a block")
    channels = channels[1::2]

    image_channels = tensors.take("to_rgb1.bias", 1, None, 1, 1).shape[1]
    for b, name in enumerate(heads):
        weight = tensors.take(f"{name}.conv.weight", 1, image_channels, channels[b], 1, 1)[0]
        synthesis[f"to_rgb_{b}"] = {
            "kernel": conv(weight)[0, 0],
            "bias": float32(tensors.take(f"{name}.bias", 1, image_channels, 1, 1).reshape(-1)),
            "affine": affine(name, channels[b]),
        }

    depth = tensors.count("style.{}.weight", start=1)
    mapping = {
        f"dense_{i}": dense(
            tensors.take(f"style.{i + 1}.weight", w_dim, w_dim),
            tensors.take(f"style.{i + 1}.bias", w_dim),
            LR_MAPPING,
        )
        for i in range(depth)
    }
    config = GeneratorConfig(
        channels=tuple(channels),
        w_dim=w_dim,
        z_dim=w_dim,
        mapping_layers=depth,
        image_channels=image_channels,
    )
    return Network(
        format=NAME,
        config=config,
        mapping={"params": mapping},
        synthesis=synthesis,
        w_avg=_latent_avg(value.get("latent_avg"), w_dim),
        noises=_noises(tensors, config),
    )


def _named(state: Any) -> dict[str, Any]:
    """The tensors of a state dict by name, without the prefix of `DataParallel`."""
    if not isinstance(state, dict):
        return {}
    return {
        k.removeprefix("module."): t
        for k, t in state.items()
        if isinstance(k, str) and arrays.is_tensor(t)
    }


def _latent_avg(value: Any, w_dim: int) -> np.ndarray | None:
    if not arrays.is_tensor(value):
        return None
    array = arrays.tensor(value)
    if array.size != w_dim:
        raise CheckpointError(
            f"array 'latent_avg' has shape {list(array.shape)}; expected {w_dim} values"
        )
    return float32(Arrays({"latent_avg": array.reshape(-1)}).take("latent_avg", w_dim))


def _noises(tensors: Arrays, config: GeneratorConfig) -> tuple[np.ndarray, ...] | None:
    if "noises.noise_0" not in tensors:
        return None
    sizes = [config.layer_resolution(i) for i in range(config.num_layers)]
    return tuple(
        float32(tensors.take(f"noises.noise_{i}", 1, 1, n, n).reshape(n, n, 1))
        for i, n in enumerate(sizes)
    )

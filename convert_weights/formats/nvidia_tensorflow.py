"""NVIDIA's TensorFlow pickles, StyleGAN2 and StyleGAN2-ADA: a tuple of networks (G, D, Gs)."""

from typing import Any

import numpy as np

from convert_weights.arrays import is_ndarray, ndarray
from convert_weights.limits import Budget
from convert_weights.network import Arrays, Network, assemble, positive
from convert_weights.pickles import Object
from ilo_jax.files.checkpoint import CheckpointError

NAME = "NVIDIA's TensorFlow pickle"
_CLASSES = ("dnnlib.tflib.network.Network", "tfutil.Network", "network.Network")
_EXPECTED = {  # what else these could be would make another network
    "resample_kernel": [1, 3, 3, 1],
    "nonlinearity": "lrelu",
    "mapping_nonlinearity": "lrelu",
    "normalize_latents": True,
    "use_noise": True,
}


def read(value: Any, budget: Budget) -> Network | None:
    """Reads the last generator of a tuple, `Gs`, or a network alone."""
    networks = [n for n in (value if isinstance(value, tuple) else (value,)) if _is_network(n)]
    if not networks:
        return None
    generators = [n for n in networks if {"mapping", "synthesis"} <= _components(n).keys()]
    if not generators:
        names = [n.state.get("build_func_name") for n in networks]
        known = ", ".join(repr(n[:40]) for n in names if isinstance(n, str))
        raise CheckpointError(f"networks {known}; expected a StyleGAN2 generator, 'G_main'")
    generator = generators[-1]
    if generator.state.get("build_func_name") == "G_style":
        raise CheckpointError("a StyleGAN1 generator, G_style; expected StyleGAN2")

    options = _pairs(generator.state.get("static_kwargs"))
    for name, expected in _EXPECTED.items():
        if name in options and not _equal(options[name], expected):
            raise CheckpointError(f"a generator whose {name} is not {expected}, as is expected")
    own = _variables(generator)
    mapping = _variables(_components(generator)["mapping"])
    synthesis = _variables(_components(generator)["synthesis"])
    arrays: dict[str, tuple[str, np.ndarray]] = {}

    def take(new: str, source: dict, old: str, *axes: int, flip: bool = False, add: int = 0):
        if old in source:
            array = ndarray(source[old])
            if len(axes) == array.ndim:
                array = array.transpose(axes)[..., ::-1, ::-1] if flip else array.transpose(axes)
            arrays[new] = old, array + add if add else array

    def modulated(new: str, old: str, flip: bool = False) -> None:
        take(f"{new}.weight", synthesis, f"{old}/weight", 3, 2, 0, 1, flip=flip)
        take(f"{new}.bias", synthesis, f"{old}/bias")
        take(f"{new}.affine.weight", synthesis, f"{old}/mod_weight", 1, 0)
        take(f"{new}.affine.bias", synthesis, f"{old}/mod_bias", add=1)

    def layer(i: int, old: str, flip: bool = False) -> None:
        modulated(f"layers.{i}", old, flip)
        take(f"layers.{i}.noise_strength", synthesis, f"{old}/noise_strength")
        if f"noise{i}" in synthesis:
            noise = ndarray(synthesis[f"noise{i}"])
            fits = noise.ndim == 4 and noise.shape[:2] == (1, 1)
            arrays[f"layers.{i}.noise"] = f"noise{i}", noise[0, 0] if fits else noise

    if "4x4/Const/const" in synthesis:
        const = ndarray(synthesis["4x4/Const/const"])
        fits = const.ndim == 4 and len(const) == 1
        arrays["const"] = "4x4/Const/const", const[0] if fits else const
    layer(0, "4x4/Conv")
    scopes = ["4x4"]
    while f"{(scope := _scope(len(scopes)))}/Conv1/weight" in synthesis:
        b = len(scopes)
        layer(2 * b - 1, f"{scope}/Conv0_up", flip=True)  # stored as a true convolution
        layer(2 * b, f"{scope}/Conv1")
        take(f"residuals.{b - 1}.weight", synthesis, f"{scope}/Skip/weight", 3, 2, 0, 1)
        scopes.append(scope)

    architecture = options.get("architecture", "skip")
    if "ToRGB_lod0/weight" in synthesis:  # configs B to D, grown progressively
        architecture = "orig"
        modulated("to_rgb.0", "ToRGB_lod0")
        if "lod" in synthesis and not _equal(synthesis["lod"], 0):
            raise CheckpointError("a generator that was still growing; expected a finished one")
    elif architecture == "skip":
        for b, scope in enumerate(scopes):
            modulated(f"to_rgb.{b}", f"{scope}/ToRGB")
    else:
        modulated("to_rgb.0", f"{scopes[-1]}/ToRGB")

    take("w_avg", own, "dlatent_avg")
    i = 0
    while f"Dense{i}/weight" in mapping:
        take(f"mapping.{i}.weight", mapping, f"Dense{i}/weight", 1, 0)
        take(f"mapping.{i}.bias", mapping, f"Dense{i}/bias")
        i += 1
    take("embed.weight", mapping, "LabelEmbed/weight", 1, 0)  # StyleGAN2-ADA
    take("embed.bias", mapping, "LabelEmbed/bias")
    has_clamp = options.get("conv_clamp") is not None
    concat = "LabelConcat/weight"  # StyleGAN2: no bias, no equalized learning rate
    if concat in mapping:
        weight = ndarray(mapping[concat])
        if weight.ndim == 2:
            weight = weight.T * np.sqrt(len(weight))
        arrays["embed.weight"] = concat, weight
        arrays["embed.bias"] = concat, np.zeros(weight.shape[:1])
    return assemble(
        NAME,
        Arrays(arrays, budget),
        lr_mapping=_number({"mapping_lrmul": 0.01} | options, "mapping_lrmul"),
        architecture=architecture,
        conv_clamp=_number(options, "conv_clamp") if has_clamp else None,
        joint_normalization=concat in mapping,
    )


def _is_network(value: Any) -> bool:
    return isinstance(value, Object) and value.calls(*_CLASSES) and isinstance(value.state, dict)


def _components(network: Object) -> dict:
    return {k: v for k, v in _pairs(network.state.get("components")).items() if _is_network(v)}


def _variables(network: Object) -> dict[str, Any]:
    """Pickled arrays of a network by name, without those of its components."""
    pairs = network.state.get("variables")
    if not isinstance(pairs, list):
        raise CheckpointError("a network without its list of variables")
    return {
        pair[0]: pair[1]
        for pair in pairs
        if isinstance(pair, tuple)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and is_ndarray(pair[1])
    }


def _scope(block: int) -> str:
    return f"{4 * 2**block}x{4 * 2**block}"


def _pairs(value: Any) -> dict:
    """A dict, or an `EasyDict`, which is one."""
    if isinstance(value, Object):
        value = value.pairs
    return value if isinstance(value, dict) else {}


def _equal(value: Any, expected: Any) -> bool:
    if is_ndarray(value):
        return bool(np.array_equal(ndarray(value), expected))
    if isinstance(value, list | tuple):
        return all(type(v) is int for v in value) and list(value) == expected
    return type(value) in (int, bool, str, float) and value == expected


def _number(options: dict, name: str) -> float:
    if type(options[name]) not in (int, float):
        raise CheckpointError(f"a generator whose {name} is not a number")
    return positive(options[name], name)

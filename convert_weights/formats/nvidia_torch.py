"""NVIDIA's PyTorch pickles: StyleGAN2-ADA, and the StyleGAN2 networks of StyleGAN3.

Their classes pickle as their source code with the state of an instance beside it. Here the
code is text that nobody reads; the state is enough.
"""

from typing import Any

import numpy as np

from convert_weights.arrays import is_tensor, tensor
from convert_weights.limits import Budget
from convert_weights.network import Arrays, Network, assemble, positive
from convert_weights.pickles import Global, Object
from ilo_jax.files.checkpoint import CheckpointError
from ilo_jax.stylegan2.config import MAX_BLOCKS

NAME = "NVIDIA's PyTorch pickle"


class Module:
    """A pickled `torch.nn.Module`: its tensors, submodules and attributes by name."""

    def __init__(self, state: dict, path: str):
        self._state = state
        self._path = path
        self._tensors = [_dict(state.get(part)) for part in ("_parameters", "_buffers")]
        self._modules = _dict(state.get("_modules"))

    def __contains__(self, name: str) -> bool:
        return module(self._modules.get(name)) is not None

    def __getitem__(self, name: str) -> "Module":
        found = module(self._modules.get(name), f"{self._path}.{name}")
        if found is None:
            raise CheckpointError(f"a generator without its module {self._path}.{name}")
        return found

    def tensor(self, name: str) -> tuple[str, np.ndarray] | None:
        """Full name and array of a parameter or buffer; None if it has none."""
        value = next((own[name] for own in self._tensors if name in own), None)
        return (f"{self._path}.{name}", tensor(value)) if is_tensor(value) else None

    def attribute(self, name: str, *types: type) -> Any:
        """An attribute, which must be of one of the types.

        Raises:
          CheckpointError: it is not there, or of another type.
        """
        value = self._state.get(name)
        if type(value) not in types:
            raise CheckpointError(f"{self._path}.{name} is missing or of an unexpected type")
        return value

    def number(self, name: str) -> float:
        """An attribute that is a positive number."""
        return positive(self.attribute(name, int, float), f"{self._path}.{name}")

    def expect(self, name: str, value: Any) -> None:
        """Refuses a module whose attribute is not `value`."""
        if self.attribute(name, str, int, float, type(None)) != value:
            raise CheckpointError(f"{self._path}.{name} is not {value}; expected StyleGAN2's")


def module(value: Any, path: str = "generator") -> Module | None:
    """The module that `value` would be unpickled to; None if it would be something else."""
    if not isinstance(value, Object):
        return None
    state = value.state
    function = value.function  # whose module forks have moved
    if isinstance(function, Global) and function.name == "_reconstruct_persistent_obj":
        state = _dict(value.args[0] if value.args else None).get("state")
    return Module(state, path) if isinstance(state, dict) and "_modules" in state else None


def read(value: Any, budget: Budget) -> Network | None:
    """Reads `G_ema`, else `G`, else the value itself."""
    candidates = [value]
    if isinstance(value, dict):
        candidates = [value.get("G_ema"), value.get("G")]
    generator = next((m for c in candidates if (m := module(c)) is not None), None)
    if generator is None:
        if isinstance(value, dict) and module(value.get("D")) is not None:
            raise CheckpointError("a discriminator without a generator")
        return None
    if "mapping" not in generator or "synthesis" not in generator:
        found = "a discriminator" if "b4" in generator else "a network"
        raise CheckpointError(f"{found} without mapping and synthesis; expected a generator")
    mapping, synthesis = generator["mapping"], generator["synthesis"]
    if "input" in synthesis:
        raise CheckpointError("a StyleGAN3 generator; expected StyleGAN2")

    blocks = []
    while (size := f"b{4 * 2 ** len(blocks)}") in synthesis:
        blocks.append(synthesis[size])
    if not 0 < len(blocks) <= MAX_BLOCKS:
        raise CheckpointError(
            f"a synthesis network of {len(blocks)} blocks; expected StyleGAN2, of 2 to {MAX_BLOCKS}"
        )
    architecture = blocks[0].attribute("architecture", str)
    conv_clamp = blocks[0]["conv1"].attribute("conv_clamp", int, float, type(None))
    if conv_clamp is not None:
        conv_clamp = blocks[0]["conv1"].number("conv_clamp")
    arrays: dict[str, tuple[str, np.ndarray]] = {}

    def take(owner: Module, new: str, **names: str) -> None:
        for last, old in names.items():
            if (found := owner.tensor(old)) is not None:
                arrays[f"{new}.{last}" if new else last] = found

    def modulated(owner: Module, new: str) -> None:
        owner.expect("conv_clamp", conv_clamp)
        take(owner, new, weight="weight", bias="bias")
        take(owner["affine"], f"{new}.affine", weight="weight", bias="bias")

    def layer(owner: Module, i: int) -> None:
        owner.expect("activation", "lrelu")
        _expect_filter(owner)
        modulated(owner, f"layers.{i}")
        if owner.attribute("use_noise", bool):
            take(owner, f"layers.{i}", noise="noise_const", noise_strength="noise_strength")
        else:
            size = 4 * 2 ** ((i + 1) // 2)
            arrays[f"layers.{i}.noise"] = "no noise", np.broadcast_to(0.0, (size, size))
            arrays[f"layers.{i}.noise_strength"] = "no noise", np.zeros(())

    take(blocks[0], "", const="const")
    for b, block in enumerate(blocks):
        block.expect("architecture", architecture)
        if b > 0:
            layer(block["conv0"], 2 * b - 1)
        layer(block["conv1"], 2 * b)
        if architecture == "resnet" and b > 0:
            _expect_filter(block["skip"])
            take(block["skip"], f"residuals.{b - 1}", weight="weight")
        if architecture == "skip":
            modulated(block["torgb"], f"to_rgb.{b}")
            _expect_filter(block)
    if architecture != "skip":
        modulated(blocks[-1]["torgb"], "to_rgb.0")

    if "fc0" not in mapping:
        raise CheckpointError("a mapping network without layers; expected at least one")
    lr_mapping = mapping["fc0"].number("bias_gain")
    depth = 0
    while (fc := f"fc{depth}") in mapping:
        mapping[fc].expect("activation", "lrelu")
        mapping[fc].expect("bias_gain", lr_mapping)
        take(mapping[fc], f"mapping.{depth}", weight="weight", bias="bias")
        depth += 1
    if "embed" in mapping:
        take(mapping["embed"], "embed", weight="weight", bias="bias")
    take(mapping, "", w_avg="w_avg")
    return assemble(
        NAME,
        Arrays(arrays, budget),
        lr_mapping=lr_mapping,
        architecture=architecture,
        conv_clamp=conv_clamp,
    )


def _expect_filter(owner: Module) -> None:
    found = owner.tensor("resample_filter")
    expected = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    if found is None or found[1].shape != (4, 4) or not np.allclose(found[1], expected):
        raise CheckpointError("a resampling filter that is not [1, 3, 3, 1]; expected StyleGAN2's")


def _dict(value: Any) -> dict:
    return value if isinstance(value, dict) else {}

"""State dicts of generators, alone or in another one: under any key, with any prefix."""

import re
from typing import Any

from convert_weights.arrays import is_tensor
from convert_weights.limits import shortly
from ilo_jax.files.checkpoint import CheckpointError


def state_of(value: dict, sign: str) -> dict[str, Any] | None:
    """The tensors of the generator by name, without their prefix, those of an average if there are
    several; None if there is none.

    Args:
      sign: a name that every generator has.
    """
    candidates = {id(v): (str(k), v) for k, v in value.items() if isinstance(v, dict)}
    found = []
    for key, state in (*candidates.values(), ("", value)):
        for name, stored in state.items():
            if isinstance(name, str) and name.endswith(sign) and is_tensor(stored):
                prefix = name.removesuffix(sign)
                if not prefix or prefix.endswith("."):
                    found.append((f"{key}.{prefix}", prefix, state))
    if not found:
        return None
    _, prefix, state = min(found, key=lambda f: "ema" not in re.split(r"[._]", f[0].lower()))
    return {
        name.removeprefix(prefix): stored
        for name, stored in state.items()
        if isinstance(name, str) and name.startswith(prefix) and is_tensor(stored)
    }


def expect_all(form: str, tensors: dict[str, Any], used: set[str], missing: list[str]) -> None:
    """That nothing is missing and nothing is unknown, which would be another network.

    Raises:
      CheckpointError: with what is missing, unknown and found.
    """
    unknown = [name for name in tensors if name not in used]
    if missing or unknown:
        told = {"missing": missing, "unknown": unknown, "found": sorted(used & tensors.keys())}
        listed = "; ".join(f"{what} {shortly(names)}" for what, names in told.items() if names)
        raise CheckpointError(f"no StyleGAN2 generator in {form}: {listed}")

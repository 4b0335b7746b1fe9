"""State dicts of generators, alone or in another one: under any key, with any prefix."""

import re
from typing import Any

import numpy as np

from convert_weights.arrays import is_tensor, squeezed, tensor
from convert_weights.limits import shortly
from ilo_jax.files.checkpoint import CheckpointError


def taken_of(value: Any, sign: str) -> "Taken | None":
    """What is to be taken of a generator's tensors, without their prefix, those of an average if
    there are several; None if there is none.

    Args:
      sign: a name that every generator has.
    """
    if not isinstance(value, dict):
        return None
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
    return Taken(
        {
            name.removeprefix(prefix): stored
            for name, stored in state.items()
            if isinstance(name, str) and name.startswith(prefix) and is_tensor(stored)
        }
    )


class Taken:
    """What is taken of a state dict.

    Attributes:
      tensors: the state dict.
      arrays: by the new name, the old one and the array.
      used: old names that are known, there or not.
    """

    def __init__(self, tensors: dict[str, Any]):
        self.tensors = tensors
        self.arrays: dict[str, tuple[str, np.ndarray]] = {}
        self.used: set[str] = set()
        self._missing: list[str] = []

    def name(self, new: str, old: str, *ones: int, optional: bool = False) -> None:
        """Takes a tensor, without its axes `ones` of size 1."""
        self.used.add(old)
        if old in self.tensors:
            self.arrays[new] = old, squeezed(tensor(self.tensors[old]), *ones)
        elif not optional:
            self._missing.append(old)

    def expect_all(self, form: str) -> None:
        """That nothing is missing and nothing is unknown, which would be another network.

        Raises:
          CheckpointError: with what is missing, unknown and found.
        """
        unknown = [name for name in self.tensors if name not in self.used]
        if self._missing or unknown:
            found = sorted(self.used & self.tensors.keys())
            told = {"missing": self._missing, "unknown": unknown, "found": found}
            listed = "; ".join(f"{what} {shortly(names)}" for what, names in told.items() if names)
            raise CheckpointError(f"no StyleGAN2 generator in {form}: {listed}")


def expect_filter(name: str, found: np.ndarray, total: float, atol: float) -> None:
    """That a resampling filter is that of StyleGAN2, whose values have this sum.

    Raises:
      CheckpointError: it is another.
    """
    expected = total * np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    if found.shape != (4, 4) or not np.allclose(found.astype(np.float64), expected, atol=atol):
        raise CheckpointError(
            f"{name} is not that of [1, 3, 3, 1]; expected StyleGAN2's resampling filter"
        )

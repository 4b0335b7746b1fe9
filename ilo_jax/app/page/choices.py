"""What a visitor of the page chooses: how an image is measured, and how long it is searched."""

import dataclasses
import shlex
from collections.abc import Callable, Mapping
from typing import Any

PAINTED = "painted mask"
"""The kind whose mask the visitor paints."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A way to measure an image.

    Attributes:
      task: of the command line.
      option: what the amounts are values of.
      amounts: by what the page calls them; none of the painted mask.
      usual: the one that is chosen at first.
      weight: of total variation, from the amount; None where the biharmonic equation is better.
    """

    task: str
    option: str
    amounts: Mapping[str, float]
    usual: str
    weight: Callable[[float], float] | None = None

    def possible(self, side: int) -> list[str]:
        """The amounts that suit images of this side."""
        if self.task != "superres":
            return list(self.amounts)
        return [name for name, factor in self.amounts.items() if side % factor == 0]


# Weights of total variation: about the best of 1e-4 to 3, in half decades, on the bundled images.
KINDS: Mapping[str, Kind] = {
    PAINTED: Kind("inpaint", "mask", {}, ""),
    "few pixels": Kind(
        "inpaint",
        "observed",
        {"5 %": 0.05, "10 %": 0.1, "25 %": 0.25, "50 %": 0.5},
        "10 %",
    ),
    "small image": Kind(
        "superres", "factor", {"2x": 2, "4x": 4, "8x": 8, "16x": 16}, "4x", lambda _: 1e-3
    ),
    "noise": Kind(
        "denoise",
        "sigma",
        {"sigma 10": 10.0, "sigma 25": 25.0, "sigma 50": 50.0, "sigma 100": 100.0},
        "sigma 25",
        lambda sigma: sigma / 100,
    ),
    "blur": Kind(
        "blur",
        "sigma",
        {"1 pixel": 1.0, "2 pixels": 2.0, "4 pixels": 4.0},
        "2 pixels",
        lambda _: 1e-4,
    ),
    "compressed sensing": Kind(
        "compress",
        "measurements",
        {"5 %": 0.05, "10 %": 0.1, "25 %": 0.25},
        "10 %",
        lambda _: 0.01,
    ),
}
"""By what the page calls them."""

EFFORTS: Mapping[str, int] = {"quick": 25, "usual": 100, "long": 250}
"""Steps of each round."""

RESTARTS = 3


@dataclasses.dataclass(frozen=True)
class Chosen:
    """What is asked of an image.

    Attributes:
      kind: one of `KINDS`.
      amount: one of its amounts; of a painted mask its file.
      steps: of each round.
    """

    kind: str
    amount: str
    steps: int

    @property
    def options(self) -> dict[str, Any]:
        """Of the task."""
        kind = KINDS[self.kind]
        return {kind.option: kind.amounts.get(self.amount, self.amount)}

    @property
    def weight(self) -> float | None:
        """Of total variation; None without."""
        kind = KINDS[self.kind]
        return None if kind.weight is None else kind.weight(kind.amounts[self.amount])


def command(task: str, options: Mapping[str, Any], settings: Mapping[str, str], image: str) -> str:
    """The same on the command line."""
    words = ["ilo-jax", task]
    for name, value in options.items():
        words += [f"--{name}", value if isinstance(value, str) else f"{value:g}"]
    for name, value in settings.items():
        words += [f"--{name}", value]
    return shlex.join([*words, "--images", image, "--out", "results"])

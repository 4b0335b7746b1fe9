"""What an automatic choice tries, and what it says of what it chose."""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from ilo_jax.ops import Determined
from ilo_jax.priors import growth_factor
from ilo_jax.solve.candidates import CANDIDATES
from ilo_jax.solve.method import Method


@dataclasses.dataclass(frozen=True)
class Auto:
    """How much is tried.

    Attributes:
      candidates: names of `CANDIDATES`; those that a generator or a method has none of are left
        out.
      length: of the steps of a plain run, how many each of them and each restart has.
      fraction: of the measurement, held out while methods are tried.
      restarts: of which the result is one image; where they stop early, as many more as there are
        steps left for.
      most: of restarts of an image.
      combine: name in `combine.COMBINE`, what is made of the restarts.
      sparing: whether few runs of few steps have to do: of `from the mean` and `wide balls` only
        the one is tried that suits what is measured; Adam is `QUICK_ADAM`, with `quick_ramp`; and
        restarts are divided among all that are about as good also where there is no noise.
      sharp: whether the result is to have little LPIPS instead of little squared error.
    """

    candidates: tuple[str, ...] = tuple(CANDIDATES)
    length: float = 1.0
    fraction: float = 0.2
    restarts: int = 4
    most: int = 16
    combine: str = "mean"
    sparing: bool = False
    sharp: bool = False

    @property
    def cost(self) -> float:
        """In plain runs."""
        return self.length * (len(self.candidates) - self.sparing + self.restarts)


FULL = Auto()
QUICK = Auto(("as it is", "from the mean", "wide balls"), length=0.5, sparing=True)

EFFORTS = {"full": FULL, "quick": QUICK, "sharp": dataclasses.replace(FULL, sharp=True)}
"""By name: ten times a plain run, three times, and as much as the first or a single one."""


class Choice(NamedTuple):
    """What was chosen for each of `B` images, and what came of it.

    Attributes:
      image: `[B, H, W, C]`, the restarts' mean or what `Auto.combine` says; moved to the nearest
        image of the same measurement, as far as that is known, where it helped to meet what was
        held out.
      spread: `[B, H, W, C]`, standard deviation of the restarts.
      samples: of each image the restarts, `[K, H, W, C]` in [-1, 1], as the generator made them;
        `combined` makes one image of them.
      moved: `[B]`, whether the image was moved.
      status: `[B]`, `OK` or `NOT_FINITE`: no image of a trial or of a restart had a finite error.
      method: the best candidate, one of `CANDIDATES`.
      restarts: how many by each candidate: under noise or in a sparing choice, where the best may
        be best by chance, also by others that were about as good, and half of them near the mean
        where noise hides nearly all.
      radii: l1 radii of the deviations, infinite in rounds without one, `[B, rounds]`.
      round: the last round in use, from 0 (CSGM's) on, `[B]`.
      steps: over all rounds, `[B]`.
      held_out_error: what the best candidate had on what was held out, `[B]`; not finite where
        nothing can be held out, and the method was run as it is.
      trials: of each image and candidate, the steps to the end of each round and the least error
        that it had by then on what was held out; none where nothing was.
    """

    image: np.ndarray
    spread: np.ndarray
    samples: tuple[np.ndarray, ...]
    moved: np.ndarray
    status: np.ndarray
    method: tuple[str, ...]
    restarts: tuple[dict[str, int], ...]
    radii: np.ndarray
    round: np.ndarray
    steps: np.ndarray
    held_out_error: np.ndarray
    trials: tuple[dict[str, list[tuple[int, float]]], ...]

    def of_image(self, i: int) -> dict[str, Any]:
        """What was chosen for one image, without pictures; radii where there are any."""
        radii, error = self.radii[i], self.held_out_error[i].item()
        return {
            "method": self.method[i],
            "restarts": {name: n for name, n in self.restarts[i].items() if n},
            "radii": radii[np.isfinite(radii)].tolist(),
            "round": self.round[i].item(),
            "steps": self.steps[i].item(),
            "held_out_error": error if np.isfinite(error) else None,
            "trials": self.trials[i],
        }


def radii_in_use(method: Method, determined: Determined) -> np.ndarray:
    """`[B, rounds]`, l1 radii of a method as they are for each image, infinite where there is none.

    Args:
      determined: `[B]`.
    """
    images = len(determined.share)
    radii = np.min([np.asarray(r) for r in method.radii.v.values()], 0, initial=np.inf)
    if method.growth is not None:
        determined = jax.tree.map(lambda share: share[:, None], determined)
        radii = radii * np.asarray(growth_factor(method.growth, determined))
    return np.broadcast_to(radii, (images, method.rounds))

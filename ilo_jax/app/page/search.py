"""One image, measured and searched by CSGM and ILO at once, in steps that can be watched."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax import solve
from ilo_jax.app.metrics import Scores, evaluate, loses_colour
from ilo_jax.app.page.choices import KINDS, RESTARTS, Chosen
from ilo_jax.app.page.classical import biharmonic_image, total_variation_image
from ilo_jax.app.programs import kept_steps
from ilo_jax.app.run import Run
from ilo_jax.app.samples import Sample, measurement_error, picture_of, read_sample
from ilo_jax.app.settings import Settings
from ilo_jax.ops import Inpaint, noiseless
from ilo_jax.priors import Prior
from ilo_jax.solve.batch import batch_mesh

CHUNK = 10
"""Steps from one look to the next."""


FAR = 15
"""PSNR below which a result is doubted; radiographs have 18 and more, whatever is measured of them
(docs/quality.md)."""


class Look(NamedTuple):
    """How far a search is.

    Attributes:
      step, steps: over all rounds.
      rounds: how many there are.
      csgm, ilo, spread: `[H, W, C]`: CSGM's best image, the mean of ILO's restarts, and their
        standard deviation.
      ends: the mean at the end of each round that is over.
    """

    step: int
    steps: int
    rounds: int
    csgm: np.ndarray
    ilo: np.ndarray
    spread: np.ndarray
    ends: tuple[np.ndarray, ...]

    @property
    def round(self) -> int:
        """The one that is going on, from 1."""
        return min(len(self.ends) + 1, self.rounds)


@dataclasses.dataclass(frozen=True)
class Problem:
    """An image that is measured.

    Attributes:
      run: ILO's, as the command has it.
      csgm: the same of CSGM, with as many steps.
      sample: image and measurement.
      notes: what was changed of the image.
    """

    run: Run
    csgm: Run
    chosen: Chosen
    sample: Sample
    notes: tuple[str, ...]

    @property
    def classical(self) -> str:
        """The name of what it is compared with."""
        return "biharmonic" if self.chosen.weight is None else "total variation"

    @property
    def picture(self) -> np.ndarray:
        """The measurement, to look at."""
        return picture_of(self.sample, self.run.prior.facts.grey)

    def score(self, image: np.ndarray) -> tuple[Scores, float]:
        """Against the truth, and the mean squared error of the measurement."""
        sample = self.sample
        assert sample.truth is not None
        error = measurement_error(sample.operator, jnp.asarray(image), sample.measurement)
        return evaluate(sample.truth, image), float(error)


def measure(prior: Prior, generator: str, label: int | None, file: Path, chosen: Chosen) -> Problem:
    """Reads an image file and measures it, as the command does with the seed 0.

    Raises:
      InputError: it cannot be read, or its mask has nothing observed.
    """
    task, steps = KINDS[chosen.kind].task, (chosen.steps,) * rounds_of(prior)
    settings = Settings(
        task, chosen.options, None, 0, steps, generator=generator, label=label, samples=RESTARTS
    )
    run = Run.create(settings, prior)
    alone = dataclasses.replace(settings, method="csgm", steps=(sum(steps),), samples=1)
    sample, note = read_sample(run, file)
    return Problem(run, Run.create(alone, prior), chosen, sample, (note,) if note else ())


def search(problem: Problem) -> Iterator[Look]:
    """Looks at the search, the last one when it is done."""
    run, sample = problem.run, problem.sample
    method = solve.stack([problem.csgm.method, *[run.method] * RESTARTS])
    key = run.image_key(sample.file)
    keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.array([1, *range(1, RESTARTS + 1)]))
    images = 1 + RESTARTS
    measurement = jax.tree.map(lambda y: jnp.stack([y] * images), sample.measurement)
    mesh = batch_mesh(images)
    state = solve.init(run.prior, sample.operator, measurement, keys, method, mesh=mesh)
    total = method.max_steps or 0
    ends = list(itertools.accumulate(np.asarray(run.method.steps).tolist()))
    for step in range(CHUNK, total + CHUNK, CHUNK):
        state = kept_steps(state, CHUNK, mesh)
        yield _look(state.search, min(step, total), ends)


def _look(found: solve.Search, step: int, ends: list[int]) -> Look:
    best = np.clip(np.asarray(found.best.image), -1, 1)
    rounds = np.clip(np.asarray(found.rounds.image[1:]), -1, 1).mean(0)
    over = [image for image, end in zip(rounds, ends, strict=True) if end <= step]
    mean, spread = best[1:].mean(0), best[1:].std(0)
    return Look(step, ends[-1], len(ends), best[0], mean, spread, tuple(over))


def rounds_of(prior: Prior) -> int:
    """ILO's usual number, or as many as the generator has cuts for."""
    return min(4, 1 + len(prior.usual_cuts))


def classical(problem: Problem) -> np.ndarray:
    """The image `[H, W, C]` of `Problem.classical`."""
    sample, weight = problem.sample, problem.chosen.weight
    if weight is None:
        assert isinstance(sample.operator, Inpaint)
        found = biharmonic_image(sample.operator, sample.measurement)
    else:
        operator, grey = noiseless(sample.operator), problem.run.prior.facts.grey
        found = total_variation_image(operator, sample.measurement, weight, grey)
    return np.clip(np.asarray(found), -1, 1)


def doubts(problem: Problem, look: Look) -> list[str]:
    """Why a result is not to be believed."""
    truth = problem.sample.truth
    assert truth is not None
    found = []
    if loses_colour(truth, look.ilo):
        found.append(
            "The image is in colour and its reconstruction is grey: this generator has never seen "
            "such images, and what it shows is invented."
        )
    if evaluate(truth, look.ilo).psnr_db < FAR:
        found.append(
            f"The reconstruction is less than {FAR} dB near the image: either next to nothing was "
            "measured, or the generator has never seen such images."
        )
    return found

"""Where images start from: at random, from another run's variables, or from the last frame's."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ilo_jax.app.methods import has_reference
from ilo_jax.app.results import Results
from ilo_jax.app.run import Run
from ilo_jax.app.samples import Sample, stack
from ilo_jax.files.variables import image_of, load_variables
from ilo_jax.solve import Method, Variables
from ilo_jax.solve.variables import with_cuts, zeros


def method_from(run: Run, batch: Sequence[Sample]) -> Method:
    """How a batch is solved, all or none of whose images start from variables."""
    return run.method if not batch[0].initial else run.from_variables


def stacked_starts(run: Run, runs: Sequence[tuple[Sample, int]]) -> Variables | None:
    """Of samples, each with the number of the restart, from 1; a deviation at the cuts of all."""
    given = [s.initial[(k - 1) % len(s.initial)] for s, k in runs if s.initial]
    if not given:
        return None
    cuts = tuple(sorted({cut for x in given for cut in x.v}))
    return stack([with_cuts(x, zeros(run.prior, cuts)) for x in given])


def frame_before(run: Run, results: Results, paths: Sequence[Path], file: Path) -> Path | None:
    """The nearest earlier frame of a video that is finished."""
    if not run.settings.video:
        return None
    finished = results.finished()
    before = [p for p in paths[: paths.index(file)] if p.stem in finished]
    return results.variables(before[-1].stem) if before else None


def with_start(run: Run, sample: Sample, before: Path | None) -> Sample:
    """With the variables to start from: the last frame's, or those of another run."""
    if before is not None:
        initial, reference = load_variables(before, run.prior), sample.reference
        if reference is None and has_reference(run.from_variables):
            reference = image_of(run.prior, initial)
        return dataclasses.replace(sample, initial=(initial,), reference=reference)
    found = tuple(load_variables(path, run.prior) for path in run.starts(sample.file))
    return dataclasses.replace(sample, initial=found)

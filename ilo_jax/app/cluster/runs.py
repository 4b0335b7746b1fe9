"""The runs of a sweep, as a worker does them."""

from collections.abc import Sequence
from pathlib import Path

from ilo_jax.app.cluster.reading import Said, read_batches
from ilo_jax.app.cluster.work import Done, Work
from ilo_jax.app.grid import Plan
from ilo_jax.app.metrics import Row
from ilo_jax.app.pipeline import program_size
from ilo_jax.app.run import Run
from ilo_jax.app.sweep import of_image


def images_at_once(plan: Plan, width: int) -> int:
    """Whose runs are in a program of at most `width`, as the plain command has them."""
    return max(1, width // plan.runs)


def parts_of(plan: Plan, width: int) -> list[range]:
    """Numbers of the runs of an image in each of its programs: one has all of them, or they are
    those of one image."""
    size = program_size(plan.runs, width, 1)
    starts = range(0, plan.runs, size)
    return [range(start, min(start + size, plan.runs)) for start in starts]


def runs_into(
    plan: Plan,
    parts: Sequence[range],
    run: Run,
    work: Work,
    places: range,
    _: Path,
    named: dict[str, str],
) -> Done:
    """Runs of the images of a batch that are not there yet; `parts` as `parts_of` has them."""
    said, rows = Said(), list[Row]()

    def failed(file: Path, digest: str, reason: str) -> None:
        rows.append(Row.failed(file.stem, digest, reason))

    batches, same = read_batches(run, work, places, named, said, failed)
    runs: list[dict[str, str]] = []
    for batch in batches:
        size = program_size(len(batch.samples) * plan.runs, run.width, 1)
        if len(parts) > 1:
            (sample,) = batch.samples
            wanted = parts[work.part]
            found = plan.solve_some(run, sample, size, wanted)
            runs += plan.rows(sample, wanted, found)
            continue
        found = plan.solve(run, batch.samples, size)
        for place, sample in batch.wanted.items():
            runs += plan.rows(sample, parts[0], of_image(found, place))
    return Done(tuple(rows), runs=tuple(runs), said=tuple(said.lines), same=same)

"""What a worker reads: files, or what was read elsewhere laid out as such."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ilo_jax.app.cluster.work import Work
from ilo_jax.app.inputs import Inputs, inputs_of
from ilo_jax.app.run import Run
from ilo_jax.app.samples import Reader, Sample, kind_of
from ilo_jax.app.settings import Settings
from ilo_jax.app.starts import with_start
from ilo_jax.files.images import write_png
from ilo_jax.priors import Prior

COLUMN = "column"
"""As `--mask`: each image's own is beside it, in the column or the field `mask`."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Samples of one kind.

    Attributes:
      wanted: by their place in the batch.
      samples: of all places. What is not wanted leaves its place to another: where an image is in a
        program, and how large that is, may change its last digits.
    """

    wanted: Mapping[int, Sample]
    samples: list[Sample]


def read_batches(
    run: Run,
    work: Work,
    places: range,
    named: Mapping[str, str],
    said: "Said",
    failed: Callable[[Path, str, str], None],
) -> tuple[list[Batch], int]:
    """What is to be solved, and how many are there already.

    Args:
      named: digests of what the settings name.
      failed: gets a file that cannot be read, its digest, and why.
    """
    files = [Path(file) for file in work.files]
    inputs = Inputs(run, files, named)
    wanted = [i for i in places if inputs.digest(files[i]) != work.known.get(files[i].stem)]
    if work.whole and wanted:
        wanted = list(places)
    reader = Reader(run, inputs, said.say, failed)
    place_of = {files[i]: i for i in wanted}
    read = reader.read([files[i] for i in wanted], lambda sample: with_start(run, sample, None))
    samples = {place_of[sample.file]: sample for sample in read}
    kinds: dict[Any, dict[int, Sample]] = {}
    for place, sample in samples.items():
        kinds.setdefault(kind_of(sample), {})[place] = sample
    batches = []
    for alike in kinds.values():
        filler = _filler(run, next(iter(alike.values())))
        batches.append(Batch(alike, [alike.get(i, filler) for i in range(len(files))]))
    return batches, len(places) - len(wanted)


def _filler(run: Run, sample: Sample) -> Sample:
    """The same, in a place of its own: an operator that is not shared stays one of each image."""
    if sample.operator is run.operator:
        return sample
    return dataclasses.replace(sample, operator=jax.tree.map(lambda x: x, sample.operator))


def named_inputs(settings: Settings) -> dict[str, str]:
    """As `inputs_of`; masks in a column are those of single images."""
    options = {name: value for name, value in settings.options.items() if value != COLUMN}
    return inputs_of(dataclasses.replace(settings, options=options))


def laid_out(run: Run, work: Work, folder: Path) -> tuple[Run, Work]:
    """With what was read laid out as files, so that there is one way to read an image."""
    if work.contents is None:
        return run, work
    folder.mkdir()
    files = [folder / name for name in work.files]
    for file, content in zip(files, work.contents, strict=True):
        if content is not None:
            file.write_bytes(content)
    if work.masks is not None:
        masks = folder / "masks"
        masks.mkdir()
        for file, content in zip(files, work.masks, strict=True):
            (masks / f"{file.stem}.png").write_bytes(content)
        run = dataclasses.replace(run, settings=with_masks(run.settings, masks))
    return run, dataclasses.replace(work, files=tuple(map(str, files)))


def with_masks(settings: Settings, folder: Path) -> Settings:
    """The masks of a column, in files."""
    return dataclasses.replace(settings, options={**settings.options, "mask": str(folder)})


@contextlib.contextmanager
def masks_of_nobody(settings: Settings, prior: Prior) -> Iterator[Settings]:
    """Where masks are in a column, a folder of one: a run is made before any image is read."""
    if settings.options.get("mask") != COLUMN:
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="ilo_jax_") as folder:
        write_png(Path(folder) / "any.png", np.ones((*prior.image_shape[:2], 1), np.float32))
        yield with_masks(settings, Path(folder))


class Said:
    """A `Reporter` whose lines go with the batch."""

    def __init__(self):
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def batch(self, done: int, count: int, total: int, rounds: Sequence[int]) -> None:
        pass

    def progress(self, steps: int) -> None:
        pass

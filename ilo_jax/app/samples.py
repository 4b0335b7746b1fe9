"""From image files to measurements, and to what a contact sheet shows of them."""

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ilo_jax import ops
from ilo_jax.app.inputs import Inputs
from ilo_jax.app.measurements import in_units, read_measurement, units_of_input
from ilo_jax.app.metrics import GREY, Row, colourfulness
from ilo_jax.app.run import Run
from ilo_jax.app.units import limits_of, phase_note
from ilo_jax.errors import InputError
from ilo_jax.files import images
from ilo_jax.files.contact_sheet import Tile
from ilo_jax.files.samples import Limits
from ilo_jax.ops import Noise, Operator, as_stored
from ilo_jax.solve import Variables


@dataclasses.dataclass(frozen=True)
class Sample:
    """An image file: its truth `[H, W, C]` (None with `measured`), the operator that knows its
    noise, its measurement, the reference and where to start from, for all restarts or each, if
    there are any, the digest of all of it, and what is black and white in the file where arrays are
    in its units."""

    file: Path
    truth: np.ndarray | None
    operator: Operator
    measurement: Any
    reference: np.ndarray | None = None
    initial: tuple[Variables, ...] = ()
    digest: str = ""
    units: Limits | None = None


def read_sample(run: Run, file: Path) -> tuple[Sample, str | None]:
    """Reads and measures an image file, or reads a measurement; with a note on what was changed.

    Raises:
      InputError: it cannot be read, or its measurement is not finite.
    """
    sample, note = _read_sample(run, file)
    if run.settings.units != "input":
        return sample, note
    units = units_of_input(file, run.operator_to_read(file), run.settings)
    return dataclasses.replace(sample, units=units), note


def _read_sample(run: Run, file: Path) -> tuple[Sample, str | None]:
    reference, settings = run.reference(file), run.settings
    if settings.measured:
        found = read_measurement(file, run.operator_to_read(file), settings)
        operator = run.operator_of(file, found.value)
        measurement = _finite(file, in_units(file, operator, found, settings))
        if found.is_image:
            operator = as_stored(operator, measurement, found.step)
        elif isinstance(operator, Noise):
            operator = operator.known(measurement)
        notes = [*found.notes, phase_note(file, operator, found.value)]
        said = "; ".join(note for note in notes if note)
        return Sample(file, None, operator, measurement, reference), said or None
    truth, note = images.read_image(
        file, run.prior.image_shape, limits_of(settings), settings.slice
    )
    operator = run.operator_of(file)
    measurement = _measure(operator, run.image_key(file), truth)
    return Sample(file, truth, operator, _finite(file, measurement), reference), note


def _finite(file: Path, measurement: Any) -> Any:
    if all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(measurement)):
        return measurement
    raise InputError(f"{file}: its measurement is not finite; expected finite numbers")


@dataclasses.dataclass
class Reader:
    """Reads what can be read, one after the other.

    Attributes:
      run: what measures it.
      inputs: digests, each noted before its file is read, so that a change in between is noticed
        by the next run.
      say: gets a line on what was changed or left out.
      failed: gets the files that are left out, with digest and reason.
    """

    run: Run
    inputs: Inputs
    say: Callable[[str], None]
    failed: Callable[[Path, str, str], None]

    def read(
        self,
        files: Iterable[Path],
        complete: Callable[[Sample], Sample] = lambda sample: sample,
        alone: bool = False,
    ) -> Iterator[Sample]:
        """Samples of files, each when it is asked for.

        Args:
          complete: adds to a sample, or raises `InputError` as reading does.
          alone: whether there is only one file, which is not left out.

        Raises:
          InputError: the only file cannot be read.
        """
        for file in files:
            digest = self.inputs.digest(file)
            try:
                sample, note = read_sample(self.run, file)
                sample = complete(sample)
            except InputError as error:
                if alone:
                    raise
                self.say(f"skipped: {error}")
                self.failed(file, digest, str(error))
                continue
            if note:
                self.say(note)
            yield dataclasses.replace(sample, digest=digest)


@jax.jit
def _measure(operator: Operator, key: jax.Array, x: jax.Array) -> Any:
    return operator.measure(jax.random.fold_in(key, 0), x)


@jax.jit
def measurement_error(operator: Operator, x: jax.Array, measurement: Any) -> jax.Array:
    """Of one image `[H, W, C]`."""
    return operator.squared_error(operator(x), measurement)


def tiles_of(run: Run, file: Path, found: Sequence[tuple[np.ndarray, Row]]) -> list[Tile]:
    """A row of a contact sheet: truth (if there is one), measurement, reconstructions."""
    sample, _ = _read_sample(run, file)
    picture = picture_of(sample, run.prior.facts.grey)
    if sample.truth is None:
        return [Tile(picture, file.stem), *(Tile(image) for image, _ in found)]
    numbers = {k: v for k, v in run.settings.options.items() if isinstance(v, (int, float))}
    return [
        Tile(sample.truth, file.stem),
        Tile(picture, " ".join(f"{name} {value:g}" for name, value in numbers.items())),
        *(Tile(image, f"{row.psnr_db:.2f} dB") for image, row in found),
    ]


def picture_of(sample: Sample, grey: bool) -> np.ndarray:
    """The measurement `[h, w, 1 or 3]` in [-1, 1], to look at.

    Args:
      grey: whether all channels of the generator's images are equal. Then, of a grey image, the
        mean of the channels is all that noise leaves to be known.
    """
    picture = np.asarray(sample.operator.picture(sample.measurement))
    truth = sample.truth
    if grey and truth is not None and colourfulness(truth) < GREY:
        picture = picture.mean(-1, keepdims=True)
    return np.clip(picture, -1, 1)


ERROR_SCALE = 5
"""Of error maps: a fifth of the range from black to white is white."""


def error_map(truth: np.ndarray, image: np.ndarray) -> Tile:
    """`[H, W, 1]`, how far an image is from the truth, mean of the channels."""
    distance = np.abs(image - truth).mean(-1, keepdims=True)
    return Tile(np.clip(ERROR_SCALE * distance - 1, -1, 1), f"times {ERROR_SCALE}")


def batch_operator(samples: Sequence[Sample]) -> Operator:
    """Of a batch: one for all, or with arrays for each.

    Raises:
      InputError: those of the images are not alike.
    """
    first = samples[0].operator
    if all(sample.operator is first for sample in samples):
        return first
    return ops.stack([sample.operator for sample in samples])


def kind_of(sample: Sample) -> Hashable:
    """Of samples that may be in one batch: operators of one structure, with arrays of one shape."""
    leaves, structure = jax.tree.flatten(sample.operator)
    return structure, tuple(map(np.shape, leaves))


def stack(trees: Sequence[Any]) -> Any:
    """Pytrees along a new first axis of each leaf; in NumPy, for which nothing is compiled."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)

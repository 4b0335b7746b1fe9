"""From a task's options, as a user gives them, to its operator."""

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ilo_jax import ops
from ilo_jax.app.builders import Maps
from ilo_jax.app.task import Task
from ilo_jax.app.tasks import TASKS
from ilo_jax.errors import InputError
from ilo_jax.files import masks
from ilo_jax.files.digest import digest_of
from ilo_jax.files.find import file_of
from ilo_jax.files.functions import digest_of_function, load_function
from ilo_jax.files.greys import read_greys
from ilo_jax.files.jpeg import Compression, compression_by, compression_of
from ilo_jax.ops import Operator
from ilo_jax.ops.base import Shape

ZEROS = "zeros"
"""Instead of a mask's file: the zeros of each measurement are what was not sampled."""

ONE = "one"
"""Instead of maps: one coil, which sees all of the image alike."""

ESTIMATE = "estimate"
"""Instead of maps: those in the middle of each measurement's own k-space."""

FILE = "file"
"""Instead of a quality: the tables of each file that was measured."""

_MOST_KERNEL_PIXELS = 2**24


class Place(NamedTuple):
    """What an option is read for.

    Attributes:
      image_shape: of the images that the operator measures.
      name: of the image whose operator it is; None for any, where only sizes matter.
      measured: the image's measurement, where it was read from a file.
      file: that file.
      coils: how many have measured, where their maps are estimated; as many maps stand for those
        of a measurement that is still to be read.
    """

    image_shape: Shape
    name: str | None = None
    measured: Any = None
    file: Path | None = None
    coils: int = 1


def build_operator(
    key: jax.Array,
    task: Task,
    options: Mapping[str, Any],
    image_shape: Shape,
    name: str | None = None,
    measured: Any = None,
    file: Path | None = None,
    coils: int = 1,
) -> Operator:
    """Reads what the options name, such as files, and builds the operator.

    Args:
      options: of one of the task's forms; those with a default may be missing.
      name, measured, file, coils: see `Place`.

    Raises:
      InputError: a bad value, or options that do not go together.
    """
    place = Place(image_shape, name, measured, file, coils)
    values = task.complete(options)
    for option in task.options:
        if option.name in values:
            given = values[option.name]
            try:
                values[option.name] = READERS[option.type].read(given, place)
            except InputError as error:
                raise InputError(f"{option.name} {error}") from error
    return task.build(key, image_shape, **values)


def links(task: Task, options: Mapping[str, Any]) -> list[tuple[Task, Mapping[str, Any]]]:
    """The tasks of a chain with their options; of any other task, itself.

    Raises:
      InputError: a chain that is not understood.
    """
    return parse_chain(options["chain"]) if "chain" in options else [(task, options)]


def parse_chain(text: str) -> list[tuple[Task, Mapping[str, Any]]]:
    """`TASK NAME=VALUE ..., TASK ...` -> tasks and their options, values still as text.

    Raises:
      InputError: not of this form, or not a task.
    """
    return [_parse_link(link) for link in text.split(",")]


def _parse_link(text: str) -> tuple[Task, Mapping[str, Any]]:
    try:
        name, *settings = shlex.split(text)
        options = dict(setting.split("=", 1) for setting in settings)
    except ValueError as error:
        raise InputError(f"{text.strip()!r}: expected TASK NAME=VALUE ..., TASK ...") from error
    tasks = [task for task in TASKS if task != "compose"]
    if name not in tasks:
        raise InputError(f"{name!r}: not a task of a chain; expected one of {', '.join(tasks)}")
    return TASKS[name], options


def read_kernel(path: str) -> np.ndarray:
    """The grey values of an image file, as they are stored: float `[h, w]`.

    Raises:
      InputError: it cannot be read, is too large, or all of it is black.
    """
    kernel = read_greys(path, _MOST_KERNEL_PIXELS)
    if not kernel.sum(dtype=np.float64) > 0:
        raise InputError(f"{path}: all black; expected a kernel with white in it")
    return kernel


class Reader(NamedTuple):
    """How help shows a type of option, `(given, place)` to what `build` takes, of what the option
    only names, the digest, from the text of the command line to what is given, whether it may be a
    folder of one file for each image, and words instead of a file."""

    metavar: str
    read: Callable[[Any, Place], Any]
    digest: Callable[[str], str] | None = None
    given: Callable[[str], Any] = str
    by_image: bool = False
    words: tuple[str, ...] = ()


def named(task: Task, options: Mapping[str, Any]) -> Iterator[tuple[str, Reader]]:
    """The files, folders and functions among the options, those of a chain with them."""
    for one, chosen in links(task, options):
        for option in one.options:
            reader = READERS[option.type]
            given = chosen.get(option.name)
            if reader.digest is not None and given not in (None, *reader.words):
                yield given, reader


def own_folders(task: Task, options: Mapping[str, Any]) -> list[str]:
    """Those that hold a file for each image."""
    return [
        given for given, reader in named(task, options) if reader.by_image and os.path.isdir(given)
    ]


def differs_by_image(task: Task, options: Mapping[str, Any]) -> bool:
    """Whether each image has an operator of its own."""
    asks = (asks_for_zeros, asks_for_estimate, asks_for_file)
    by_measurement = any(asked(task, options) for asked in asks)
    return by_measurement or bool(own_folders(task, options))


def asks_for_zeros(task: Task, options: Mapping[str, Any]) -> bool:
    """Whether an operator is what a measurement's zeros say."""
    return any(options.get("mask") == ZEROS for _, options in links(task, options))


def asks_for_estimate(task: Task, options: Mapping[str, Any]) -> bool:
    """Whether an operator's maps are found in a measurement."""
    return any(options.get("maps") == ESTIMATE for _, options in links(task, options))


def asks_for_file(task: Task, options: Mapping[str, Any]) -> bool:
    """Whether an operator is what the file of a measurement says."""
    return any(
        option.type == "quality" and chosen.get(option.name, option.default) == FILE
        for one, chosen in links(task, options)
        for option in one.options
    )


def _number(kind: type, expected: str) -> Callable[[Any, Place], Any]:
    def read(given: Any, _: Place) -> Any:
        try:
            return kind(given)
        except ValueError as error:
            raise InputError(f"{given}: expected {expected}") from error

    return read


def _of_image(read: Callable[[str, Shape], Any]) -> Callable[[str, Place], Any]:
    """Reads a file, or the one of the place's image in a folder."""

    def read_own(path: str, place: Place) -> Any:
        file = file_of(path, place.name) if os.path.isdir(path) else path
        return read(str(file), place.image_shape)

    return read_own


def _sampling(given: str, place: Place) -> np.ndarray:
    """A mask of k-space."""
    height, width, _ = place.image_shape
    if given != ZEROS:
        return _of_image(masks.read_sampling)(given, place)
    if place.measured is None:
        return np.ones((height, width, 1), np.float32)
    sampled = np.asarray(place.measured).reshape(-1, height, width, *place.measured.shape[-2:])
    return (sampled != 0).any((0, -1, -2))[..., None].astype(np.float32)


def _maps(given: str, place: Place) -> Maps:
    if given == ONE:
        return None
    if given != ESTIMATE:
        return _of_image(masks.read_maps)(given, place)
    if place.measured is None:
        return np.ones((place.coils, *place.image_shape[:2], 1), np.complex64)
    parts = np.asarray(place.measured)
    k_space = (parts[..., 0] + 1j * parts[..., 1]).mean(-1)  # coils see all channels alike

    def estimated(mask: np.ndarray) -> np.ndarray:
        try:
            return ops.estimate_maps(k_space * mask[..., 0])
        except InputError as error:
            told = str(error).removeprefix("k_space: ")
            raise InputError(f"{place.file}: --maps {ESTIMATE}: {told}") from error

    return estimated


def _compression(given: int | str, place: Place) -> Compression:
    """By a quality, or as the measurement's file has it; where only sizes matter, any."""
    if given != FILE:
        return compression_by(_int(given, place))
    return compression_by(75) if place.file is None else compression_of(place.file)


def _builders(text: str, place: Place) -> list[Callable[[jax.Array, Shape], Operator]]:
    def builder(task: Task, options: Mapping[str, Any]) -> Callable[[jax.Array, Shape], Operator]:
        return lambda key, image_shape: build_operator(
            key, task, options, image_shape, place.name, place.measured, place.file, place.coils
        )

    return [builder(*link) for link in parse_chain(text)]


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _whole_or_text(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


_float = _number(float, "a number")
_int = _number(int, "a whole number")

READERS = {
    float: Reader("X", _float, given=float),
    int: Reader("N", _int, given=int),
    "quality": Reader("N", _compression, given=_whole_or_text),
    "filter": Reader("NAME", lambda given, _: given),
    "number or auto": Reader(
        "X", lambda given, _: None if given == "auto" else _float(given, _), given=_number_or_text
    ),
    "mask": Reader("PATH", _of_image(masks.read_mask), digest_of, by_image=True),
    "alpha": Reader("PATH", _of_image(masks.read_alpha), digest_of, by_image=True),
    "sampling": Reader("PATH", _sampling, digest_of, by_image=True, words=(ZEROS,)),
    "maps": Reader("PATH", _maps, digest_of, by_image=True, words=(ONE, ESTIMATE)),
    "matrix": Reader("FILE", lambda path, _: masks.read_matrix(path), digest_of),
    "kernel": Reader("FILE", lambda path, _: read_kernel(path), digest_of),
    "function": Reader("MODULE:FUNCTION", lambda text, _: load_function(text), digest_of_function),
    "chain": Reader("TASKS", _builders),
}
"""By `Option.type`."""

"""From a task's options, as a user gives them, to its operator."""

import shlex
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from ilo_jax.app.tasks import TASKS, Task
from ilo_jax.errors import InputError
from ilo_jax.files.digest import digest_of
from ilo_jax.files.functions import digest_of_function, load_function
from ilo_jax.files.greys import read_greys
from ilo_jax.files.images import read_mask
from ilo_jax.ops import Operator
from ilo_jax.ops.base import Shape

_MOST_KERNEL_PIXELS = 2**24


def build_operator(
    key: jax.Array, task: Task, options: Mapping[str, Any], image_shape: Shape
) -> Operator:
    """Reads what the options name, such as files, and builds the operator.

    Args:
      options: of one of the task's forms; those with a default may be missing.

    Raises:
      InputError: a bad value, or options that do not go together.
    """
    values = task.complete(options)
    for option in task.options:
        if option.name in values:
            given = values[option.name]
            try:
                values[option.name] = READERS[option.type].read(given, image_shape)
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
    """How help shows a type of option, `(given, image_shape)` to what `build` takes, of what the
    option only names, the digest, and from the text of the command line to what is given."""

    metavar: str
    read: Callable[[Any, Shape], Any]
    digest: Callable[[str], str] | None = None
    given: Callable[[str], Any] = str


def _number(kind: type, expected: str) -> Callable[[Any, Shape], Any]:
    def read(given: Any, _: Shape) -> Any:
        try:
            return kind(given)
        except ValueError as error:
            raise InputError(f"{given}: expected {expected}") from error

    return read


def _mask(path: str, image_shape: Shape) -> np.ndarray:
    height, width, _ = image_shape
    return read_mask(path, (height, width))


def _builders(text: str, _: Shape) -> list[Callable[[jax.Array, Shape], Operator]]:
    def builder(task: Task, options: Mapping[str, Any]) -> Callable[[jax.Array, Shape], Operator]:
        return lambda key, image_shape: build_operator(key, task, options, image_shape)

    return [builder(*link) for link in parse_chain(text)]


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


_float = _number(float, "a number")

READERS = {
    float: Reader("X", _float, given=float),
    int: Reader("N", _number(int, "a whole number"), given=int),
    "number or auto": Reader(
        "X", lambda given, _: None if given == "auto" else _float(given, _), given=_number_or_text
    ),
    "mask": Reader("FILE", _mask, digest_of),
    "kernel": Reader("FILE", lambda path, _: read_kernel(path), digest_of),
    "function": Reader("MODULE:FUNCTION", lambda text, _: load_function(text), digest_of_function),
    "chain": Reader("TASKS", _builders),
}
"""By `Option.type`."""

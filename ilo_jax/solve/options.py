"""From a task's options, as a user gives them, to its operator."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from ilo_jax.ops import Operator, Task
from ilo_jax.ops.base import Shape
from ilo_jax.solve.images import read_mask


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
            values[option.name] = READERS[option.type].read(values[option.name], image_shape)
    return task.build(key, image_shape, **values)


class Reader(NamedTuple):
    """How help shows a type of option, and `(given, image_shape)` to what `build` takes."""

    metavar: str
    read: Callable[[Any, Shape], Any]


def _mask(path: str, image_shape: Shape) -> Any:
    height, width, _ = image_shape
    return read_mask(path, (height, width))


READERS = {
    float: Reader("X", lambda value, _: float(value)),
    int: Reader("N", lambda value, _: int(value)),
    "mask": Reader("FILE", _mask),
}
"""By `Option.type`."""

"""From names of the library to options of the command line, in what an error says."""

import re
from collections.abc import Iterable

from ilo_jax.app.tasks import TASKS
from ilo_jax.errors import InputError

_OPTIONS = {
    "steps": "steps",
    "cut": "cuts",
    "cuts": "cuts",
    "rate": "lr",
    "radius": "radii",
    "radii": "radii",
    "weight": "weights",
    "loss": "weights",
}
"""What messages of `ilo_jax.solve` begin with, and the option that each is about."""


def with_flags(error: InputError, tasks: Iterable[str]) -> str:
    """The message; where it begins with a field of a method or an option of one of the tasks, with
    `--OPTION` instead."""
    of_tasks = {o.name: o.name for name in tasks if name in TASKS for o in TASKS[name].options}
    message = str(error)
    name = re.match(r"\w+(?=[ :])", message)
    option = (_OPTIONS | of_tasks).get(name[0]) if name else None
    if name is None or option is None:
        return message
    return f"--{option}{message[name.end() :]}"

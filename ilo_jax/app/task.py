"""What a row of the table of tasks says."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ilo_jax import ops
from ilo_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Option:
    """A command-line option of a task.

    Attributes:
      name: `--name`, and the keyword of the task's `build`.
      type: `float`, `int`, or what a text names, such as "mask": see `READERS` in `options.py`.
      help: one line.
      default: None if it must be given.
    """

    name: str
    type: type | str
    help: str
    default: Any = None


Form = tuple[Option, ...]
"""Options that go together."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A row of the table: how a kind of measurement is named, asked for, and built.

    Attributes:
      name: on the command line.
      help: one line.
      build: `(key, image_shape, **options) -> Operator`, with all options of one of the forms;
        raises `InputError` for a bad value.
      forms: ways to ask for it, of which a user takes one. Where there are several, each begins
        with an option of its own that has no default.
      examples: options that the tests run, sizes up to 16x16x3.
      demo: options of the demo; None if it is not in the demo.
      aliases: other spellings of its name.
    """

    name: str
    help: str
    build: Callable[..., ops.Operator]
    forms: tuple[Form, ...] = ((),)
    examples: tuple[Mapping[str, Any], ...] = ({},)
    demo: Mapping[str, Any] | None = None
    aliases: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[Option, ...]:
        """Those of all forms, each once."""
        return tuple(dict.fromkeys(option for form in self.forms for option in form))

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options of the form that was taken, with their defaults.

        Raises:
          InputError: what is given is none of the forms.
        """
        for form in self.forms:
            required = {option.name for option in form if option.default is None}
            if required <= given.keys() <= {option.name for option in form}:
                return {option.name: given.get(option.name, option.default) for option in form}
        forms = " | ".join(
            " ".join(o.name if o.default is None else f"[{o.name}]" for o in form) or "no options"
            for form in self.forms
        )
        raise InputError(f"{' '.join([self.name, *given])}: expected {forms}")

"""`--config FILE`: options from a file, TOML or the `run.json` of an earlier run."""

import argparse
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ilo_jax.app.help import meant
from ilo_jax.app.tasks import TASKS
from ilo_jax.errors import InputError, one_line
from ilo_jax.files.regular import read_regular

_BYTES = 2**20


def with_config(argv: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """The command line with the options of `--config` in front; those that are given go before.

    Raises:
      InputError: the file cannot be read, or has what is no option of its task.
    """
    given = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    given.add_argument("--config")
    found, rest = given.parse_known_args(argv)
    if found.config is None:
        return list(argv)
    path = Path(found.config)
    chosen = _read(path)
    named, task = chosen.pop("task", None), None
    parsers, at = _parsers(parser), _place_of_task(rest, parser)
    if at is not None and rest[at] in parsers:
        task = parsers[rest.pop(at)].get_default("task")  # which may be spelled otherwise
    elif at is None:
        task = named
    if task not in TASKS or named not in (None, task):
        raise InputError(
            f"{path}: task {named}; expected one of {', '.join(TASKS)}, the same as in the command"
        )
    of_task = parsers[task]
    there = {_action(of_task, word.partition("=")[0]) for word in rest if word.startswith("--")}
    for group in of_task._mutually_exclusive_groups:
        if there & {*group._group_actions}:
            there |= {*group._group_actions}
    tokens: list[str] = []
    for name, value in chosen.items():
        option = f"--{name.replace('_', '-')}"
        action = of_task._option_string_actions.get(option)
        if action is None:
            names = (there.removeprefix("--") for there in of_task._option_string_actions)
            raise InputError(f"{path}: {name} is no option of {task}{meant(name, names)}")
        if action not in there:
            tokens += _words(path, name, option, action, value)
    return [task, *tokens, *rest]


def _read(path: Path) -> dict[str, Any]:
    content = read_regular(path, _BYTES)
    try:
        text = content.decode()
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: no TOML, or JSON ({one_line(error)})") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected options by name")
    if "made_by" not in found:
        return found
    match found["made_by"]:
        case {"given": {"options": dict(options), **chosen}}:
            return {**chosen, **options}
    raise InputError(f"{path}: damaged; expected what a run was asked for, as run.json has it")


def _parsers(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """Of the tasks, under all their names."""
    (tasks,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return tasks.choices


def _place_of_task(words: Sequence[str], parser: argparse.ArgumentParser) -> int | None:
    """Where a command line names its task: behind the options of the whole command, each of which
    has a value. None where the options of a task follow instead, or nothing."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        name, equals, _ = words[at].partition("=")
        if _action(parser, name) is None:
            return None
        at += 1 if equals else 2
    return at if at < len(words) else None


def _action(parser: argparse.ArgumentParser, word: str) -> argparse.Action | None:
    """Of an option, which may be abbreviated."""
    actions = parser._option_string_actions
    matches = {a for name, a in actions.items() if name.startswith(word)}
    return actions.get(word) or (matches.pop() if len(matches) == 1 else None)


def _words(
    path: Path, name: str, option: str, action: argparse.Action, value: Any
) -> Iterator[str]:
    """As they would be typed."""
    if isinstance(value, bool):
        if value:
            yield option
        elif isinstance(action, argparse.BooleanOptionalAction):
            yield f"--no-{option.removeprefix('--')}"
        return
    several = action.nargs in ("+", 2)
    if isinstance(value, Mapping):
        if not several:
            raise InputError(f"{path}: {name} is a table; expected a value")
        value = [f"{key}={_text(number)}" for key, number in value.items()]
    if several:
        yield from (option, *map(_text, value if isinstance(value, list) else [value]))
    elif action.nargs == 0:
        raise InputError(f"{path}: {name} {value}; expected true or false")
    else:
        yield f"{option}={_text(value)}"


def _text(value: Any) -> str:
    if value is None:
        return "max"  # the end of a range, in `run.json`
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)

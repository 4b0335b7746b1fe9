"""What the texts on the command line stand for; bad ones are refused by name."""

import argparse
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from ilo_jax.app.shards import Shard
from ilo_jax.app.task import Task
from ilo_jax.errors import InputError
from ilo_jax.solve import TERMS


def steps(text: str) -> tuple[int, ...]:
    """`N,N,...`, each at least 1."""
    return tuple(_whole(part, 1, None, text) for part in text.split(","))


def positive(text: str) -> int:
    """`N`, at least 1."""
    return _whole(text, 1, None, text)


def index(text: str) -> int:
    """`N`, at least 0."""
    return _whole(text, 0, None, text)


def port(text: str) -> int:
    """`N`, of 16 bits."""
    return _whole(text, 1, 2**16 - 1, text)


def batch_size(text: str) -> int | Literal["auto"]:
    """`N`, at least 1, or `auto`."""
    return "auto" if text == "auto" else positive(text)


def shard(text: str) -> Shard:
    """`I/N`, I from 0 to N - 1."""
    numbers = re.fullmatch(r"(\d+)/(\d+)", text)
    found = Shard(int(numbers[1]), int(numbers[2])) if numbers else Shard(0, 0)
    if found.index >= found.count:
        raise argparse.ArgumentTypeError(f"{text!r}: expected I/N, with I from 0 to N - 1")
    return found


def seed(text: str) -> int:
    """`N`, of 32 bits."""
    return _whole(text, 0, 2**32 - 1, text)


def _whole(part: str, low: int, high: int | None, text: str) -> int:
    try:
        value = int(part)
    except ValueError:
        value = None
    if value is None or value < low or (high is not None and value > high):
        bounds = f">= {low}" if high is None else f"from {low} to {high}"
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number {bounds}")
    return value


def rates(text: str) -> tuple[float, ...]:
    """`X[,X...]`, each positive."""
    return _numbers(text, "positive numbers", lambda v: 0 < v < math.inf)


def rate(text: str) -> float:
    """`X`, positive."""
    (value,) = _numbers(text, "one number > 0", lambda v: 0 < v < math.inf, 1)
    return value


def three_radii(text: str) -> tuple[float, ...]:
    """`R,R,R`, each from 0 to infinity."""
    return _numbers(text, "three numbers >= 0, or inf for no limit", lambda v: v >= 0, 3)


def two_radii(text: str) -> tuple[float, ...]:
    """`R,R`, each from 0 to infinity."""
    return _numbers(text, "two numbers >= 0, or inf for no limit", lambda v: v >= 0, 2)


def two_layers(text: str) -> tuple[int, ...]:
    """`A,B`, A at least 0 and B at least A."""
    found = numbered(text)
    if len(found) != 2 or found[0] > found[1]:
        raise argparse.ArgumentTypeError(f"{text!r}: expected A,B, the first and the last layer")
    return found


def numbered(text: str) -> tuple[int, ...]:
    """`N,N,...`, each at least 0."""
    return tuple(_whole(part, 0, None, text) for part in text.split(","))


def weight(text: str) -> tuple[str, tuple[float, ...]]:
    """`TERM=X[,X...]`."""
    name, equals, values = text.partition("=")
    if not equals or name not in TERMS:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected TERM=X, with TERM one of {', '.join(TERMS)}"
        )
    return name, _numbers(values, "numbers >= 0", lambda v: 0 <= v < math.inf)


def axis(text: str) -> tuple[str, tuple[tuple[float, ...], ...]]:
    """`NAME=V,V,...`, each V one number >= 0 or inf, or one a round with colons between."""
    name, equals, values = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=V,V,...")
    return name, tuple(
        _numbers(value.replace(":", ","), "numbers >= 0 or inf", lambda v: v >= 0)
        for value in values.split(",")
    )


def limit(text: str) -> float | None:
    """`X`, or `max`: None."""
    return None if text == "max" else _numbers(text, "a number, or max", math.isfinite, 1)[0]


def given(args: argparse.Namespace, names: Mapping[str, str]) -> dict[str, Any]:
    """Options that were given, under other names."""
    return {name: getattr(args, at) for name, at in names.items() if hasattr(args, at)}


def chosen(args: argparse.Namespace, task: Task) -> dict[str, Any]:
    """What every command with a task says of its `Settings`."""
    options = given(args, {o.name: o.name for o in task.options})
    if getattr(args, "range", (0,))[0] is None:
        raise InputError("--range max: expected a number first, what is black")
    names = (
        "steps",
        "cuts",
        "lr",
        "radii",
        "tolerance",
        "sna",
        "label",
        "precision",
        "reference",
        "start",
        "range",
    )
    return {
        "task": task.name,
        "options": task.complete(options),
        "method": getattr(args, "method", None),
        "seed": args.seed,
        "weights": dict(args.weights) if hasattr(args, "weights") else None,
        "generator": args.generator,
    } | given(args, {name: name for name in names})


def radii(text: str) -> tuple[float, ...]:
    """`R[,R...]`, each from 0 to infinity."""
    return _numbers(text, "numbers >= 0, or inf for no limit", lambda v: v >= 0)


def _numbers(
    text: str, expected: str, good: Callable[[float], bool], count: int | None = None
) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (math.nan,)
    if not all(good(v) for v in values) or (count is not None and len(values) != count):
        raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}, separated by commas")
    return values

"""What a command has written, and how it is interrupted."""

import csv
import json
import pathlib

from ilo_jax.app import reconstruct


def table(path: pathlib.Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def rows(out: pathlib.Path) -> list[dict[str, str]]:
    """Of `metrics.csv`."""
    return table(out / "metrics.csv")


def summary(out: pathlib.Path) -> dict:
    return json.loads((out / "summary.json").read_text())


def pictures(out: pathlib.Path) -> dict[str, bytes]:
    """The images' bytes by file name, in order."""
    return {path.name: path.read_bytes() for path in sorted((out / "images").iterdir())}


def interrupt_second_batch(patch) -> None:
    """Lets a user press Ctrl-C in the second batch of a task."""
    calls, solve = [], reconstruct.solve_batch

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return solve(*args)

    patch.setattr(reconstruct, "solve_batch", interrupted)

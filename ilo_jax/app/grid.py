"""What a sweep does with an image: a run for each point of a grid, from each start."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ilo_jax import solve
from ilo_jax.app.methods import method_of, weights_of
from ilo_jax.app.metrics import NOT_FINITE, OK, cell, evaluate
from ilo_jax.app.programs import kept_steps
from ilo_jax.app.run import Run
from ilo_jax.app.samples import Sample, batch_operator, stack
from ilo_jax.app.settings import Settings
from ilo_jax.errors import InputError
from ilo_jax.ops import Operator
from ilo_jax.priors import Prior
from ilo_jax.solve import TERMS, Method, Runs
from ilo_jax.solve.sweep import Grid, sweep_runs

METRICS = ("psnr_db", "ssim", "measurement_mse", "found_at")

Axes = Mapping[str, Sequence[Sequence[float]]]
"""For `lr`, `radii`, `steps`, `cuts` or a term (its weight) the values to try, each one number, or
some as the option of that name takes them."""

Setting = Mapping[str, Sequence[float]]
"""The numbers of a grid point, by the names of the axes."""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What is asked for.

    Attributes:
      axes: by name.
      restarts: of each image and grid point.
    """

    axes: Axes
    restarts: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """The runs of an image.

    Attributes:
      axes: names.
      points: all combinations of their values.
      methods: of each point.
      restarts: of each point.
    """

    axes: tuple[str, ...]
    points: Sequence[Setting]
    methods: Sequence[Method]
    restarts: int

    @classmethod
    def create(cls, settings: Settings, prior: Prior, sweep: Sweep) -> "Plan":
        """Raises:
        InputError: an axis that is none, or numbers that do not go together.
        """
        axes = sweep.axes
        for name, values in axes.items():
            if name not in ("lr", "radii", "steps", "cuts", *TERMS):
                raise InputError(
                    f"--grid {name}: expected lr, radii, steps, cuts, or a term: "
                    f"{', '.join(TERMS)}; for anything else run the command again"
                )
            whole = all(number.is_integer() for value in values for number in value)
            if name in ("steps", "cuts") and not whole:
                raise InputError(f"--grid {name}: expected whole numbers")
        points: list[Setting] = [
            dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*axes.values())
        ]
        weights = dict(settings.weights or weights_of(method_of(settings, prior).objective))
        methods = [_method(settings, prior, point, weights) for point in points]
        return cls(tuple(axes), points, methods, sweep.restarts)

    @property
    def runs(self) -> int:
        """Of an image."""
        return len(self.methods) * self.restarts

    @property
    def steps(self) -> int:
        """Of the longest run."""
        return max(method.max_steps or 0 for method in self.methods)

    def solve(
        self,
        run: Run,
        batch: list[Sample],
        size: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> Runs:
        """Runs `[points, restarts, images]`, in programs of `size`."""
        return solve.sweep(
            *_problem(run, batch),
            self.methods,
            restarts=self.restarts,
            batch_size=size,
            progress=progress,
            take_steps=kept_steps,
        )

    def solve_some(self, run: Run, sample: Sample, size: int, wanted: range) -> Runs:
        """Some runs of an image, in a program of `size`, as those are computed that `solve` has."""
        point, restart = np.divmod(np.arange(wanted.start, wanted.stop), self.restarts)
        chosen = Grid(point, restart, np.zeros_like(point))
        return sweep_runs(
            *_problem(run, [sample]),
            self.methods,
            chosen,
            batch_size=size,
            take_steps=kept_steps,
        )

    def rows(self, sample: Sample, wanted: Sequence[int], found: Runs) -> Iterator[dict[str, str]]:
        """Of the table.

        Args:
          wanted: numbers of the runs of an image, `point * restarts + restart`.
          found: `[runs]` of them.
        """
        truth = sample.truth
        assert truth is not None
        for i, number in enumerate(wanted):
            row = self._row(number, sample.file.stem, sample.digest)
            if not np.isfinite(found.error[i]):
                yield row | {"status": NOT_FINITE}
                continue
            scores = evaluate(truth, found.image[i])
            metrics = (scores.psnr_db, scores.ssim, found.error[i], found.found_at[i])
            yield row | dict(zip(METRICS, map(cell, metrics), strict=True)) | {"status": OK}

    def failed(
        self, name: str, digest: str, reason: str, wanted: Sequence[int] | None = None
    ) -> list[dict[str, str]]:
        """Rows of runs, all of them if none are named, of an image that has none."""
        numbers = range(self.runs) if wanted is None else wanted
        return [self._row(number, name, digest) | {"status": reason} for number in numbers]

    def numbers(self) -> Callable[[Mapping[str, str]], int]:
        """What finds the number of a row's run."""
        texts = [tuple(map(text_of, point.values())) for point in self.points]
        first = {text: number for number, text in reversed(list(enumerate(texts)))}

        def number(row: Mapping[str, str]) -> int:
            point = first[tuple(row[axis] for axis in self.axes)]
            return point * self.restarts + int(row["restart"])

        return number

    def _row(self, number: int, name: str, digest: str) -> dict[str, str]:
        point, restart = divmod(number, self.restarts)
        row = {axis: text_of(value) for axis, value in self.points[point].items()}
        row |= {"image": name, "restart": str(restart), "input": digest}
        return row | dict.fromkeys(METRICS, "")


def _problem(run: Run, batch: Sequence[Sample]) -> tuple[Prior, Operator, Any, jax.Array]:
    """Prior, operator, measurements and keys."""
    return (
        run.prior,
        batch_operator(batch),
        stack([sample.measurement for sample in batch]),
        run.image_keys([sample.file for sample in batch]),
    )


def _method(
    settings: Settings, prior: Prior, point: Setting, weights: Mapping[str, tuple[float, ...]]
) -> Method:
    changes: dict[str, Any] = {}
    of_terms = {name: tuple(value) for name, value in point.items() if name in TERMS}
    if of_terms:
        changes["weights"] = {**weights, **of_terms}
    for name, value in point.items():
        if name in ("steps", "cuts"):
            changes[name] = tuple(map(int, value))
        elif name not in TERMS:
            changes[name] = tuple(value)
    return method_of(dataclasses.replace(settings, **changes), prior)


def columns_of(axes: Iterable[str]) -> list[str]:
    """Of the table of runs."""
    return [*axes, "image", "restart", *METRICS, "input", "status"]


def text_of(values: Sequence[float]) -> str:
    """As `--grid` takes it."""
    return ":".join(f"{v:g}" for v in values)

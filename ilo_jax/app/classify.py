"""`python -m ilo_jax.solve classify`: a classifier as the measurement (Section 4.3, figure 5).

There is no image to start from, only `y`: the class. The radius of the balls trades how natural an
image is for how much it looks like the class, so all radii are solved side by side, in one program.
"""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from ilo_jax import classifiers, solve
from ilo_jax.app.folder import make_folder, open_folder, without_infinity
from ilo_jax.app.inputs import tell
from ilo_jax.app.lock import locked
from ilo_jax.app.metrics import NOT_FINITE, OK
from ilo_jax.app.pipeline import Pipeline, padded
from ilo_jax.app.prior import load_prior, usual_width
from ilo_jax.app.programs import kept_steps
from ilo_jax.app.progress import ProgressReporter
from ilo_jax.app.results import is_whole, read_png
from ilo_jax.app.table import Table
from ilo_jax.errors import InputError
from ilo_jax.files import generators
from ilo_jax.files.atomic import write_atomically
from ilo_jax.files.contact_sheet import MAX_ROWS, Tile, contact_sheet
from ilo_jax.files.digest import combined
from ilo_jax.files.images import encode_png, write_png
from ilo_jax.ops.classify import Classifier
from ilo_jax.priors import Prior
from ilo_jax.solve import Method, Result
from ilo_jax.solve.batch import batch_mesh

COLUMNS = ("name", "label", "sample", "radius", "probability", "deviation", "input", "status")


@dataclasses.dataclass(frozen=True)
class ClassifySettings:
    """What a user chooses.

    Attributes:
      classifier: name, folder or `MODULE:FUNCTION`.
      labels: the classes, from 0.
      samples: images of each class and radius.
      radii: l1 radius of the code in every round at a cut; 0 stays in the range of G1.
      steps: of each round.
      lr: learning rate.
      seed: of the latents and noise maps, which all classes and radii have in common.
      generator: name or folder.
      label: the class of a class-conditional generator.
    """

    classifier: str
    labels: tuple[int, ...]
    samples: int
    radii: tuple[float, ...]
    steps: tuple[int, ...]
    lr: float
    seed: int
    generator: str
    label: int | None = None

    def description(self) -> dict[str, Any]:
        """As JSON has it."""
        given = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return {"task": "classify", **given, "radii": without_infinity(self.radii)}


@dataclasses.dataclass(frozen=True)
class Wanted:
    """An image that is to show a class."""

    label: int
    sample: int
    radius: float

    @property
    def name(self) -> str:
        return f"class{self.label}-{self.sample}-radius{self.radius:g}"


@dataclasses.dataclass(frozen=True)
class Found:
    """Of `n` images.

    Attributes:
      image: `[n, H, W, C]` in [-1, 1].
      probability: `[n]`, of the class.
      deviation: `[n]`, root mean square difference from the image of CSGM's round, in the range of
        G.
      finite: `[n]`, whether there is an image.
    """

    image: np.ndarray
    probability: np.ndarray
    deviation: np.ndarray
    finite: np.ndarray


@dataclasses.dataclass(frozen=True)
class Classes:
    """What solves for classes.

    Attributes:
      operator: whose measurement is a class.
      methods: by radius.
      key: of all latents and noise maps.
    """

    prior: Prior
    operator: Classifier
    methods: Mapping[float, Method]
    key: jax.Array

    @classmethod
    def create(cls, settings: ClassifySettings) -> "Classes":
        """Loads what is named.

        Raises:
          InputError: the generator or the classifier cannot be used, or has no such class.
        """
        prior = load_prior(settings.generator, settings.label, settings.seed)
        network = classifiers.load(settings.classifier)
        operator = Classifier.create(prior.image_shape, network)
        for label in settings.labels:
            operator.one_hot(label)  # raises where there is no such class
        methods = {
            radius: solve.ilo(prior, settings.steps, radii=radius, rate=settings.lr)
            for radius in settings.radii
        }
        return cls(prior, operator, methods, jax.random.key(settings.seed))

    def solve(self, batch: Sequence[Wanted], size: int, reporter: ProgressReporter) -> Found:
        """In programs of `size` images."""
        parts: list[Found] = []
        for program in padded(batch, size):
            before = len(parts) * (self._method(program[:1]).max_steps or 0)
            parts.append(self._solve_program(program, before, reporter))
        fields = (f.name for f in dataclasses.fields(Found))
        return Found(
            *(np.concatenate([getattr(p, f) for p in parts])[: len(batch)] for f in fields)
        )

    def _method(self, batch: Sequence[Wanted]) -> Method:
        return solve.stack([self.methods[one.radius] for one in batch])

    def _solve_program(
        self, batch: Sequence[Wanted], before: int, reporter: ProgressReporter
    ) -> Found:
        measurement = jnp.stack([self.operator.one_hot(one.label) for one in batch])

        def progress(steps: int, error: jax.Array) -> None:
            jax.block_until_ready(error)  # JAX runs ahead of its results; the bar must not
            reporter.progress(before + steps)

        result: Result = solve.reconstruct(
            self.prior,
            self.operator,
            measurement,
            jnp.stack([jax.random.fold_in(self.key, one.sample) for one in batch]),
            self._method(batch),
            progress=progress,
            mesh=batch_mesh(len(batch)),
            take_steps=kept_steps,
        )
        in_range, image = (
            np.clip(np.asarray(x), -1, 1) for x in (result.rounds[0].image, result.image)
        )
        errors = jax.vmap(self.operator.error)(self.operator(jnp.asarray(image)), measurement)
        deviation = np.sqrt(np.mean((image - in_range) ** 2, (1, 2, 3)))
        finite = np.asarray(result.status) == solve.OK
        return Found(image, np.exp(-np.asarray(errors)), deviation, finite)


def run_classify(args: argparse.Namespace, console: Console) -> int:
    """The command; returns its exit code."""
    names = [f.name for f in dataclasses.fields(ClassifySettings)]
    settings = ClassifySettings(**{n: getattr(args, n) for n in names if hasattr(args, n)})
    classes, out = Classes.create(settings), Path(args.out)
    wanted = [
        Wanted(label, sample, radius)
        for label in settings.labels
        for sample in range(settings.samples)
        for radius in settings.radii
    ]
    inputs = {
        settings.generator: generators.digest_of(settings.generator),
        settings.classifier: classifiers.digest_of(settings.classifier),
    }
    with locked(out, args.take_over):
        open_folder(out, settings.description() | {"inputs": inputs})
        make_folder(out / "images")
        table = Table.open(out / "classes.csv", COLUMNS)
        with ProgressReporter(console) as reporter:
            _solve_missing(classes, wanted, combined(inputs), out, table, reporter)
        by_name = {row["name"]: row for row in table.rows}
        return _report([by_name[one.name] for one in wanted], out, classes.prior.facts.notice)


def _solve_missing(
    classes: Classes,
    wanted: Sequence[Wanted],
    digest: str,
    out: Path,
    table: Table,
    reporter: ProgressReporter,
) -> None:
    rows = [r for r in table.rows if r["status"] == OK and is_whole(_picture(out, r["name"]))]
    good = {row["name"] for row in rows if row["input"] == digest}
    table.keep(lambda row: row["name"] in good)
    tell(reporter.say, len(table.rows), len(wanted), len(rows) - len(table.rows))
    done = {row["name"] for row in table.rows}
    missing = [one for one in wanted if one.name not in done]

    def begin(batch: list[Wanted], size: int) -> None:
        (method, *_), programs = classes.methods.values(), -(-len(batch) // size)
        rounds = np.asarray(method.steps).tolist() * programs
        reporter.batch(len(table.rows), len(batch), len(wanted), rounds)

    def write(batch: list[Wanted], found: Found, _: float) -> None:
        rows = []
        for i, one in enumerate(batch):
            row = {"name": one.name, "label": str(one.label), "sample": str(one.sample)}
            row |= {"radius": f"{one.radius:.6g}", "probability": "", "deviation": ""}
            if found.finite[i]:
                write_png(_picture(out, one.name), found.image[i])
                row["probability"] = f"{found.probability[i]:.6g}"
                row["deviation"] = f"{found.deviation[i]:.6g}"
            status = OK if found.finite[i] else NOT_FINITE
            rows.append(row | {"input": digest, "status": status})
        table.add(rows)

    Pipeline(
        solve=lambda batch, size: classes.solve(batch, size, reporter),
        write=write,
        begin=begin,
        name=lambda one: one.name,
        runs=1,
        width=usual_width(classes.prior, 1),
    ).run(missing, reporter.say)


def _report(rows: Sequence[Mapping[str, str]], out: Path, notice: str) -> int:
    """Draws and says what came of it; returns the exit code."""
    radii = list(dict.fromkeys(row["radius"] for row in rows))
    good = [row for row in rows if row["status"] == OK]
    if not good:
        raise InputError(f"{out}: all {len(rows)} images failed ({NOT_FINITE})")
    nothing = np.full_like(read_png(_picture(out, good[0]["name"])), -1)
    tiles = [
        Tile(
            read_png(_picture(out, row["name"])),
            f"class {row['label']}: p {float(row['probability']):.2f}",
        )
        if row["status"] == OK
        else Tile(nothing, f"class {row['label']}: {row['status']}")
        for row in rows
    ]
    lines = [tiles[i : i + len(radii)] for i in range(0, len(tiles), len(radii))]
    labels = [f"radius {radius}" for radius in radii]
    sheet = contact_sheet(labels, lines[:MAX_ROWS], notice, total=len(lines))
    write_atomically(out / "contact_sheet.png", encode_png(sheet))
    by_radius = {
        radius: [float(row["probability"]) for row in good if row["radius"] == radius]
        for radius in radii
    }
    mean = ", ".join(f"{np.mean(p):.2f} at radius {r}" for r, p in by_radius.items() if p)
    print(f"{len(good)} images, mean probability {mean}: {out / 'contact_sheet.png'}")
    if len(good) < len(rows):
        print(f"{len(rows) - len(good)} of {len(rows)} images failed", file=sys.stderr)
    return 0 if len(good) == len(rows) else 1


def _picture(out: Path, name: str) -> Path:
    return out / "images" / f"{name}.png"

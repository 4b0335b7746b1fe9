"""`python -m ilo_jax.solve classify`: a classifier as the measurement (Section 4.3, figure 5).

There is no image to start from, only `y`: the class. The radius of the balls trades how natural an
image is for how much it looks like the class, so all radii are solved side by side, in one program.
"""

import argparse
import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from ilo_jax import classifiers
from ilo_jax.ops.classify import Classifier
from ilo_jax.solve.contact_sheet import MAX_ROWS, Tile, contact_sheet
from ilo_jax.solve.files import write_atomically
from ilo_jax.solve.images import encode_png, write_png
from ilo_jax.solve.loop import batch_mesh, solve
from ilo_jax.solve.progress import ProgressReporter
from ilo_jax.solve.results import check_new_folder, make_folder
from ilo_jax.solve.schedule import hyper_parameters, ilo_schedule
from ilo_jax.stylegan2 import NOTICES, load

FIELDS = ("name", "label", "sample", "radius", "probability", "deviation")


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
    """

    classifier: str
    labels: tuple[int, ...]
    samples: int
    radii: tuple[float, ...]
    steps: tuple[int, ...]
    lr: float
    seed: int
    generator: str


@dataclasses.dataclass(frozen=True)
class Found:
    """One image.

    Attributes:
      image: `[H, W, C]` in [-1, 1].
      probability: of the class.
      deviation: root mean square difference from the image of CSGM's round, in the range of G.
    """

    label: int
    sample: int
    radius: float
    image: np.ndarray
    probability: float
    deviation: float

    @property
    def name(self) -> str:
        return f"class{self.label}-{self.sample}-radius{self.radius:g}"


def classify(settings: ClassifySettings, reporter: ProgressReporter) -> list[Found]:
    """Images that show the classes, by label, sample and radius.

    Raises:
      InputError: the generator or the classifier cannot be used, or has no such class.
    """
    generator = load(settings.generator)
    network = classifiers.load(settings.classifier)
    operator = Classifier.create(generator.config.image_shape, network)
    schedule = ilo_schedule(generator.config, settings.steps)
    rounds = len(settings.steps)
    wanted = [
        (label, sample, radius)
        for label in settings.labels
        for sample in range(settings.samples)
        for radius in settings.radii
    ]
    key = jax.random.key(settings.seed)
    keys = jnp.stack([jax.random.fold_in(key, sample) for _, sample, _ in wanted])
    measurement = jnp.stack([operator.one_hot(label) for label, *_ in wanted])
    radii = jnp.array([[jnp.inf] + [radius] * (rounds - 1) for *_, radius in wanted])
    hyper = hyper_parameters(rounds, settings.lr).replace(radius_code=radii)
    reporter.batch(0, len(wanted), len(wanted), settings.steps)
    solutions = solve(
        generator,
        operator,
        measurement,
        keys,
        schedule,
        hyper,
        progress=reporter.progress,
        mesh=batch_mesh(len(wanted)),
    )
    in_range, image = (np.clip(np.asarray(s.image), -1, 1) for s in (solutions[0], solutions[-1]))
    errors = jax.vmap(operator.error)(operator(jnp.asarray(image)), measurement)
    probability = np.exp(-np.asarray(errors))
    deviation = np.sqrt(np.mean((image - in_range) ** 2, (1, 2, 3)))
    return [
        Found(*one, image[i], float(probability[i]), float(deviation[i]))
        for i, one in enumerate(wanted)
    ]


def write(found: Sequence[Found], out: Path, notice: str) -> Path:
    """Writes images, `classes.csv` and `contact_sheet.png`; returns where the sheet is.

    Raises:
      InputError: `out` cannot be written.
    """
    make_folder(out / "images")
    for one in found:
        write_png(out / "images" / f"{one.name}.png", one.image)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows([_rounded(getattr(one, name)) for name in FIELDS] for one in found)
    write_atomically(out / "classes.csv", text.getvalue().encode())
    radii = list(dict.fromkeys(one.radius for one in found))
    tiles = [Tile(one.image, f"class {one.label}: p {one.probability:.2f}") for one in found]
    rows = [tiles[i : i + len(radii)] for i in range(0, len(tiles), len(radii))]
    labels = [f"radius {radius:g}" for radius in radii]
    sheet = contact_sheet(labels, rows[:MAX_ROWS], notice, total=len(rows))
    write_atomically(out / "contact_sheet.png", encode_png(sheet))
    return out / "contact_sheet.png"


def _rounded(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def run_classify(args: argparse.Namespace, console: Console) -> int:
    """The command; returns its exit code."""
    settings = ClassifySettings(
        **{f.name: getattr(args, f.name) for f in dataclasses.fields(ClassifySettings)}
    )
    out = Path(args.out)
    check_new_folder(out)
    with ProgressReporter(console) as reporter:
        found = classify(settings, reporter)
    sheet = write(found, out, NOTICES.get(settings.generator, ""))
    mean = {
        radius: np.mean([one.probability for one in found if one.radius == radius])
        for radius in settings.radii
    }
    shown = ", ".join(f"{p:.2f} at radius {radius:g}" for radius, p in mean.items())
    print(f"{len(found)} images, mean probability {shown}: {sheet}")
    return 0

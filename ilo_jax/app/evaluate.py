"""`evaluate A B`: how near the images of one folder are to those of another, by name."""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table as Shown

from ilo_jax.app.metrics import Scores, cell, evaluate, perceptual, statistics
from ilo_jax.app.table import Table
from ilo_jax.errors import InputError
from ilo_jax.files.find import find_images
from ilo_jax.files.images import read_whole

METRICS = (*Scores._fields, "lpips")


def run_evaluate(args: argparse.Namespace, console: Console) -> int:
    """The command; returns its exit code.

    Raises:
      InputError: folders without common names, images that cannot be read or differ in size, or
        LPIPS for images that are too small for it.
    """
    found, truth = (
        {file.stem: file for file in find_images([folder])} for folder in (args.images, args.truth)
    )
    names = [name for name in found if name in truth]
    if not names:
        raise InputError(
            f"{args.images}, {args.truth}: no two images of one name; expected the same names"
        )
    left_out = len({*found} ^ {*truth})
    if left_out:
        console.print(f"{left_out} images have no other of their name, and are left out")
    chosen = METRICS if args.lpips else METRICS[:-1]
    rows = {name: _scores(truth[name], found[name], args.lpips) for name in names}
    if args.table is not None:
        texts = [
            {"name": name, **{m: cell(v) for m, v in zip(chosen, scores, strict=True)}}
            for name, scores in rows.items()
        ]
        Table(Path(args.table), ("name", *chosen), []).replace(texts)
    shown = Shown(title=f"{len(names)} images")
    for column in ("", *chosen):
        shown.add_column(column, justify="right" if column else "left")
    means = [statistics(column) for column in zip(*rows.values(), strict=True)]
    for kind in ("mean", "std"):
        shown.add_row(kind, *(_shown(of_metric[kind]) for of_metric in means))
    Console(highlight=False).print(shown)
    return 0


def _scores(truth: Path, image: Path, with_lpips: bool) -> tuple[float | None, ...]:
    """Those of `metrics.csv`, and LPIPS by VGG, at 256 px where images are larger."""
    pair = [read_whole(path) for path in (truth, image)]
    if pair[0].shape[:2] != pair[1].shape[:2]:
        sizes = ("x".join(map(str, x.shape[1::-1])) for x in pair)
        raise InputError(f"{image}: {' and '.join(sizes)} pixels; expected the size of {truth}")
    channels = max(x.shape[-1] for x in pair)
    a, b = (np.broadcast_to(x, (*x.shape[:2], channels)) for x in pair)
    scores = evaluate(a, b)
    if not with_lpips:
        return scores
    return (*scores, perceptual(a, b))


def _shown(value: float | str | None) -> str:
    return value if isinstance(value, str) else cell(value)

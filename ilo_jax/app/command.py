"""A task over images, as the command line asks for it."""

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from ilo_jax.app import arguments
from ilo_jax.app.film import film_of, write_film
from ilo_jax.app.lock import locked
from ilo_jax.app.prior import prior_of
from ilo_jax.app.progress import ProgressReporter
from ilo_jax.app.reconstruct import reconstruct
from ilo_jax.app.run import Run
from ilo_jax.app.settings import Earlier, Settings, Video
from ilo_jax.app.shards import Done, Shard
from ilo_jax.app.tasks import TASKS
from ilo_jax.errors import InputError
from ilo_jax.files.film import Film
from ilo_jax.files.find import find_images


def run_task(args: argparse.Namespace, console: Console) -> int:
    """The command; returns its exit code.

    Raises:
      InputError: bad input, or no image has a result.
    """
    settings = settings_of(args)
    shard, address = machines_of(args)
    for name, given in (("--shard", shard), ("--ray", address)):
        if given and args.video:
            raise InputError(f"{name}: expected without --video, whose frames follow one another")
    for name, given in (
        ("--tensorboard", settings.tensorboard),
        ("--prior-image", settings.earlier),
    ):
        if address and given:
            raise InputError(f"{name}: expected without --ray")
    if address:
        from ilo_jax.app.cluster.command import run_on_cluster

        return run_on_cluster(args, settings, address, console)
    if args.parquet or "://" in args.out:
        raise InputError("--parquet, or an address such as s3://...: expected with --ray")
    with film_of(args.images, args.video) as film:
        return _run_here(args, settings, shard, console, film)


def machines_of(args: argparse.Namespace) -> tuple[Shard | None, str | None]:
    """The part of the images, and the address of a cluster, if there is one.

    Raises:
      InputError: they do not go with each other, or with what else is asked for.
    """
    shard: Shard | None = getattr(args, "shard", None)
    address: str | None = getattr(args, "ray", None)
    if address and shard:
        raise InputError("--shard: expected without --ray, which divides the images itself")
    if address and getattr(args, "batch_size", None) == "auto":
        raise InputError("--batch-size auto: expected a number with --ray, the same on all workers")
    if not address and any("://" in image for image in args.images):
        raise InputError("an address such as s3://...: expected with --ray")
    return shard, address


def _run_here(
    args: argparse.Namespace,
    settings: Settings,
    shard: Shard | None,
    console: Console,
    film: Film | None,
) -> int:
    notes: list[str] = []
    if film is None:
        paths = find_images(args.images, args.measured, args.recursive, notes.append)
    else:
        paths = film.frames
    prior = prior_of(settings)
    run = Run.create(settings, prior, getattr(args, "batch_size", None), len(paths))
    out = Path(args.out)
    if shard is None:
        with locked(out, args.take_over):
            return _run(args, run, paths, out, console, notes, film=film)
    shard.begin(out)
    part, paths = shard.folder(out), shard.share(paths)
    with locked(part, args.take_over):
        code = _run(args, run, paths, part, console, notes, shard)
        shard.end(out, Done(tuple(args.images), args.recursive, len(paths)))
    return code


def _run(
    args: argparse.Namespace,
    run: Run,
    paths: list[Path],
    out: Path,
    console: Console,
    notes: list[str],
    shard: Shard | None = None,
    film: Film | None = None,
) -> int:
    title = f"shard {shard}: " if shard else ""
    with ProgressReporter(console, title) as reporter:
        for note in notes:
            reporter.say(note)
        # The only file of a command is refused where it cannot be read, one of a shard is not.
        alone = len(paths) == 1 and shard is None
        outcome = reconstruct(run, paths, out, reporter, alone)
    if outcome.summary is None and shard is None:
        raise InputError(f"{' '.join(args.images)}: none of {len(paths)} has a result")
    if film is not None:
        write_film(outcome.results, film)
    return told(outcome.summary, out, len(outcome.failed), len(paths), title)


def settings_of(args: argparse.Namespace) -> Settings:
    """What a command line chooses.

    Raises:
      InputError: options that do not go together.
    """
    if not args.video and (hasattr(args, "frame_steps") or hasattr(args, "frame_radii")):
        raise InputError("--frame-steps, --frame-radii: expected with --video")
    if args.video and hasattr(args, "batch_size"):
        raise InputError("--batch-size: expected without --video, which takes one frame at a time")
    if args.reproducible and hasattr(args, "batch_size"):
        raise InputError(
            "--batch-size: expected without --reproducible, which takes one image at a time"
        )
    earlier = {"image": "prior_image", "layers": "prior_layers", "radii": "prior_radii"}
    earlier = arguments.given(args, earlier)
    if earlier and "image" not in earlier:
        raise InputError("--prior-layers, --prior-radii: expected with --prior-image")
    frames = {"steps": "frame_steps", "radii": "frame_radii"}
    return Settings(
        **arguments.chosen(args, TASKS[args.task]),
        measured=args.measured,
        save_variables=args.save_variables,
        samples=args.samples,
        combine=args.combine,
        consistent=args.consistent,
        auto=args.auto,
        reproducible=args.reproducible,
        video=Video(**arguments.given(args, frames)) if args.video else None,
        earlier=Earlier(**earlier) if earlier else None,
        crop=args.crop,
        save_measurement=args.save_measurement,
        save_arrays=args.save_arrays,
        units=args.units,
        keep_samples=args.keep_samples,
        animate=args.animate,
        tensorboard=args.tensorboard,
        lpips=args.lpips,
        **arguments.given(args, {"key": "key", "slice": "slice"}),
    )


def told(
    summary: dict[str, Any] | None,
    out: Path | str,
    failed: int,
    files: int,
    title: str = "",
    table: str = "metrics.csv",
) -> int:
    """Prints what came of a run; returns the exit code.

    Args:
      summary: None where no image has a result.
      title: put in front.
      table: where it is said why an image failed.
    """
    if summary is None:
        print(f"{title}no images: {out}")
    else:
        psnr, count = summary["psnr_db"], summary["images"]
        quality = "" if psnr["mean"] is None else f", PSNR {_with_deviation(psnr, count)} dB"
        images_done = "1 image" if count == 1 else f"{count} images"
        report = Path(out) / "report.html"
        print(f"{title}{images_done}{quality}: {report if report.exists() else out}")
    if failed:
        print(f"{failed} of {files} images failed: why is in {table}", file=sys.stderr)
    return 1 if failed else 0


def _with_deviation(found: dict[str, Any], count: int) -> str:
    """Of statistics; no deviation from infinity, nor of one."""
    if found["std"] is None:
        return found["mean"]
    if count == 1:
        return f"{found['mean']:.2f}"
    return f"{found['mean']:.2f} ± {found['std']:.2f}"

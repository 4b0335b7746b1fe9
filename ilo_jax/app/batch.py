"""A batch of samples: what it is solved by, and what is written of it."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ilo_jax import solve
from ilo_jax.app.boards import Boards
from ilo_jax.app.doubt import doubt_of
from ilo_jax.app.measurements import save_measurement
from ilo_jax.app.metrics import METRICS, NOT_FINITE, OK, Row, evaluate, perceptual
from ilo_jax.app.pipeline import Reporter, padded
from ilo_jax.app.programs import begin_steps, kept_steps
from ilo_jax.app.results import Results
from ilo_jax.app.run import Run
from ilo_jax.app.samples import Sample, batch_operator, measurement_error, stack
from ilo_jax.app.starts import method_from, stacked_starts
from ilo_jax.app.units import from_image
from ilo_jax.files.images import to_uint8
from ilo_jax.files.variables import image_of, save_variables
from ilo_jax.solve import Choice, Result
from ilo_jax.solve.batch import batch_mesh
from ilo_jax.solve.reconstruct import CHUNK


@dataclasses.dataclass(frozen=True)
class Found:
    """Of `n` images: image and spread `[n, H, W, C]`, whether each is finite, and what they come
    from: of `--auto` the choice, else the images of the restarts, `[n, K, H, W, C]`, and the result
    of all runs, those of an image one after the other. The curves `[n, K, T, 2]`, loss and least
    error, and, with `--animate`, the frames `[T, n, H, W, C]`, uint8, are those after `steps`."""

    image: np.ndarray
    spread: np.ndarray
    finite: np.ndarray
    source: Choice | tuple[np.ndarray, Result]
    steps: Sequence[int] = ()
    curves: np.ndarray | None = None
    frames: Sequence[np.ndarray] = ()


def solve_batch(run: Run, batch: list[Sample], size: int, reporter: Reporter) -> Found:
    """Solves samples in programs of `size` runs, the last one filled up."""
    if run.auto is not None:
        return _choose(run, batch, size, reporter)
    method, restarts = method_from(run, batch), run.restarts
    runs = [(sample, k + 1) for sample in batch for k in range(restarts)]
    parts: list[_Part] = []
    for program in padded(runs, size):
        before = len(parts) * (method.max_steps or 0)
        parts.append(_solve_program(run, method, program, reporter, before))
    results = [part.result for part in parts]
    result: Result = jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(runs)], *results)
    if _keeps_variables(run):
        images = [image_of(run.prior, _of_run(result.x, i)) for i in range(len(runs))]
        result = result.replace(image=np.stack(images))
    image = np.clip(result.image, -1, 1)
    if run.settings.consistent:
        samples = [sample for sample, _ in runs]
        operator = batch_operator(samples)
        measurement = stack([sample.measurement for sample in samples])
        image = solve.consistent(run.prior, operator, measurement, image)
    image = np.asarray(image).reshape(len(batch), restarts, *image.shape[1:])
    finite = (np.asarray(result.status) == solve.OK).reshape(len(batch), restarts).all(1)
    curves = np.concatenate([np.stack(list(part.curves.values()), 1) for part in parts])
    curves = curves[: len(runs)].reshape(len(batch), restarts, -1, 2)
    frames = [
        np.concatenate(of_step)[: len(runs)].reshape(image.shape).mean(1).round().astype(np.uint8)
        for of_step in zip(*(part.frames for part in parts), strict=True)
    ]
    source, steps = (image, result), list(parts[0].curves)
    combined = np.stack([solve.COMBINE[run.settings.combine](of_image) for of_image in image])
    return Found(combined, image.std(1), finite, source, steps, curves, frames)


@dataclasses.dataclass(frozen=True)
class _Part:
    """What came of a program: the result in NumPy, loss and least error so far, `[n, 2]`, by the
    steps taken, and with `--animate` the best images so far, `[n, H, W, C]`, uint8, after the
    same."""

    result: Result
    curves: dict[int, np.ndarray]
    frames: list[np.ndarray]


def _solve_program(
    run: Run,
    method: solve.Method,
    runs: list[tuple[Sample, int]],
    reporter: Reporter,
    before: int,
) -> _Part:
    """Of samples, each with the number of the restart, from 1."""
    samples = [sample for sample, _ in runs]
    measurement, reference = (
        None if field[0] is None else stack(field)
        for field in zip(*((s.measurement, s.reference) for s in samples), strict=True)
    )
    restarts = np.asarray([restart for _, restart in runs], np.uint32)
    keys = jax.vmap(jax.random.fold_in)(run.image_keys([s.file for s in samples]), restarts)
    initial = stacked_starts(run, runs)
    mesh, total = batch_mesh(len(runs)), method.max_steps
    assert total is not None
    center = None if run.earlier is None else initial
    given = {"reference": reference, "initial": initial, "center": center}
    problem = (run.prior, batch_operator(samples), measurement, keys)
    begin = functools.partial(solve.init, method=method, mesh=mesh)  # whose start is known
    begin_steps(jax.eval_shape(begin, *problem, **given), mesh)
    state = begin(*problem, **given)
    curves, frames = dict[int, np.ndarray](), []
    for taken in range(0, total, CHUNK):
        state, steps = kept_steps(state, CHUNK, mesh), min(taken + CHUNK, total)
        search = state.search
        # JAX runs ahead of its results; the bar must not.
        curves[steps] = np.stack([search.loss, search.best.error], -1)
        if run.settings.animate:
            frames.append(to_uint8(np.asarray(search.best.image)))
        reporter.progress(before + steps)
    return _Part(jax.tree.map(np.asarray, solve.finish(state)), curves, frames)


def _choose(run: Run, batch: list[Sample], size: int, reporter: Reporter) -> Found:
    assert run.auto is not None
    steps = steps_of_choice(run) * len(batch)
    choice = solve.reconstruct_auto(
        run.prior,
        batch_operator(batch),
        stack([sample.measurement for sample in batch]),
        run.image_keys([sample.file for sample in batch]),
        run.method,
        run.auto,
        batch_size=size,
        progress=lambda done, total: reporter.progress(done * steps // total),
        take_steps=kept_steps,
    )
    return Found(choice.image, choice.spread, choice.status == solve.OK, choice)


def steps_of_choice(run: Run) -> int:
    """Of an image, about."""
    assert run.auto is not None
    return round(run.auto.cost * (run.method.max_steps or 0))


def write_batch(
    run: Run,
    results: Results,
    batch: Mapping[int, Sample],
    found: Found,
    seconds: float,
    reporter: Reporter,
    boards: Boards | None = None,
) -> None:
    """Writes what was found of samples, each of which took so many seconds.

    Args:
      batch: by their place in what was found.
    """
    rows = []
    for i, sample in batch.items():
        name, image = sample.file.stem, found.image[i]
        if not found.finite[i]:
            reporter.say(f"failed: {sample.file}: {NOT_FINITE}")
            rows.append(Row.failed(name, sample.digest, NOT_FINITE, seconds))
            continue
        scores: Mapping[str, Any] = {"psnr_db": None, "ssim": None}
        if sample.truth is not None:
            scores = evaluate(sample.truth, image)._asdict()
            if run.settings.lpips:
                scores |= {"lpips": perceptual(sample.truth, image)}
        if doubt := doubt_of(run, sample, image, _of_csgm(run, found, i)):
            reporter.say(f"{sample.file.name}: {doubt}: expected images like the generator's")
        error = measurement_error(sample.operator, image, sample.measurement)
        rows.append(
            Row(
                name=name,
                measurement_mse=float(error),
                seconds=seconds,
                input=sample.digest,
                status=OK,
                **scores,
            )
        )
        _keep(run, results, sample, found, i)
        if boards is not None:
            curves = None if found.curves is None else found.curves[i]
            metrics = {metric: getattr(rows[-1], metric) for metric in METRICS}
            boards.add(name, image, metrics, found.steps, curves)
    results.add(rows, [found.image[i] if found.finite[i] else None for i in batch])


def _of_csgm(run: Run, found: Found, i: int) -> np.ndarray | None:
    """Images behind the first round of each restart."""
    if isinstance(found.source, Choice):
        return None
    of_runs = np.asarray(found.source[1].rounds[0].image)
    return of_runs[i * run.restarts : (i + 1) * run.restarts]


def _keep(run: Run, results: Results, sample: Sample, found: Found, i: int) -> None:
    """Saves what goes with the image of number `i` in its batch."""
    name, settings = sample.file.stem, run.settings
    if run.restarts > 1:
        results.add_spread(name, found.spread[i])
    if settings.save_arrays:
        image = found.image[i]
        image = image if sample.units is None else from_image(image, sample.units)
        results.add_array(name, image, settings.save_arrays)
    if found.curves is not None:
        results.add_history(name, found.steps, found.curves[i])
    if settings.animate:
        frames = [*(of_batch[i] for of_batch in found.frames), to_uint8(found.image[i])]
        results.add_animation(name, settings.animate, frames)
    if settings.save_measurement:
        save_measurement(results.measurement(name), sample.operator, sample.measurement)
    if isinstance(found.source, Choice):
        results.add_choice(name, found.source.of_image(i))
        for k, image in enumerate(found.source.samples[i] if settings.keep_samples else ()):
            results.add_sample(name, k, image)
        return
    images, result = found.source
    for k in range(run.restarts):
        if settings.keep_samples:
            results.add_sample(name, k, images[i, k])
        if _keeps_variables(run):
            one: Result = _of_run(result, i * run.restarts + k)
            path = results.variables(name, k if run.restarts > 1 else None)
            save_variables(path, one.x, one.image, one.error)


def _keeps_variables(run: Run) -> bool:
    return run.settings.save_variables or run.settings.video is not None


def _of_run(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], tree)

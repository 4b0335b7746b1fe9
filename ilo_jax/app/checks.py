"""What settings do not go together."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from ilo_jax import lpips
from ilo_jax.app.options import asks_for_estimate, asks_for_file, asks_for_zeros
from ilo_jax.app.settings import Settings
from ilo_jax.app.task import Task
from ilo_jax.errors import InputError
from ilo_jax.ops import Noise, Operator, UnknownFilter, can_be_consistent
from ilo_jax.priors import Prior
from ilo_jax.solve import Data, Method


def check_settings(settings: Settings, task: Task, operator: Operator) -> None:
    """Those that are wrong whatever the generator and the method.

    Raises:
      InputError: two of them, or one of them and the task's operator.
    """
    if asks_for_zeros(task, settings.options) and not settings.measured:
        raise InputError("--mask zeros: expected with --measured, whose zeros they are")
    if asks_for_estimate(task, settings.options) and not settings.measured:
        raise InputError("--maps estimate: expected with --measured, in whose k-space they are")
    if asks_for_file(task, settings.options) and not settings.measured:
        raise InputError("--quality: expected 1 to 100, or --measured, whose files have tables")
    if settings.units != "image" and settings.save_arrays is None:
        raise InputError("--units: expected with --save-arrays, whose units they are")
    if settings.crop and not (settings.measured and operator.measures_k_space):
        raise InputError(f"--crop: expected with --measured k-space; {task.name} has none here")
    if isinstance(operator, Noise) and operator.is_unknown and not settings.measured:
        what = "--filter unknown" if isinstance(operator, UnknownFilter) else "--sigma auto"
        raise InputError(f"{what}: expected --measured, or what is to be simulated")
    if settings.consistent and not can_be_consistent(operator):
        raise InputError(
            f"--consistent: {task.name} is not linear, or has noise that is neither Gaussian nor "
            "rounding; expected a task whose measurements an image can meet"
        )
    for name, value in {
        "--video": settings.video,
        "--start": settings.start,
        "--samples": settings.samples > 1,
    }.items():
        if value and settings.earlier:
            raise InputError(
                f"--prior-image with {name}: expected one of them, since both say where to start"
            )
    if settings.samples > 1 and settings.video:
        raise InputError("--samples: expected without --video, which goes on from one solution")
    for name, value in {
        "--keep-samples": settings.keep_samples,
        "--combine nearest": settings.combine == "nearest",
    }.items():
        if value and settings.samples == 1 and not settings.auto:
            raise InputError(f"{name}: expected with --auto, or --samples of at least 2")


def check_terms(prior: Prior, operator: Operator, method: Method) -> None:
    """Tries on shapes whether the terms of the objective are defined, before anything is read."""
    image = jax.ShapeDtypeStruct(prior.image_shape, jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    measurement = jax.eval_shape(operator.measure, key, image)

    def prepare(measurement: Any, reference: jax.Array) -> Any:
        return method.objective.prepare(prior, operator, Data(measurement, reference))

    jax.eval_shape(prepare, measurement, image)


def check_lpips(settings: Settings, prior: Prior) -> None:
    if settings.measured:
        raise InputError("--lpips: expected without --measured, which has no truth")
    image = jax.ShapeDtypeStruct(prior.image_shape, jnp.float32)
    jax.eval_shape(functools.partial(lpips.features, lpips.load("vgg")), image)


def check_auto(settings: Settings, method: Method) -> None:
    others = {
        "--video": settings.video,
        "--save-variables": settings.save_variables,
        "--start": settings.start,
        "--reference": settings.reference,
        "--animate": settings.animate,
        "--prior-image": settings.earlier,
    }
    for name, value in others.items():
        if value:
            raise InputError(f"--auto with {name}: expected one of them")
    if not method.cuts:
        raise InputError(f"--auto: {settings.method} has no radii; expected a method that cuts")

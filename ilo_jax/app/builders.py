"""From a task's options to its operator: what `Task.build` is."""

import math
from collections.abc import Callable, Sequence

import jax
import numpy as np

from ilo_jax import ops
from ilo_jax.errors import InputError
from ilo_jax.files.jpeg import Compression

Shape = tuple[int, ...]

Maps = np.ndarray | Callable[[np.ndarray], np.ndarray] | None
"""Sensitivities of coils, or what finds them where a mask samples; None of a single coil."""


def _count(image_shape: Shape, measurements: float) -> int:
    """The number of measurements that a fraction of an image's values is, at least 1."""
    if not 0 < measurements <= 1:
        raise InputError(f"measurements {measurements}: expected a fraction of n in (0, 1]")
    return max(round(measurements * math.prod(image_shape)), 1)


def denoise(_: jax.Array, image_shape: Shape, sigma: float | None, dead: float = 0.0) -> ops.Noise:
    known = sigma is not None
    noise = ops.denoising(image_shape, sigma) if known else ops.unknown_noise(image_shape)
    return _with_dead(noise, dead)


def photons(_: jax.Array, image_shape: Shape, photons: float, dead: float = 0.0) -> ops.Noise:
    return _with_dead(ops.photon_counts(image_shape, photons), dead)


def _with_dead(noise: ops.Noise, fraction: float) -> ops.Noise:
    return ops.dead_pixels(noise, fraction) if fraction else noise


def superres(
    _: jax.Array, image_shape: Shape, factor: int, filter: str = "bicubic"
) -> ops.Operator:
    if filter == "unknown":
        return ops.unknown_superresolution(image_shape, factor)
    return ops.superresolution(image_shape, factor, filter)


def inpaint(
    key: jax.Array,
    image_shape: Shape,
    observed: float | None = None,
    box: int | None = None,
    strokes: int | None = None,
    mask: np.ndarray | None = None,
    alpha: np.ndarray | None = None,
) -> ops.Inpaint:
    if observed is not None:
        return ops.random_inpainting(key, image_shape, observed)
    if box is not None:
        return ops.box_inpainting(image_shape, box)
    if strokes is not None:
        return ops.stroke_inpainting(key, image_shape, strokes)
    if alpha is not None:
        return ops.soft_inpainting(image_shape, alpha)
    assert mask is not None
    return ops.inpainting(image_shape, mask)


def jpeg(_: jax.Array, image_shape: Shape, quality: Compression) -> ops.Jpeg:
    return ops.jpeg(image_shape, *quality)


def compress(key: jax.Array, image_shape: Shape, measurements: float) -> ops.PartialCirculant:
    return ops.partial_circulant(key, image_shape, _count(image_shape, measurements))


def gaussian(
    key: jax.Array,
    image_shape: Shape,
    measurements: float | None = None,
    matrix: np.ndarray | None = None,
) -> ops.DenseMatrix:
    if measurements is not None:
        return ops.gaussian_matrix(key, image_shape, _count(image_shape, measurements))
    assert matrix is not None
    return ops.dense_matrix(image_shape, matrix)


def blur(
    _: jax.Array,
    image_shape: Shape,
    sigma: float | None = None,
    motion: int | None = None,
    angle: float = 0.0,
    kernel: np.ndarray | None = None,
) -> ops.Blur:
    if sigma is not None:
        return ops.gaussian_blur(image_shape, sigma)
    if motion is not None:
        return ops.motion_blur(image_shape, motion, angle)
    assert kernel is not None
    return ops.blur(image_shape, kernel)


def mri(
    key: jax.Array,
    image_shape: Shape,
    acceleration: float | None = None,
    centre: float | None = None,
    spokes: int | None = None,
    mask: np.ndarray | None = None,
    maps: Maps = None,
) -> ops.UndersampledFourier:
    if acceleration is not None:
        mask = np.asarray(ops.cartesian_mask(key, image_shape, acceleration, centre))
    elif spokes is not None:
        mask = np.asarray(ops.radial_mask(image_shape, spokes))
    assert mask is not None
    return ops.masked_mri(image_shape, mask, maps(mask) if callable(maps) else maps)


def compose(
    key: jax.Array,
    image_shape: Shape,
    chain: Sequence[Callable[[jax.Array, Shape], ops.Operator]],
) -> ops.Operator:
    operators: list[ops.Operator] = []
    for i, build in enumerate(chain):
        operators.append(build(jax.random.fold_in(key, i), image_shape))
        image_shape = operators[-1].measurement_shape
        if i + 1 < len(chain) and not operators[-1].measures_image:
            raise InputError(
                f"chain: task {i + 1} measures {image_shape}, which is no image; "
                "expected it to be the last"
            )
    return ops.composition(*operators)


def without_key(make: Callable[..., ops.Operator]) -> Callable[..., ops.Operator]:
    """`build` of an operator without random parts, whose options are the arguments of `make`."""
    return lambda _, image_shape, **options: make(image_shape, **options)

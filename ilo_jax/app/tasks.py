"""The table of tasks: which operators the command line offers, and how they are asked for."""

import math
from collections.abc import Callable, Sequence

import jax
import numpy as np

from ilo_jax import ops
from ilo_jax.app.task import Option, Task
from ilo_jax.errors import InputError
from ilo_jax.files.jpeg import Compression

Shape = tuple[int, ...]

MAPS = Option(
    "maps",
    "maps",
    "sensitivities of coils, complex [coils, H, W], in an array file or a folder of one for each "
    "image; one: a single coil that is 1 everywhere",
    default="one",
)
MEASUREMENTS = Option(
    "measurements", float, "their number, as a fraction of the image's values, in (0, 1]"
)


def _count(image_shape: Shape, measurements: float) -> int:
    """The number of measurements that a fraction of an image's values is, at least 1."""
    if not 0 < measurements <= 1:
        raise InputError(f"measurements {measurements}: expected a fraction of n in (0, 1]")
    return max(round(measurements * math.prod(image_shape)), 1)


DEAD = Option("dead", float, "fraction of pixels that are black, nobody knows which", default=0.0)


def _denoise(_: jax.Array, image_shape: Shape, sigma: float | None, dead: float = 0.0) -> ops.Noise:
    known = sigma is not None
    noise = ops.denoising(image_shape, sigma) if known else ops.unknown_noise(image_shape)
    return _with_dead(noise, dead)


def _photons(_: jax.Array, image_shape: Shape, photons: float, dead: float = 0.0) -> ops.Noise:
    return _with_dead(ops.photon_counts(image_shape, photons), dead)


def _with_dead(noise: ops.Noise, fraction: float) -> ops.Noise:
    return ops.dead_pixels(noise, fraction) if fraction else noise


def _superres(
    _: jax.Array, image_shape: Shape, factor: int, filter: str = "bicubic"
) -> ops.Operator:
    if filter == "unknown":
        return ops.unknown_superresolution(image_shape, factor)
    return ops.superresolution(image_shape, factor, filter)


def _inpaint(
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


def _jpeg(_: jax.Array, image_shape: Shape, quality: Compression) -> ops.Jpeg:
    return ops.jpeg(image_shape, *quality)


def _compress(key: jax.Array, image_shape: Shape, measurements: float) -> ops.PartialCirculant:
    return ops.partial_circulant(key, image_shape, _count(image_shape, measurements))


def _gaussian(
    key: jax.Array,
    image_shape: Shape,
    measurements: float | None = None,
    matrix: np.ndarray | None = None,
) -> ops.DenseMatrix:
    if measurements is not None:
        return ops.gaussian_matrix(key, image_shape, _count(image_shape, measurements))
    assert matrix is not None
    return ops.dense_matrix(image_shape, matrix)


def _blur(
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


def _mri(
    key: jax.Array,
    image_shape: Shape,
    acceleration: float | None = None,
    centre: float | None = None,
    spokes: int | None = None,
    mask: np.ndarray | None = None,
    maps: np.ndarray | None = None,
) -> ops.UndersampledFourier:
    if acceleration is not None:
        return ops.cartesian_mri(key, image_shape, acceleration, centre, maps)
    if spokes is not None:
        return ops.radial_mri(image_shape, spokes, maps)
    assert mask is not None
    return ops.masked_mri(image_shape, mask, maps)


def _compose(
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


def _without_key(make: Callable[..., ops.Operator]) -> Callable[..., ops.Operator]:
    """`build` of an operator without random parts, whose options are the arguments of `make`."""
    return lambda _, image_shape, **options: make(image_shape, **options)


_ROWS = (
    Task(
        "invert",
        "find the image in the range of the generator",
        _without_key(ops.identity),
        demo={},
    ),
    Task(
        "inpaint",
        "fill in the pixels that are not observed",
        _inpaint,
        forms=(
            (Option("observed", float, "fraction of the pixels, at random: 0.1 is a tenth"),),
            (Option("box", int, "side of a square in the middle that is missing"),),
            (Option("strokes", int, "of a black brush at random, 0.08 of the side wide"),),
            (
                Option(
                    "mask",
                    "mask",
                    "white = observed: image or array file, or a folder of one for each image",
                ),
            ),
            (
                Option(
                    "alpha",
                    "alpha",
                    "mask of soft edges, grey = partly hidden by black: files as for --mask",
                ),
            ),
        ),
        examples=({"observed": 0.1}, {"observed": 1.0}, {"box": 5}, {"strokes": 9}),
        demo={"observed": 0.1},
    ),
    Task(
        "superres",
        "undo down-sampling",
        _superres,
        forms=(
            (
                Option("factor", int, "down-sampling factor, a divisor of the image size"),
                Option(
                    "filter",
                    "filter",
                    f"{', '.join(ops.FILTERS)}; or unknown, of images that are --measured",
                    default="bicubic",
                ),
            ),
        ),
        examples=({"factor": 2}, {"factor": 4, "filter": "average"}, {"factor": 16}),
        demo={"factor": 4},
    ),
    Task(
        "denoise",
        "remove Gaussian noise",
        _denoise,
        forms=(
            (
                Option(
                    "sigma",
                    "number or auto",
                    "standard deviation of the noise, on the 0-255 scale; auto: estimated, of "
                    "images that are --measured",
                ),
                DEAD,
            ),
        ),
        examples=({"sigma": 25.0}, {"sigma": 60.0, "dead": 0.1}),
        demo={"sigma": 25.0},
    ),
    Task(
        "photons",
        "remove the noise of few photons",
        _photons,
        forms=((Option("photons", float, "counted at white, on average; at most 1e6"), DEAD),),
        examples=({"photons": 50.0, "dead": 0.04}, {"photons": 2.0}),
    ),
    Task(
        "quantize",
        "undo rounding to few grey values",
        _without_key(ops.quantization),
        forms=((Option("bits", int, "of each value, 1 to 16"),),),
        examples=({"bits": 2},),
    ),
    Task(
        "jpeg",
        "undo JPEG compression",
        _jpeg,
        forms=(
            (
                Option(
                    "quality",
                    "quality",
                    "of libjpeg, 1 to 100; file: tables and chroma of each file that is --measured",
                    default="file",
                ),
            ),
        ),
        examples=({"quality": 12},),
    ),
    Task(
        "compress",
        "compressed sensing: random circulant measurements",
        _compress,
        forms=((MEASUREMENTS,),),
        examples=({"measurements": 0.1}, {"measurements": 1.0}),
        demo={"measurements": 0.1},
    ),
    Task(
        "gaussian",
        "compressed sensing: random Gaussian measurements",
        _gaussian,
        forms=(
            (MEASUREMENTS,),
            (Option("matrix", "matrix", "array file [m, H W C], or SciPy's sparse .npz"),),
        ),
        examples=({"measurements": 0.1}, {"measurements": 1.0}),
    ),
    Task(
        "blur",
        "remove a known blur",
        _blur,
        forms=(
            (Option("sigma", float, "Gaussian blur, standard deviation in pixels"),),
            (
                Option("motion", int, "motion blur, length in pixels"),
                Option(
                    "angle", float, "degrees counter-clockwise from the horizontal", default=0.0
                ),
            ),
            (Option("kernel", "kernel", "image file, grey values scaled to sum 1"),),
        ),
        examples=({"sigma": 1.5}, {"motion": 6, "angle": 30.0}),
    ),
    Task(
        "colourise",
        "give a grey image its colours",
        _without_key(ops.grey),
        aliases=("colorize",),
    ),
    Task(
        "mri",
        "magnetic resonance imaging from a part of k-space",
        _mri,
        forms=(
            (
                Option("acceleration", float, "Cartesian: one in so many columns is sampled, >= 1"),
                Option(
                    "centre",
                    "number or auto",
                    "fraction of the columns, sampled in the middle; auto: 0.08, or half of what "
                    "is sampled",
                    default="auto",
                ),
                MAPS,
            ),
            (Option("spokes", int, "radial: number of diameters that are sampled"), MAPS),
            (
                Option(
                    "mask",
                    "sampling",
                    "white = sampled: image or array file, a folder of one for each image, or "
                    "zeros: wherever the measurement is not zero",
                ),
                MAPS,
            ),
        ),
        examples=({"acceleration": 4.0}, {"acceleration": 1.0, "centre": 0.0}, {"spokes": 5}),
    ),
    Task(
        "phase",
        "phase retrieval from Fourier magnitudes",
        ops.phase_retrieval,
        forms=(
            (
                Option("patterns", int, "random sign patterns on the image; 0: none", default=1),
                Option("oversampling", int, "zero-padding to so many times the size", default=2),
            ),
        ),
        examples=({"patterns": 2, "oversampling": 1}, {"patterns": 0, "oversampling": 2}),
    ),
    Task(
        "compose",
        "several of the other tasks, one after the other",
        _compose,
        forms=((Option("chain", "chain", "first one first: 'blur sigma=2, denoise sigma=10'"),),),
        examples=(
            {"chain": "superres factor=2, blur motion=3"},
            {"chain": "inpaint observed=0.5, denoise sigma=10, mri spokes=4"},
            {"chain": "blur sigma=1, photons photons=50 dead=0.1, quantize bits=6"},
        ),
    ),
    Task(
        "custom",
        "any function of JAX operations",
        _without_key(ops.custom),
        forms=(
            (Option("function", "function", "of images [..., H, W, C] in [-1, 1], in Python"),),
        ),
        examples=({"function": "jax.numpy:tanh"}, {"function": "jax.numpy:matrix_transpose"}),
    ),
)

TASKS = {task.name: task for task in _ROWS}
"""By the name on the command line, in the order in which help and demo show them."""

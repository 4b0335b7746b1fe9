"""The table of tasks: which operators the command line offers, and how they are asked for."""

from ilo_jax import ops
from ilo_jax.app import builders
from ilo_jax.app.task import Option, Task

MAPS = Option(
    "maps",
    "maps",
    "sensitivities of coils, complex [coils, H, W], in an array file or a folder of one for each "
    "image; estimate: from the middle of each measured k-space; one: a single coil that is 1 "
    "everywhere",
    default="one",
)
MEASUREMENTS = Option(
    "measurements", float, "their number, as a fraction of the image's values, in (0, 1]"
)
DEAD = Option("dead", float, "fraction of pixels that are black, nobody knows which", default=0.0)

_ROWS = (
    Task(
        "invert",
        "find the image in the range of the generator",
        builders.without_key(ops.identity),
    ),
    Task(
        "inpaint",
        "fill in the pixels that are not observed",
        builders.inpaint,
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
        builders.superres,
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
        builders.denoise,
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
        builders.photons,
        forms=((Option("photons", float, "counted at white, on average; at most 1e6"), DEAD),),
        examples=({"photons": 50.0, "dead": 0.04}, {"photons": 2.0}),
    ),
    Task(
        "quantize",
        "undo rounding to few grey values",
        builders.without_key(ops.quantization),
        forms=((Option("bits", int, "of each value, 1 to 16"),),),
        examples=({"bits": 2},),
    ),
    Task(
        "jpeg",
        "undo JPEG compression",
        builders.jpeg,
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
        builders.compress,
        forms=((MEASUREMENTS,),),
        examples=({"measurements": 0.1}, {"measurements": 1.0}),
        demo={"measurements": 0.1},
    ),
    Task(
        "gaussian",
        "compressed sensing: random Gaussian measurements",
        builders.gaussian,
        forms=(
            (MEASUREMENTS,),
            (Option("matrix", "matrix", "array file [m, H W C], or SciPy's sparse .npz"),),
        ),
        examples=({"measurements": 0.1}, {"measurements": 1.0}),
    ),
    Task(
        "blur",
        "remove a known blur",
        builders.blur,
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
        builders.without_key(ops.grey),
        aliases=("colorize",),
    ),
    Task(
        "mri",
        "magnetic resonance imaging from a part of k-space",
        builders.mri,
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
        builders.compose,
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
        builders.without_key(ops.custom),
        forms=(
            (Option("function", "function", "of images [..., H, W, C] in [-1, 1], in Python"),),
        ),
        examples=({"function": "jax.numpy:tanh"}, {"function": "jax.numpy:matrix_transpose"}),
    ),
)

TASKS = {task.name: task for task in _ROWS}
"""By the name on the command line, in the order in which help and demo show them."""

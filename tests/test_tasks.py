"""The table of tasks: options of the command line, and the operators they ask for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilo_jax import ops
from ilo_jax.app.tasks import TASKS, Option, Task
from ilo_jax.errors import InputError
from ilo_jax.files.jpeg import compression_by

KEY = jax.random.key(0)
SHAPE = (16, 16, 3)


def build(task, options, image_shape=SHAPE):
    values = TASKS[task].complete(options)
    words = {"auto", "one"}
    read = {name: None if str(value) in words else value for name, value in values.items()}
    return TASKS[task].build(KEY, image_shape, **read)


def test_options_of_a_form_go_together():
    a, b = Option("a", int, ""), Option("b", float, "", default=2.5)
    c, d = Option("c", str, ""), Option("d", str, "")
    task = Task("task", "", TASKS["invert"].build, forms=((a, b), (c, d)))
    assert task.options == (a, b, c, d)
    assert task.complete({"a": 1}) == {"a": 1, "b": 2.5}
    assert task.complete({"b": 0.0, "a": 1}) == {"a": 1, "b": 0.0}
    assert task.complete({"c": "x", "d": "y"}) == {"c": "x", "d": "y"}
    for names in ("", "b", "c", "ac", "bcd", "ax"):
        with pytest.raises(InputError) as raised:
            task.complete(dict.fromkeys(names, 1))
        assert str(raised.value) == f"{' '.join(['task', *names])}: expected a [b] | c d"
    with pytest.raises(InputError, match="invert a: expected no options"):
        TASKS["invert"].complete({"a": 1})


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_the_table_keeps_its_rules(task):
    names = [option.name for option in task.options]
    assert len(set(names)) == len(names)
    if len(task.forms) > 1:
        assert all(form[0].default is None for form in task.forms)
    for options in (*task.examples, *([] if task.demo is None else [task.demo])):
        assert task.complete(options).items() >= options.items()


MASK = np.eye(16, dtype=np.float32)[..., None]
KERNEL = np.ones((3, 5))


@pytest.mark.parametrize(
    ("task", "options", "expected"),
    [
        ("invert", {}, ops.identity(SHAPE)),
        ("inpaint", {"observed": 0.1}, ops.random_inpainting(KEY, SHAPE, 0.1)),
        ("inpaint", {"box": 5}, ops.box_inpainting(SHAPE, 5)),
        ("inpaint", {"mask": MASK}, ops.inpainting(SHAPE, MASK)),
        ("inpaint", {"strokes": 3}, ops.stroke_inpainting(KEY, SHAPE, 3)),
        ("inpaint", {"alpha": MASK / 2}, ops.soft_inpainting(SHAPE, MASK / 2)),
        ("superres", {"factor": 16}, ops.superresolution(SHAPE, 16)),
        (
            "superres",
            {"factor": 4, "filter": "average"},
            ops.superresolution(SHAPE, 4, "average"),
        ),
        (
            "jpeg",
            {"quality": compression_by(12)},
            ops.jpeg(SHAPE, compression_by(12).luma, compression_by(12).chroma),
        ),
        ("denoise", {"sigma": 25.0}, ops.denoising(SHAPE, 25.0)),
        ("denoise", {"sigma": "auto"}, ops.unknown_noise(SHAPE)),
        (
            "denoise",
            {"sigma": 25.0, "dead": 0.1},
            ops.dead_pixels(ops.denoising(SHAPE, 25.0), 0.1),
        ),
        ("photons", {"photons": 50.0}, ops.photon_counts(SHAPE, 50.0)),
        (
            "photons",
            {"photons": 50.0, "dead": 0.04},
            ops.dead_pixels(ops.photon_counts(SHAPE, 50.0), 0.04),
        ),
        ("quantize", {"bits": 3}, ops.quantization(SHAPE, 3)),
        ("compress", {"measurements": 0.1}, ops.partial_circulant(KEY, SHAPE, 77)),
        ("compress", {"measurements": 1e-9}, ops.partial_circulant(KEY, SHAPE, 1)),
        ("gaussian", {"measurements": 1.0}, ops.gaussian_matrix(KEY, SHAPE, 768)),
        ("blur", {"sigma": 1.5}, ops.gaussian_blur(SHAPE, 1.5)),
        ("blur", {"motion": 6}, ops.motion_blur(SHAPE, 6, 0.0)),
        ("blur", {"motion": 6, "angle": 30.0}, ops.motion_blur(SHAPE, 6, 30.0)),
        ("blur", {"kernel": KERNEL}, ops.blur(SHAPE, KERNEL)),
        ("colourise", {}, ops.grey(SHAPE)),
        ("mri", {"acceleration": 4.0}, ops.cartesian_mri(KEY, SHAPE, 4.0, 0.08)),
        ("mri", {"acceleration": 4.0, "centre": 0.2}, ops.cartesian_mri(KEY, SHAPE, 4.0, 0.2)),
        ("mri", {"spokes": 5}, ops.radial_mri(SHAPE, 5)),
        ("phase", {}, ops.phase_retrieval(KEY, SHAPE, 1, 2)),
        ("phase", {"patterns": 2, "oversampling": 1}, ops.phase_retrieval(KEY, SHAPE, 2, 1)),
        ("custom", {"function": jnp.tanh}, ops.custom(SHAPE, jnp.tanh)),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_task_builds_the_operator_of_the_library(task, options, expected):
    found = build(task, options)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_chain_builds_for_the_shape_that_the_last_one_measures():
    def links(*parts):
        return [
            lambda key, shape, name=name, options=options: TASKS[name].build(key, shape, **options)
            for name, options in parts
        ]

    random = ("inpaint", {"observed": 0.5})
    chain = links(("superres", {"factor": 2}), random, random)
    found = build("compose", {"chain": chain})
    assert isinstance(found, ops.Composed)
    assert found.measurement_shape == (8, 8, 3)
    # Each draws by itself.
    _, first, second = found.operators
    assert isinstance(first, ops.Inpaint)
    assert isinstance(second, ops.Inpaint)
    assert (first.mask != second.mask).any()
    expected = ops.random_inpainting(jax.random.fold_in(KEY, 1), (8, 8, 3), 0.5)
    np.testing.assert_array_equal(first.mask, expected.mask)
    with pytest.raises(InputError, match=r"chain: task 1 measures \(77,\), which is no image"):
        build("compose", {"chain": links(("compress", {"measurements": 0.1}), ("invert", {}))})


def test_the_demo_options_suit_the_embedded_generator():
    for name, task in TASKS.items():
        if task.demo is not None:
            assert build(name, task.demo, (64, 64, 3)).image_shape == (64, 64, 3)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("task", "options", "expected"),
    [
        *[
            ("inpaint", {"observed": v}, "a fraction of the pixels in")
            for v in (0, -1, 1.01, NAN, INF)
        ],
        *[("inpaint", {"box": v}, "expected 1 to 7 pixels") for v in (0, -1, 8)],
        *[("inpaint", {"strokes": v}, "expected 1 to 1000") for v in (0, -1, 1001)],
        ("inpaint", {}, r"inpaint: expected observed \| box \| strokes \| mask \| alpha"),
        *[("superres", {"factor": v}, "divisor of the image size 8x16") for v in (0, -2, 3, 16)],
        (
            "superres",
            {"factor": 2, "filter": "box"},
            "filter box: expected one of bicubic",
        ),
        *[("denoise", {"sigma": v}, "expected 0 to 1000") for v in (-1, NAN, INF, 1001)],
        *[("photons", {"photons": v}, "expected more than 0") for v in (0, -1, NAN, INF, 2e6)],
        *[
            (task, value | {"dead": v}, f"dead {v}: expected a fraction of the pixels in")
            for v in (-0.1, 1, NAN)
            for task, value in (("photons", {"photons": 50.0}), ("denoise", {"sigma": "auto"}))
        ],
        *[("quantize", {"bits": v}, "expected 1 to 16") for v in (0, -1, 17)],
        *[
            (task, {"measurements": v}, r"in \(0, 1\]")
            for v in (0, -0.1, 1.01, NAN, INF)
            for task in ("compress", "gaussian")
        ],
        *[("blur", {"sigma": v}, "less than 1.875 pixels") for v in (0, -1, 1.9, NAN, INF)],
        *[("blur", {"motion": v}, "expected 1 to 15 pixels") for v in (0, -1, 16)],
        *[("blur", {"motion": 1, "angle": v}, f"angle {v}: expected degrees") for v in (INF, NAN)],
        ("blur", {}, r"expected sigma \| motion \[angle\] \| kernel"),
        ("blur", {"sigma": 1, "angle": 1}, "blur sigma angle: expected"),
        *[("mri", {"acceleration": v}, "number >= 1") for v in (0, 0.9, NAN, INF)],
        *[
            ("mri", {"acceleration": 4.0, "centre": v}, f"centre {v}: .* from 0 to .* = 0.25")
            for v in (-0.1, 0.26, NAN, INF)
        ],
        ("mri", {}, r"mri: expected acceleration \[centre\] \[maps\] \| spokes"),
        *[("mri", {"spokes": v}, "expected 1 to 64") for v in (0, -1, 65)],
        *[("phase", {"patterns": v}, "expected 0 to 64") for v in (-1, 65)],
        *[("phase", {"oversampling": v}, "expected 1 to 8") for v in (0, 9)],
    ],
)
def test_bad_options_are_refused_in_one_line(task, options, expected):
    with pytest.raises(InputError, match=expected) as raised:
        build(task, options, (8, 16, 3))
    assert "\n" not in str(raised.value)
    assert all(name in str(raised.value) for name in list(options)[-1:])


def test_a_matrix_that_takes_too_much_memory_is_refused():
    with pytest.raises(InputError, match=r"314573 x 3145728 takes 39.* bytes; .* or compress"):
        build("gaussian", {"measurements": 0.1}, (1024, 1024, 3))

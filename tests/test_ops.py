import math
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from PIL import Image

from ilo_jax.errors import InputError
from ilo_jax.ops import (
    TASKS,
    BicubicDownsample,
    Grey,
    Identity,
    Inpaint,
    LinearOperator,
    Noisy,
    box_mask,
    gaussian_matrix,
    partial_circulant,
    random_mask,
)
from ilo_jax.solve.images import from_uint8
from ilo_jax.solve.options import build_operator

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "ilo.npz")
KEY = jax.random.key(0)


def build(task, options, image_shape, key=KEY):
    return build_operator(key, TASKS[task], options, image_shape)


def images(image_shape, *batch, seed=1):
    return jax.random.uniform(jax.random.key(seed), (*batch, *image_shape), minval=-1)


def image(measurement, index):
    return jax.tree.map(lambda y: y[index], measurement)


def inner(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return sum(np.vdot(np.asarray(x, np.float64), np.asarray(y, np.float64)) for x, y in pairs)


def assert_close(a, b, tolerance=1e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=tolerance), a, b)


def cases():
    """Every task's first example on grey, oblong images and on colour images; its others on grey
    ones where they can be."""
    found = []
    for name, task in TASKS.items():
        for options in task.examples:
            label = " ".join([name, *(f"{k} {v}" for k, v in options.items())])
            for image_shape in [(8, 16, 1), (16, 16, 3)]:
                try:
                    build(name, options, image_shape)
                except InputError:
                    assert image_shape == (8, 16, 1)
                    continue
                found.append(pytest.param(name, options, image_shape, id=f"{label} {image_shape}"))
                if options is not task.examples[0]:
                    break
    return found


@pytest.mark.parametrize(("task", "options", "image_shape"), cases())
def test_every_operator_keeps_the_laws(task, options, image_shape):
    a, b = (build(task, options, image_shape, jax.random.key(i)) for i in range(2))
    x, direction = images(image_shape, 2), images(image_shape, 2, seed=2)
    probe = jax.tree.map(lambda y: images(y.shape), jax.eval_shape(a, x))
    small = 3e-3

    @jax.jit
    def compute(a, b, x, direction, probe):
        pair = jax.tree.map(lambda *leaves: jnp.stack(leaves), a, b)
        found = {
            "one": a(x[0]),
            "b": b(x[1]),
            "batch axes": a(
                jnp.stack([x, x + small * direction, x - small * direction, direction])
            ),
            "vmap": jax.vmap(a)(x),
            "vmap of operators": jax.vmap(lambda a, x: a(x))(pair, x),
            "jvp": jax.jvp(a, (x,), (direction,))[1],
            "vjp": jax.vjp(a, x)[1](probe)[0],
            "vjp at zero": jax.vjp(a, jnp.zeros_like(x))[1](probe)[0],
            "measured": a.measure(KEY, x),
            "picture": a.picture(a.measure(KEY, x)),
            "picture of nothing": a.picture(a(jnp.zeros_like(x))),
            "restricted": a.restrict(a(x)),
        }
        if isinstance(a, LinearOperator):
            found["adjoint"] = a.adjoint(probe)
            found["adjoint of one"] = a.adjoint(image(probe, 0))
        return found

    found = compute(a, b, x, direction, probe)
    one, together = found["one"], image(found["batch axes"], 0)
    assert jax.tree.map(jnp.shape, one) == a.measurement_shape
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(found))
    assert_close(one, image(together, 0))
    assert_close(found["vmap"], together)
    assert_close(image(found["vmap of operators"], 0), one)
    assert_close(image(found["vmap of operators"], 1), found["b"])

    difference = jax.tree.map(lambda y: (y[1] - y[2]) / (2 * small), found["batch axes"])
    deviation = jax.tree.leaves(jax.tree.map(jnp.subtract, found["jvp"], difference))
    # All but a few, which may be magnitudes near 0, where they have a kink.
    assert all(np.quantile(np.abs(leaf), 0.99) < 1e-3 for leaf in deviation)
    assert inner(found["jvp"], probe) == pytest.approx(inner(direction, found["vjp"]), abs=1e-3)

    assert np.isfinite(found["vjp at zero"]).all()

    assert_close(found["measured"], a.measure(KEY, x))
    assert_close(found["restricted"], together)
    for name in ("picture", "picture of nothing"):
        picture = found[name]
        assert (picture.ndim, picture.shape[0]) == (4, 2)
        assert picture.shape[-1] in (1, image_shape[-1])
        assert np.isfinite(picture).all()

    if isinstance(a, LinearOperator):
        # Linear: the derivative anywhere in a direction is the measurement of that direction.
        assert_close(found["jvp"], image(found["batch axes"], 3))
        assert inner(together, probe) == pytest.approx(inner(x, found["adjoint"]), abs=1e-3)
        assert_close(found["adjoint of one"], found["adjoint"][0])


def test_the_demo_options_suit_the_embedded_generator():
    for name, task in TASKS.items():
        if task.demo is not None:
            build(name, task.demo, (64, 64, 3))


@pytest.mark.parametrize(("image_shape", "m"), [((4, 5, 3), 17), ((3, 3, 1), 9), ((3, 5, 1), 1)])
def test_circulant_equals_its_matrix(image_shape, m):
    n = math.prod(image_shape)
    operator = partial_circulant(KEY, image_shape, m)
    first_row = np.fft.irfft(np.asarray(operator.spectrum, np.complex128), n)
    # SciPy's has the vector in its first column.
    matrix = scipy.linalg.circulant(first_row).T @ np.diag(operator.signs)
    x = images(image_shape, 2)
    expected = (matrix @ np.reshape(x, (2, n)).T)[operator.rows].T
    np.testing.assert_allclose(operator(x), expected, atol=1e-5)


def test_circulant_is_drawn_as_in_lemma_1():
    shape, m = (32, 32, 3), 300
    operator = partial_circulant(KEY, shape, m)
    g = np.fft.irfft(operator.spectrum, 3072)
    assert g.std() * m**0.5 == pytest.approx(1, rel=0.05)
    assert abs(g.mean()) * m**0.5 < 0.06
    assert set(np.asarray(operator.signs)) == {-1, 1}
    assert abs(operator.signs.mean()) < 0.06
    rows = np.asarray(operator.rows)
    assert len(set(rows)) == m
    assert 0 <= rows.min() < rows.max() < 3072
    # A preserves lengths on average.
    x = images(shape)
    measured = jax.jit(jax.vmap(lambda key: partial_circulant(key, shape, m)(x)))
    y = measured(jax.random.split(KEY, 20))
    assert inner(y, y) / 20 == pytest.approx(inner(x, x), rel=0.1)


def test_circulant_equals_the_authors():
    # Theirs convolves, the paper's matrix correlates: the filter is read backwards.
    x, n = GOLDEN["x"].reshape(2, 3, 3, 3), 27
    backwards = np.roll(GOLDEN["filter"][::-1], 1)
    operator = partial_circulant(KEY, (3, 3, 3), 8).replace(
        spectrum=jnp.fft.rfft(backwards), signs=GOLDEN["signs"], rows=GOLDEN["rows"]
    )
    assert operator.measurement_shape == (8,)
    assert n == operator.signs.size
    np.testing.assert_allclose(operator(x), GOLDEN["measured"], atol=1e-5)


CIRCULANT_AT_1024_PX = """
import resource, time, jax, jax.numpy as jnp
from ilo_jax.ops import partial_circulant
shape = (1024, 1024, 3)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
operator = jax.jit(partial_circulant, static_argnums=(1, 2))(jax.random.key(0), shape, 2**18)
x = jnp.ones(shape)
loss = jax.jit(jax.grad(lambda x, operator: jnp.sum(operator(x) ** 2)))
loss(x, operator).block_until_ready()
began = time.perf_counter()
loss(x, operator).block_until_ready()
seconds = time.perf_counter() - began
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(seconds, (after - before) * 1024)
"""


def test_circulant_at_1024_px_takes_memory_and_time_of_an_fft():
    # In a process of its own: the peak is that of the process. The matrix would take 3 TB.
    run = [sys.executable, "-c", CIRCULANT_AT_1024_PX]
    seconds, size = map(float, subprocess.check_output(run, text=True).split())
    assert size < 50 * 4 * 3 * 1024 * 1024
    assert seconds < 10


def test_gaussian_is_drawn_as_in_theorem_1():
    shape, m = (16, 16, 3), 400
    operator = gaussian_matrix(KEY, shape, m)
    x = images(shape, 2)
    matrix = np.asarray(operator.matrix, np.float64)
    np.testing.assert_allclose(operator(x), np.reshape(x, (2, -1)) @ matrix.T, atol=1e-5)
    assert matrix.shape == (m, 768)
    assert matrix.std() * m**0.5 == pytest.approx(1, rel=0.01)
    assert abs(matrix.mean()) * m**0.5 < 0.01
    # Rows and columns are uncorrelated.
    assert abs(np.corrcoef(matrix) - np.eye(m)).max() < 0.25
    assert abs(np.corrcoef(matrix.T) - np.eye(768)).max() < 0.3
    # A preserves lengths on average.
    assert inner(operator(x), operator(x)) == pytest.approx(inner(x, x), rel=0.1)


def test_a_matrix_that_takes_too_much_memory_is_refused_before_it_is_drawn(monkeypatch):
    # This one would take 4 TB.
    with pytest.raises(InputError, match=r"314573 x 3145728 takes 39.* bytes; .* or compress"):
        build("gaussian", {"measurements": 0.1}, (1024, 1024, 3))
    monkeypatch.setattr("ilo_jax.ops.gaussian.LARGEST_MATRIX", 4 * 5 * 48)
    assert gaussian_matrix(KEY, (4, 4, 3), 5).matrix.shape == (5, 48)
    with pytest.raises(InputError, match="6 x 48 takes 1152 bytes; expected at most 960"):
        gaussian_matrix(KEY, (4, 4, 3), 6)


def test_grey_is_the_luma_of_image_files():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    luma = np.asarray(Image.fromarray(pixels).convert("L"))
    y = Grey((8, 8, 3))(jnp.asarray(from_uint8(pixels)))
    assert abs((y[..., 0] + 1) * 127.5 - luma).max() < 1
    flat = jnp.full((8, 8, 3), 0.3)
    assert_close(Grey((8, 8, 3))(flat), flat[..., :1], 1e-6)


def keys_kernel(t, a=-0.5):
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def downsample_directly(x, factor):
    """Each output is a dot product of 4 x factor taps along either axis, as PULSE places them."""
    taps = np.array([keys_kernel((k - 2 * factor + 0.5) / factor) for k in range(4 * factor)])
    taps /= taps.sum()
    for axis in (0, 1):
        before = 3 * factor // 2
        padding = [(before, 3 * factor - before) if i == axis else (0, 0) for i in range(3)]
        padded = np.moveaxis(np.pad(x, padding, mode="reflect"), axis, 0)
        starts = range(0, x.shape[axis], factor)
        rows = [np.tensordot(taps, padded[i : i + 4 * factor], 1) for i in starts]
        x = np.moveaxis(np.stack(rows), 0, axis)
    return x


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 6, 12])
def test_bicubic_equals_direct_convolution(factor):
    shape = (12, 24, 2)
    x = images(shape)
    expected = downsample_directly(np.asarray(x, np.float64), factor)
    np.testing.assert_allclose(BicubicDownsample(shape, factor)(x), expected, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_equals_the_authors(factor):
    found = BicubicDownsample((12, 24, 3), factor)(GOLDEN["image"])
    np.testing.assert_allclose(found, GOLDEN[f"small_{factor}"], atol=1e-6)


def test_bicubic_keeps_constants():
    flat = jnp.full((8, 8, 1), 0.7)
    assert_close(BicubicDownsample((8, 8, 1), 8)(flat), jnp.full((1, 1, 1), 0.7), 1e-6)


@pytest.mark.parametrize("observed", [0.1, 0.001, 0.5, 1.0, 1e-9])
def test_random_mask_observes_the_exact_number_of_pixels(observed):
    mask = random_mask(KEY, (16, 24, 3), observed)
    assert mask.shape == (16, 24, 1)
    assert set(np.unique(mask)) <= {0, 1}
    assert mask.sum() == max(round(observed * 16 * 24), 1)
    if observed == 0.5:
        assert (mask != random_mask(jax.random.key(1), (16, 24, 3), observed)).any()


def test_box_mask_misses_the_middle():
    mask = np.asarray(box_mask((6, 8, 3), 2))[..., 0]
    assert (mask[2:4, 3:5] == 0).all()
    assert mask.sum() == 6 * 8 - 4


def test_inpainting_shows_missing_pixels_black_and_ignores_what_a_file_has_there():
    operator = Inpaint((4, 4, 3), box_mask((4, 4, 3), 2))
    x = images((4, 4, 3))
    assert (operator(x)[1:3, 1:3] == 0).all()
    np.testing.assert_array_equal(operator(x)[0], x[0])
    assert (operator.picture(operator(x))[1:3, 1:3] == -1).all()
    np.testing.assert_array_equal(operator.restrict(x), operator(x))


@pytest.mark.parametrize("clip", [False, True])
def test_noise_has_the_statistics_it_says(clip):
    shape, sigma = (64, 64, 3), 0.4
    x = jnp.full(shape, 0.5)
    operator = Noisy(shape, Identity(shape), jnp.float32(sigma), clip)
    y = np.asarray(operator.measure(KEY, x))
    np.testing.assert_array_equal(operator(x), x)
    assert (y != operator.measure(jax.random.key(1), x)).mean() > 0.8
    if clip:
        assert y.min() >= -1
        # P(0.4 n > 0.5) = 0.1056
        assert (y == 1).mean() == pytest.approx(0.1056, abs=0.01)
    else:
        assert (y - 0.5).mean() == pytest.approx(0, abs=0.01)
        assert y.std() == pytest.approx(sigma, rel=0.02)
        assert np.corrcoef(y[..., 0].ravel(), y[..., 1].ravel())[0, 1] == pytest.approx(0, abs=0.05)


def test_noise_differs_by_image_and_on_top_of_another_operator():
    shape = (8, 8, 3)
    inside = partial_circulant(KEY, shape, 50)
    operator = Noisy(shape, inside, jnp.float32(0.1), clip=False)
    assert operator.measurement_shape == (50,)
    x = jnp.zeros((2, *shape))
    y = operator.measure(KEY, x)
    assert (y[0] != y[1]).all()
    assert y.std() == pytest.approx(0.1, rel=0.3)
    np.testing.assert_array_equal(operator.picture(y), inside.picture(y))


def test_sigma_of_the_denoising_task_is_on_the_scale_of_pixels():
    shape = (64, 64, 3)
    y = build("denoise", {"sigma": 25.5}, shape).measure(KEY, jnp.zeros(shape))
    assert y.std() == pytest.approx(0.2, rel=0.02)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("task", "options", "expected"),
    [
        *[
            ("inpaint", {"observed": v}, "more than 0 and at most 1")
            for v in (0, -1, 1.01, NAN, INF)
        ],
        *[("inpaint", {"box": v}, "expected 1 to 7 pixels") for v in (0, -1, 8)],
        ("inpaint", {}, "inpaint: expected observed | box | mask"),
        *[("superres", {"factor": v}, "divisor of the image size 8x16") for v in (0, -2, 3, 16)],
        *[("denoise", {"sigma": v}, "expected 0 to 1000") for v in (-1, NAN, INF, 1001)],
        *[
            (task, {"measurements": v}, r"in \(0, 1\]")
            for v in (0, -0.1, 1.01, NAN, INF)
            for task in ("compress", "gaussian")
        ],
        *[("blur", {"sigma": v}, "less than 1.875 pixels") for v in (0, -1, 1.9, NAN, INF)],
        *[("blur", {"motion": v}, "expected 1 to 15 pixels") for v in (0, -1, 16)],
        *[("blur", {"motion": 1, "angle": v}, f"angle {v}: expected degrees") for v in (INF, NAN)],
        ("blur", {}, r"expected sigma | motion \[angle\] | kernel"),
        ("blur", {"sigma": 1, "angle": 1}, "blur sigma angle: expected"),
        *[("mri", {"acceleration": v}, "number >= 1") for v in (0, 0.9, NAN, INF)],
        *[
            ("mri", {"acceleration": 4.0, "centre": v}, f"centre {v}: .* from 0 to .* = 0.25")
            for v in (-0.1, 0.26, NAN, INF)
        ],
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

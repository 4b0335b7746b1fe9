"""Forward operators: the laws that each keeps, and what each is."""

import functools
import math
import pathlib
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import OPERATORS, quick_key
from PIL import Image
from small import measure

from ilo_jax import ops
from ilo_jax.errors import InputError
from ilo_jax.files.images import from_uint8
from ilo_jax.ops import (
    Downsample,
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

many_programs = True

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "ilo.npz")
KEY = jax.random.key(0)


def images(image_shape, *batch, seed=1) -> Any:
    numbers = np.random.default_rng(seed)
    return numbers.uniform(-1, 1, (*batch, *image_shape)).astype(np.float32)


def image(measurement, index):
    return jax.tree.map(lambda y: y[index], measurement)


def flat(tree):
    return np.concatenate([np.ravel(leaf).astype(np.float64) for leaf in jax.tree.leaves(tree)])


def inner(a, b):
    return flat(a) @ flat(b)


circulant = jax.jit(partial_circulant, static_argnums=(1, 2))


def assert_close(a, b, tolerance=1e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=tolerance), a, b)


def strict(function):
    """Runs a test with 64 bits enabled and without implicit promotion of types and ranks."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        promotion = jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise")
        with jax.enable_x64(True), promotion[0], promotion[1]:
            function(*args, **kwargs)

    return run


@functools.cache
def made(name):
    """An operator, and another one where it is random; and a batch of both, in either order."""
    make = jax.jit(OPERATORS[name])
    a, b = make(quick_key(0)), make(quick_key(1))
    return a, b, ops.stack([a, b]), ops.stack([b, a])


@jax.jit
def law_terms(a, b, pair, x, direction, probe, key):
    """What the laws are about. `pair` is the operator of a batch of `a` and `b`; `x`, `direction`
    and `probe` have a batch axis of two."""
    measured, transpose = jax.vjp(a, x)
    found = {
        "one": a(x[0]),
        "batch": measured,
        "jvp of more axes": jax.jvp(a, (x[None],), (direction[None],)),
        "batch of operators": ops.map_images(lambda a, x: a(x), pair, x),
        "vjp": transpose(probe)[0],
        "measured": a.measure(key, x),
        "picture": a.picture(measured),
        "restricted": a.restrict(measured),
        "noise variance": jnp.asarray(a.noise_variance, jnp.float32),
        "error": a.error(image(measured, 0), image(measured, 1)),
        "squared error": a.squared_error(image(measured, 0), image(measured, 1)),
        "level": jnp.asarray(a.noise_level(image(measured, 0)), jnp.float32),
    }
    if isinstance(a, LinearOperator):
        found["adjoint"] = a.adjoint(probe)
    return found


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=3)
@given(seed=st.integers(0, 2**32 - 1))
@strict
def test_every_operator_keeps_the_laws(name, seed):
    (a, b, pair, swapped_pair), shape = made(name), OPERATORS[name].shape
    numbers = np.random.default_rng(seed)

    def uniform(shape):
        return numbers.uniform(-1, 1, (2, *shape)).astype(np.float32)

    x, direction = uniform(shape), uniform(shape)
    probe = jax.tree.map(lambda y: uniform(y.shape), jax.eval_shape(a, x[0]))

    def compute(a, b, pair, x):
        return jax.device_get(law_terms(a, b, pair, x, direction, probe, quick_key(0)))

    found = compute(a, b, pair, x)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(found))
    assert jax.tree.map(np.shape, found["one"]) == a.measurement_shape
    together = found["batch"]
    assert a.check_measurement(together) == 2
    assert_close(found["one"], image(together, 0))
    assert_close(found["restricted"], together)
    swapped = compute(b, a, swapped_pair, x[::-1])
    assert_close(image(found["batch of operators"], 0), image(together, 0))
    assert_close(image(found["batch of operators"], 1), swapped["one"])

    of_more_axes, derivative = (image(tree, 0) for tree in found["jvp of more axes"])
    assert_close(of_more_axes, together)
    step = np.float32(3e-3)
    before, after = (flat(compute(a, b, pair, x + s * step * direction)["batch"]) for s in (-1, 1))
    deviation = np.abs(flat(derivative) - (after - before) / (2 * step))
    # All but a few, which may be magnitudes near 0, where they have a kink.
    assert np.quantile(deviation, 0.98) < 2e-3
    assert inner(derivative, probe) == pytest.approx(inner(direction, found["vjp"]), abs=1e-3)

    nothing = compute(a, b, pair, 0 * x)
    assert np.isfinite(nothing["vjp"]).all()
    for picture in (found["picture"], nothing["picture"]):
        assert (picture.ndim, picture.shape[0]) == (4, 2)
        assert picture.shape[-1] in (1, shape[-1])
        assert np.isfinite(picture).all()

    if name != "classifier":  # whose measurement is a class, and its error an entropy
        assert np.any(flat(found["measured"]) != flat(together)) == a.is_noisy
        squares = (flat(image(together, 0)) - flat(image(together, 1))) ** 2
        seen = np.ones_like(squares)
        if isinstance(a, ops.Noise) and a.observed is not None:
            seen = flat(np.broadcast_to(a.observed, found["one"].shape))
        assert found["squared error"] == pytest.approx(np.average(squares, weights=seen), rel=1e-4)
        assert np.isfinite(found["error"])
        if not isinstance(a, ops.Noise):
            assert found["error"] == found["squared error"]
        assert (found["level"] > 0) == isinstance(a, ops.Noise)

    if isinstance(a, LinearOperator):
        # Linear: the derivative anywhere in a direction is the measurement of that direction.
        assert_close(derivative, compute(a, b, pair, direction)["batch"])
        assert inner(together, probe) == pytest.approx(inner(x, found["adjoint"]), abs=1e-3)


def test_the_adjoint_is_of_one_or_of_many():
    operator = ops.radial_mri((8, 8, 1), 3)
    y = images((8, 8, 1, 2), 2)
    adjoint = jax.jit(operator.adjoint)
    assert adjoint(y[0]).shape == (8, 8, 1)
    both = np.asarray(adjoint(y))
    assert_close(np.asarray(adjoint(y[:, None]))[:, 0], both)
    assert_close(adjoint(y[0]), both[0])
    assert np.abs(jax.jit(operator.back_projection)(y)).max() == 1


@pytest.mark.parametrize("name", ["circulant", "denoising"])
def test_what_is_drawn_is_the_same_whether_64_bits_are_enabled_or_not(name):
    def drawn(key):
        operator = OPERATORS[name](key)
        return operator, operator.measure(key, jnp.zeros(OPERATORS[name].shape, jnp.float32))

    plain = jax.jit(drawn)(KEY)
    with jax.enable_x64(True):
        enabled = jax.jit(drawn)(KEY)
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(enabled), strict=True):
        assert a.dtype == b.dtype or np.issubdtype(a.dtype, np.integer)
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("image_shape", "m"), [((4, 5, 3), 17), ((3, 3, 1), 9), ((3, 5, 1), 1)])
def test_circulant_equals_its_matrix(image_shape, m):
    n = math.prod(image_shape)
    operator = circulant(quick_key(0), image_shape, m)
    first_row = np.fft.irfft(np.asarray(operator.spectrum, np.complex128), n)
    # SciPy's has the vector in its first column.
    matrix = scipy.linalg.circulant(first_row).T @ np.diag(operator.signs)
    x = images(image_shape, 2)
    expected = (matrix @ np.reshape(x, (2, n)).T)[operator.rows].T
    np.testing.assert_allclose(measure(operator, x), expected, atol=1e-5)


def test_circulant_is_drawn_as_in_lemma_1():
    shape, m = (32, 32, 3), 300
    operator = circulant(KEY, shape, m)
    g = np.fft.irfft(operator.spectrum, 3072)
    signs, rows = np.asarray(operator.signs), np.asarray(operator.rows)
    assert g.std() * m**0.5 == pytest.approx(1, rel=0.05)
    assert abs(g.mean()) * m**0.5 < 0.06
    assert set(signs) == {-1, 1}
    assert abs(signs.mean()) < 0.06
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
    operator = circulant(quick_key(0), (3, 3, 3), 8).replace(
        spectrum=np.fft.rfft(backwards).astype(np.complex64),
        signs=GOLDEN["signs"],
        rows=GOLDEN["rows"],
    )
    assert operator.measurement_shape == (8,)
    assert n == operator.signs.size
    np.testing.assert_allclose(measure(operator, x), GOLDEN["measured"], atol=1e-5)


CIRCULANT_AT_1024_PX = """
import pathlib, time, jax, jax.numpy as jnp
from ilo_jax.ops import partial_circulant

def peak():  # that of getrusage begins with what the process had that started this one
    status = pathlib.Path("/proc/self/status").read_text().split()
    return 1024 * int(status[status.index("VmHWM:") + 1])

shape = (1024, 1024, 3)
before = peak()
operator = jax.jit(partial_circulant, static_argnums=(1, 2))(jax.random.key(0), shape, 2**18)
x = jnp.ones(shape)
loss = jax.jit(jax.grad(lambda x, operator: jnp.sum(operator(x) ** 2)))
loss(x, operator).block_until_ready()
began = time.perf_counter()
loss(x, operator).block_until_ready()
seconds = time.perf_counter() - began
print(seconds, peak() - before)
"""


@pytest.mark.slow
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
    matrix, y = np.asarray(operator.matrix, np.float64), measure(operator, x)
    np.testing.assert_allclose(y, np.reshape(x, (2, -1)) @ matrix.T, atol=1e-5)
    assert matrix.shape == (m, 768)
    assert matrix.std() * m**0.5 == pytest.approx(1, rel=0.01)
    assert abs(matrix.mean()) * m**0.5 < 0.01
    # Rows and columns are uncorrelated.
    assert abs(np.corrcoef(matrix) - np.eye(m)).max() < 0.25
    assert abs(np.corrcoef(matrix.T) - np.eye(768)).max() < 0.3
    # A preserves lengths on average.
    assert inner(y, y) == pytest.approx(inner(x, x), rel=0.1)


def test_a_matrix_that_takes_too_much_memory_is_refused_before_it_is_drawn(monkeypatch):
    # This one would take 4 TB.
    with pytest.raises(InputError, match=r"314573 x 3145728 takes 39.* bytes; .* or compress"):
        gaussian_matrix(KEY, (1024, 1024, 3), 314573)
    monkeypatch.setattr("ilo_jax.ops.gaussian.LARGEST_MATRIX", 4 * 5 * 48)
    assert gaussian_matrix(KEY, (4, 4, 3), 5).matrix.shape == (5, 48)
    with pytest.raises(InputError, match="6 x 48 takes 1152 bytes; expected at most 960"):
        gaussian_matrix(KEY, (4, 4, 3), 6)


def test_grey_is_the_luma_of_image_files():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    luma = np.asarray(Image.fromarray(pixels).convert("L"))
    y = measure(Grey((8, 8, 3)), from_uint8(pixels))
    assert abs((y[..., 0] + 1) * 127.5 - luma).max() < 1
    flat = np.full((8, 8, 3), 0.3, np.float32)
    assert_close(measure(Grey((8, 8, 3)), flat), flat[..., :1], 1e-6)


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
    np.testing.assert_allclose(jax.jit(ops.superresolution(shape, factor))(x), expected, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_equals_the_authors(factor):
    found = jax.jit(Downsample((12, 24, 3), factor))(GOLDEN["image"])
    np.testing.assert_allclose(found, GOLDEN[f"small_{factor}"], atol=1e-6)


@pytest.mark.parametrize("filter", ["average", "bilinear", "lanczos"])
def test_other_filters_are_pillows_away_from_the_border(filter):
    shape, factor = (64, 64, 1), 4
    pillows = {"average": "BOX", "bilinear": "BILINEAR", "lanczos": "LANCZOS"}[filter]
    x = images(shape)
    small = Image.fromarray(x[..., 0]).resize((16, 16), Image.Resampling[pillows])
    found = measure(ops.superresolution(shape, factor, filter), x)[..., 0]
    inside = np.s_[:] if filter == "average" else np.s_[3:-3, 3:-3]
    np.testing.assert_allclose(found[inside], np.asarray(small)[inside], atol=1e-5)


def test_bicubic_keeps_constants():
    flat = np.full((8, 8, 1), 0.7, np.float32)
    assert_close(jax.jit(Downsample((8, 8, 1), 8))(flat), flat[:1, :1], 1e-6)


@pytest.mark.parametrize("observed", [0.1, 0.001, 0.5, 1.0, 1e-9])
def test_random_mask_observes_the_exact_number_of_pixels(observed):
    mask = np.asarray(random_mask(KEY, (16, 24, 3), observed))
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
    seen = jax.jit(lambda operator, x: (operator(x), operator.picture(operator(x))))
    y, picture = jax.device_get(seen(operator, x))
    assert (y[1:3, 1:3] == 0).all()
    np.testing.assert_array_equal(y[0], x[0])
    assert (picture[1:3, 1:3] == -1).all()
    np.testing.assert_array_equal(operator.restrict(x), y)


@pytest.mark.parametrize("clip", [False, True])
def test_noise_has_the_statistics_it_says(clip):
    shape, sigma = (64, 64, 3), 0.4
    x = jnp.asarray(np.full(shape, 0.5, np.float32))
    operator = Noisy(shape, Identity(shape), jnp.float32(sigma), clip)
    measure = jax.jit(operator.measure)
    y = np.asarray(measure(KEY, x))
    np.testing.assert_array_equal(operator(x), x)
    assert np.mean(y != measure(jax.random.key(1), x)) > 0.8
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
    inside = circulant(quick_key(0), shape, 50)
    operator = Noisy(shape, inside, jnp.float32(0.1), clip=False)
    assert operator.measurement_shape == (50,)
    x = np.zeros((2, *shape), np.float32)
    y = np.asarray(jax.jit(operator.measure)(KEY, x))
    assert (y[0] != y[1]).all()
    assert y.std() == pytest.approx(0.1, rel=0.3)
    pictures = jax.jit(lambda a, b, y: (a.picture(y), b.picture(y)))(operator, inside, y)
    np.testing.assert_array_equal(*pictures)


def test_sigma_of_denoising_is_on_the_scale_of_pixels():
    shape = (64, 64, 3)
    measure = jax.jit(lambda operator: operator.measure(KEY, jnp.zeros(shape)))
    y = np.asarray(measure(ops.denoising(shape, 25.5)))
    assert y.std() == pytest.approx(0.2, rel=0.02)
    assert np.abs(measure(ops.denoising(shape, 500))).max() == 1


def test_noise_is_known_to_those_who_add_it():
    shape = (8, 8, 3)
    denoising, identity = ops.denoising(shape, 51.0), ops.identity(shape)
    assert [denoising.is_noisy, identity.is_noisy] == [True, False]
    twice = Noisy(shape, denoising, jnp.float32(0.3), clip=False)
    assert denoising.noise_variance == pytest.approx(0.16)
    assert twice.noise_variance == pytest.approx(0.16 + 0.09)
    assert ops.composition(identity, denoising).noise_variance == pytest.approx(0.16)
    assert ops.composition(denoising, identity).is_noisy
    assert not ops.composition(identity, identity).is_noisy


def test_operators_whose_shapes_do_not_match_are_not_composed():
    with pytest.raises(InputError, match="composition of no operators"):
        ops.composition()
    half = ops.superresolution((16, 16, 3), 2)
    with pytest.raises(InputError, match=r"operator 1 measures \(8, 8, 3\); expected \(16, 16"):
        ops.composition(half, half)
    noisy = ops.composition(half, ops.denoising((8, 8, 3), 1.0))
    assert isinstance(ops.composition(half), LinearOperator)
    assert not isinstance(noisy, LinearOperator)


def test_two_functions_are_two_programs():
    x = images((4, 4, 3))
    apply = jax.jit(lambda operator, x: operator(x))
    for function in (jnp.sin, jnp.cos):
        expected = getattr(np, function.__name__)(x)
        assert_close(apply(ops.custom((4, 4, 3), function), x), expected, 1e-6)


def test_operators_of_two_classes_are_two_programs():
    # JAX compares the fields of dataclasses alone.
    grey, identity = ops.grey((4, 4, 3)), ops.identity((4, 4, 3))
    assert jax.tree.structure(grey) != jax.tree.structure(identity)
    assert jax.tree.structure(grey) == jax.tree.structure(ops.grey((4, 4, 3)).replace())


NAN, INF = float("nan"), float("inf")
SHAPE = (8, 16, 3)


@pytest.mark.parametrize(
    ("make", "values", "expected"),
    [
        (
            lambda v: ops.random_inpainting(KEY, SHAPE, v),
            (0, -1, 1.01, NAN, INF),
            "observed {}: expected a fraction of the pixels in (0, 1]; 0.1 is 10 %",
        ),
        (lambda v: ops.box_inpainting(SHAPE, v), (0, -1, 8), "box {}: expected 1 to 7 pixels"),
        (
            lambda v: ops.superresolution(SHAPE, v),
            (0, -2, 3, 16),
            "factor {}: expected a divisor of the image size 8x16",
        ),
        (lambda v: ops.denoising(SHAPE, v), (-1, NAN, INF, 1001), "sigma {}: expected 0 to 1000"),
        (
            lambda v: ops.partial_circulant(KEY, SHAPE, v),
            (0, -1, 385),
            "m {}: expected 1 to 384 measurements",
        ),
        (lambda v: ops.gaussian_matrix(KEY, SHAPE, v), (0, -1), "m {}: expected one measurement"),
        (
            lambda v: ops.gaussian_blur(SHAPE, v),
            (0, -1, 1.9, NAN, INF),
            "sigma {}: expected more than 0 and less than 1.875 pixels",
        ),
        (lambda v: ops.motion_blur(SHAPE, v), (0, -1, 16), "motion {}: expected 1 to 15 pixels"),
        (lambda v: ops.motion_blur(SHAPE, 1, v), (INF, NAN), "angle {}: expected degrees"),
        (
            lambda v: ops.cartesian_mri(KEY, SHAPE, v),
            (0, 0.9, NAN, INF),
            "acceleration {}: expected a number >= 1",
        ),
        (
            lambda v: ops.cartesian_mri(KEY, SHAPE, 4.0, v),
            (-0.1, 0.26, NAN, INF),
            "centre {}: expected a fraction from 0 to 1 / acceleration = 0.25",
        ),
        (lambda v: ops.radial_mri(SHAPE, v), (0, -1, 65), "spokes {}: expected 1 to 64"),
        (lambda v: ops.phase_retrieval(KEY, SHAPE, v), (-1, 65), "patterns {}: expected 0 to 64"),
        (
            lambda v: ops.phase_retrieval(KEY, SHAPE, 1, v),
            (0, 9),
            "oversampling {}: expected 1 to 8",
        ),
        (
            lambda v: ops.inpainting(SHAPE, np.ones(v)),
            ((8, 16), (16, 8, 1), (8, 16, 3), (1, 1, 8, 16, 1)),
            "mask of shape {}: expected (8, 16, 1), or a batch of them",
        ),
        (
            lambda v: ops.inpainting(SHAPE, np.full((8, 16, 1), v)),
            (255, 0.5, NAN),
            "mask with values [{}",
        ),
        (
            lambda v: ops.denoising(SHAPE, np.full(v, 25.0)),
            ((2, 2),),
            "sigma [[25. 25.]\n [25. 25.]]: expected 0 to 1000, on the scale of 0-255 pixels",
        ),
        (lambda v: ops.grey((4, 4, v)), (1, 2, 4), "images of {} channel(s); expected 3, colours"),
    ],
)
def test_bad_values_are_refused_by_name(make, values, expected):
    for value in values:
        with pytest.raises(InputError) as raised:
            make(value)
        assert expected.format(value) in str(raised.value)

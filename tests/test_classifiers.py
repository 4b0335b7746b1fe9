"""Classifiers: converted, trained, brought along; as a measurement and as a loss."""

import json
import pathlib
import pickle
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.compare_resnet import differences

from convert_weights import container
from convert_weights.arrays import tensor
from convert_weights.classifier import main as convert
from convert_weights.classifier import read_classifier
from ilo_jax.classifiers import ResNetConfig, digits, load, save
from ilo_jax.errors import InputError
from ilo_jax.files.checkpoint import CheckpointError
from ilo_jax.ops import Identity
from ilo_jax.ops.classify import Classifier
from ilo_jax.solve import ClassLikelihood, Data, View

numerics_elsewhere = True

GOLDEN = pathlib.Path(__file__).parent / "golden" / "classifiers"
FILES = [GOLDEN / "torchvision.pth", GOLDEN / "robustness.ckpt"]
KEY = jax.random.key(0)
NETWORKS = {"resnet": lambda: read_classifier(FILES[0]), "convnet": lambda: load("digits")}


def _image(*shape, seed=0) -> Any:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def _classify(network, image):
    return np.asarray(_logits(network, image))


_logits = jax.jit(lambda network, image: network(image))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_logits_equal_those_of_torchvision(path):
    for name, (difference, scale) in differences(path).items():
        assert difference <= 2e-5, name
        assert scale > 0.1, name


def test_sizes_and_colours_are_read_off_the_file():
    networks = [read_classifier(path) for path in FILES]
    assert [n.config for n in networks] == [ResNetConfig((1, 2, 1, 1), width=2, classes=7)] * 2
    assert networks[0].params["mean"] == pytest.approx([0.485, 0.456, 0.406])
    assert networks[1].params["std"] == pytest.approx([0.2, 0.3, 0.25])


def test_command_writes_what_load_reads(tmp_path, capsys):
    out = tmp_path / "out"
    assert convert([str(FILES[1]), str(out)]) == 0
    assert "width=2, classes=7" in capsys.readouterr().out
    image = _image(2, 32, 32, 3)
    expected = _classify(read_classifier(FILES[1]), image)
    np.testing.assert_array_equal(_classify(load(out), image), expected)
    assert json.loads((out / "classifier.json").read_text())["about"]["source"] == FILES[1].name

    assert convert([str(FILES[1]), str(out)]) == 2
    assert "exists already; expected a new folder" in capsys.readouterr().err


def _refused(path, content, message):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_classifier(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


class _Touch:
    """Pickles as a call that makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def test_no_code_of_a_file_is_run(tmp_path):
    trap = tmp_path / "trap"
    for value in ({"model": {}, "schedule": _Touch(trap)}, {"state_dict": _Touch(trap)}):
        _refused(tmp_path / "file.ckpt", pickle.dumps(value), "holds no ResNet; expected a state")
    assert not trap.exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"layer1.0.conv3.weight", b"layer1.0.conv4.weight", "holds no ResNet; expected a state"),
        (b"layer2.0.bn2.weight", b"layer2.0.bn9.weight", "without its array layer2.0.bn2.weight"),
        (b".fc.bias", b".fc.bent", "a network without its array fc.bias"),
        (b"layer3.0.conv1", b"layer3.0.conv9", r"fc.weight has shape \[7, 64\]; expected \[any, 1"),
    ],
)
def test_a_network_that_is_no_resnet_of_bottlenecks_is_refused(tmp_path, old, new, message):
    _refused(tmp_path / "file.ckpt", FILES[1].read_bytes().replace(old, new), message)


@pytest.mark.parametrize(
    ("value", "message"),
    [(-1.0, "layer1.0.bn1.running_var has negative values"), (np.nan, "that are not finite")],
)
def test_values_that_no_training_leaves_are_refused(tmp_path, value, message):
    state: dict = container.read(FILES[1])[0]["model"]
    content = FILES[1].read_bytes()
    variance = tensor(state["module.model.layer1.0.bn1.running_var"]).tobytes()
    assert content.count(variance) == 1
    damaged = np.float32(value).tobytes() + variance[4:]
    _refused(tmp_path / "file.ckpt", content.replace(variance, damaged), message)


@pytest.mark.parametrize("kind", NETWORKS)
def test_networks_take_any_batch_axes_and_grey_or_colour(kind):
    @jax.jit
    def run(network, image):
        one = image[1, 2]
        colour = jnp.broadcast_to(one, (20, 24, 3))
        logits = {"batch": network(image), "grey": network(one), "colour": network(colour)}
        return logits, jax.grad(lambda x: network(x)[0])(colour)

    image = _image(2, 3, 20, 24, 1)
    logits, gradient = run(network := NETWORKS[kind](), image)
    assert logits["batch"].shape == (2, 3, network.config.classes)
    np.testing.assert_allclose(logits["grey"], logits["batch"][1, 2], atol=1e-5)
    np.testing.assert_allclose(logits["colour"], logits["batch"][1, 2], atol=1e-5)
    assert np.isfinite(gradient).all()
    assert np.any(gradient != 0)


@settings(max_examples=3)
@given(st.integers(1, 300), st.integers(1, 300), st.floats(-2, 2))
def test_a_plain_image_is_the_same_at_any_size(height, width, grey):
    for read in NETWORKS.values():
        network = read()
        logits = _classify(network, np.full((height, width, 3), grey, np.float32))
        expected = _classify(network, np.full((1, 1, 3), grey, np.float32))
        np.testing.assert_allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize(
    "description",
    [
        {"format": 1},
        {"format": 1, "config": {"network": "vit"}},
        {"format": 1, "config": {"network": "convnet", "depth": 3}},
        {"format": 1, "config": {"network": "convnet", "widths": [-3]}},
    ],
)
def test_a_damaged_folder_is_refused(tmp_path, description):
    folder = tmp_path / "out"
    save(folder, read_classifier(FILES[0]), {})
    (folder / "classifier.json").write_text(json.dumps(description))
    with pytest.raises(
        CheckpointError, match=f"^{folder}: config is damaged.*; convert the weights"
    ):
        load(folder)


def test_what_is_no_classifier_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"not a classifier; expected .*: digits$"):
        load(tmp_path)
    for text, message in [
        ("jax.numpy:", "expected MODULE:FUNCTION"),
        ("no_such_module:f", r"cannot be imported \(No module named 'no_such_module'\)"),
        ("jax.numpy:pi", "is of type float; expected a function"),
    ]:
        with pytest.raises(InputError, match=message):
            load(text)


def test_a_function_of_a_module_here_is_a_classifier(tmp_path, monkeypatch):
    source = "def darkness(image):\n    return -image.mean((-3, -2))\n"
    (tmp_path / "shades.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    network = load("shades:darkness")
    assert jax.tree.leaves(network) == []
    operator = Classifier.create((4, 4, 3), network)
    np.testing.assert_allclose(operator(jnp.ones((2, 4, 4, 3))), -np.ones((2, 3)))


@pytest.fixture(scope="module")
def held_out():
    return digits.load_digits()[1]


def test_embedded_digits_are_robust_at_the_size_of_the_generator(held_out):
    network = load("digits")
    image = np.broadcast_to(held_out.images(), (len(held_out.label), 16, 16, 3))
    enlarge = jax.jit(lambda x: jax.image.resize(x, (len(x), 64, 64, 3), "linear"))
    large = enlarge(image)
    assert digits.accuracy(network, large, held_out.label) > 0.9
    attacked = digits.attack(KEY, network, held_out.images(), held_out.label, 1.0, steps=5)
    assert digits.accuracy(network, attacked, held_out.label) > 0.8


def test_gradients_of_a_robust_classifier_draw_the_digit(held_out):
    """From grey, ascent for class c gives what correlates most with the mean image of c."""
    network, label = load("digits"), np.arange(10)
    means = np.stack([np.mean(held_out.ink[held_out.label == c], 0) for c in range(10)])

    @jax.jit
    def ascend(image):
        gradient = jax.grad(digits.loss, argnums=1)(network, image, label)
        return image - 0.5 * gradient / jnp.linalg.norm(gradient, axis=(1, 2), keepdims=True)

    image = np.zeros((10, 16, 16, 1), np.float32)
    for _ in range(10):
        image = np.asarray(ascend(image))
    flat = [(x - x.mean((1, 2, 3), keepdims=True)).reshape(10, -1) for x in (image, means)]
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in flat)
    assert np.sum(np.argmax(a @ b.T, 1) == label) >= 9


_loss = jax.jit(digits.loss)


@settings(max_examples=8)
@given(st.integers(0, 9), st.floats(0, 5))
def test_attacks_stay_in_the_ball_and_make_things_worse(seed, radius):
    network, image = load("digits"), _image(4, 16, 16, 1, seed=seed)
    label = np.argmax(_classify(network, image), -1)
    attacked = np.asarray(digits.attack(KEY, network, image, label, np.float32(radius), steps=3))
    before, after = (_loss(network, x, label) for x in (image, attacked))
    assert np.all(np.abs(attacked) <= 1)
    assert np.all(np.linalg.norm((attacked - image).reshape(4, -1), axis=1) <= radius + 1e-5)
    assert after >= before - 1e-4


@pytest.mark.slow
def test_training_command_writes_the_same_network_for_the_same_seed(tmp_path, monkeypatch, capsys):
    for name, few in {"STEPS": 2, "BATCH": 16, "ATTACK_STEPS": 1}.items():
        monkeypatch.setattr(digits, name, few)
    training, held_out = digits.load_digits()
    fewer = digits.Digits(held_out.ink[:40], held_out.label[:40])
    monkeypatch.setattr(digits, "load_digits", lambda: (training, fewer))
    for name in "ab":
        assert digits.main([str(tmp_path / name), "--seed", "1"]) == 0
    assert "40 held-out digits: accuracy" in capsys.readouterr().out
    a, b = (jax.tree.leaves(load(tmp_path / name)) for name in "ab")
    assert all(map(np.array_equal, a, b))
    assert not np.array_equal(a[0], jax.tree.leaves(load("digits"))[0])


def test_training_says_what_it_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert digits.main([str(tmp_path / "out")]) == 2
    assert "expected `pip install 'ilo_jax[classifier]'`" in capsys.readouterr().err


def test_the_measurement_of_a_class_is_met_by_its_images(held_out):
    operator = Classifier.create((16, 16, 1), load("digits"))
    assert operator.measurement_shape == (10,)
    image = held_out.images()[:50]

    @jax.jit
    def measure(operator, image):
        measured, logits = operator.measure(KEY, image), operator(image)
        errors = jax.vmap(operator.error)(logits, measured)
        return measured, errors, jax.nn.softmax(logits), operator.picture(measured)

    measured, errors, likelihoods, picture = jax.device_get(measure(operator, image))
    np.testing.assert_array_equal(measured[7], operator.one_hot(int(np.argmax(measured[7]))))
    np.testing.assert_allclose(np.exp(-errors), likelihoods.max(-1), rtol=1e-5)
    assert picture.shape == (50, 1, 10, 1)
    assert (picture.max((1, 2, 3)) == 1).all()
    assert (np.sort(picture, 2)[:, 0, :-1] == -1).all()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda x: x, r"returns \(2, 8, 8, 3\) for two images; expected logits \(2, classes\)"),
        (lambda x: x.sum(), r"returns \(\) for two images"),
        (lambda x: None, "returns no array for two images"),
        (lambda x: x @ jnp.ones((4, 2)), r"fails on images \(8, 8, 3\) \(TypeError: "),
    ],
)
def test_functions_that_classify_nothing_are_refused(network, message):
    with pytest.raises(InputError, match=message) as caught:
        Classifier.create((8, 8, 3), network)
    assert "\n" not in str(caught.value)


def test_the_term_is_the_error_of_the_operator_beside_any_other(held_out):
    network, image = load("digits"), held_out.images()[0]
    identity, operator = Identity(image.shape), Classifier.create(image.shape, load("digits"))
    data = Data(measurement=image)
    nothing: Any = None  # neither looks at the prior, nor at the variables
    view = View(nothing, identity, data, image, image, nothing, nothing)

    @jax.jit
    def both():
        terms = [ClassLikelihood(network, label) for label in range(10)]
        values = [term(term.prepare(nothing, identity, data), view) for term in terms]
        errors = [operator.error(operator(image), operator.one_hot(c)) for c in range(10)]
        return values, errors

    np.testing.assert_allclose(*both(), rtol=1e-5)
    with pytest.raises(InputError, match="class 10: expected 0 to 9"):
        ClassLikelihood(network, 10).prepare(nothing, identity, data)

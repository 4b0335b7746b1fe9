"""From options, as a user gives them, to operators."""

import pathlib
import re
import shlex
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from small import measure

from ilo_jax.app.options import build_operator, differs_by_image, links, own_folders, read_kernel
from ilo_jax.app.parser import make_parser
from ilo_jax.app.tasks import TASKS
from ilo_jax.errors import InputError
from ilo_jax.files.arrays import write_npy
from ilo_jax.ops import (
    Composed,
    Inpaint,
    LinearOperator,
    Operator,
    UndersampledFourier,
    composition,
    custom,
)

numerics_elsewhere = True

KEY = jax.random.key(0)
SHAPE = (16, 16, 3)


def chain(text, shape=SHAPE, key=KEY) -> Operator:
    return build_operator(key, TASKS["compose"], {"chain": text}, shape)


def build(task, shape=SHAPE, **options):
    return build_operator(KEY, TASKS[task], options, shape)


def image(shape=SHAPE):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def test_a_chain_applies_its_tasks_in_order():
    found = chain("blur sigma=1, superres factor=2,blur motion=3 angle=90")
    parts = [
        build("blur", sigma=1),
        build("superres", factor=2),
        build("blur", (8, 8, 3), motion=3, angle=90),
    ]
    x = image()
    y = image((8, 8, 3))
    assert isinstance(found, LinearOperator)

    @jax.jit
    def by_hand(x, turned):
        for part in parts:
            x = part(x)
        for part in reversed(parts):
            assert isinstance(part, LinearOperator)
            turned = part.adjoint(turned)
        return x, turned

    @jax.jit
    def by_chain(x, y):
        return found(x), found.measure(KEY, x), found.adjoint(y)

    expected, turned = by_hand(x, y)
    once, measured, adjoint = by_chain(x, y)
    np.testing.assert_allclose(once, expected, atol=1e-6)
    np.testing.assert_allclose(measured, expected, atol=1e-6)
    np.testing.assert_allclose(adjoint, turned, atol=1e-6)
    assert not isinstance(chain("superres factor=2, denoise sigma=1"), LinearOperator)


def test_noise_of_a_chain_enters_where_it_arises():
    texts = (
        "denoise sigma=25, inpaint box=4",
        "inpaint box=4, denoise sigma=25",
        "denoise sigma=30, denoise sigma=40",
    )
    chains, x = [chain(text) for text in texts], np.zeros(SHAPE, np.float32)
    noise_of = jax.jit(lambda x: [one.measure(KEY, x) for one in chains])
    before, after, twice = jax.device_get(noise_of(x))
    assert (before[6:10, 6:10] == 0).all()
    assert (after[6:10, 6:10] == 0).all()  # nothing is measured there
    for noise in (before[:6], after[:6]):
        assert noise.std() == pytest.approx(25 / 127.5, rel=0.2)
    assert twice.std() == pytest.approx(50 / 127.5, rel=0.1)


def test_tasks_of_a_chain_draw_independently():
    both = chain("inpaint observed=0.5, inpaint observed=0.5")
    assert isinstance(both, Composed)
    a, b = both.operators
    x = np.ones(SHAPE, np.float32)
    assert np.mean(measure(a, x) != measure(b, x)) == pytest.approx(0.5, abs=0.15)


def test_a_chain_shows_and_restricts_what_its_last_task_measures():
    found = chain("superres factor=2, inpaint box=4")
    y = measure(found, image())
    assert (found.picture(y)[2:6, 2:6] == -1).all()
    np.testing.assert_array_equal(found.restrict(image((8, 8, 3)))[2:6, 2:6], 0)
    assert found.error(y, y) == 0
    assert found.error(y + 0.5, y) == pytest.approx(0.25)
    assert chain("mri spokes=3").measurement_shape == (*SHAPE, 2)


def test_files_in_a_chain_have_the_size_that_is_measured_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (8, 8), 255).save("a mask.png")
    found = chain("superres factor=2, inpaint mask='a mask.png'")
    assert found.measurement_shape == (8, 8, 3)
    with pytest.raises(InputError, match=r"mask a mask.png: 8x8 pixels; expected 16x16"):
        chain("inpaint mask='a mask.png'")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "chain '': expected TASK NAME=VALUE"),
        ("blur sigma=1,", "chain '': expected TASK"),
        ("blur sigma", "chain 'blur sigma': expected TASK NAME=VALUE"),
        ("blur kernel='a", "chain .*: expected TASK"),
        ("blurr sigma=1", "chain 'blurr': not a task of a chain; expected one of invert, inpaint"),
        ("compose chain=invert", "chain 'compose': not a task of a chain"),
        ("blur sigma=1 angle=2", r"blur sigma angle: expected sigma \| motion \[angle\]"),
        ("blur sigma=wide", "sigma wide: expected a number"),
        ("superres factor=2.5", "factor 2.5: expected a whole number"),
        ("superres factor=3", "factor 3: expected a divisor of the image size 16x16"),
        ("superres factor=4, superres factor=8", "factor 8: expected a divisor .* 4x4"),
        ("compress measurements=0.1, invert", r"chain: task 1 measures \(77,\), which is no image"),
        ("invert, mri spokes=4, invert", r"chain: task 2 measures \(16, 16, 3, 2\), which is no"),
        ("colourise, colourise", r"colourise: images of 1 channel\(s\); expected 3"),
    ],
)
def test_bad_chains_are_refused_in_one_line(text, expected):
    with pytest.raises(InputError, match=expected) as raised:
        chain(text)
    assert "\n" not in str(raised.value)


def test_operators_whose_shapes_do_not_match_are_not_composed():
    with pytest.raises(InputError, match="composition of no operators"):
        composition()
    half = build("superres", factor=2)
    with pytest.raises(InputError, match=r"operator 1 measures \(8, 8, 3\); expected \(16, 16"):
        composition(half, half)


def test_links_see_into_a_chain():
    assert links(TASKS["blur"], {"sigma": 2.0}) == [(TASKS["blur"], {"sigma": 2.0})]
    assert links(TASKS["compose"], {"chain": "invert,inpaint observed=0.5"}) == [
        (TASKS["invert"], {}),
        (TASKS["inpaint"], {"observed": "0.5"}),
    ]


@pytest.mark.parametrize("file", ["k.png", "k.tif"])
def test_a_kernel_file_holds_numbers(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = np.array([[0, 100, 0], [0, 100, 200]], np.uint8)
    Image.fromarray(values).save(file)
    np.testing.assert_array_equal(read_kernel(file), values)
    point = np.zeros(SHAPE, np.float32)
    point[8, 8] = 1
    found = measure(build("blur", kernel=file), point)
    expected = np.zeros((16, 16))
    expected[7:9, 7:10] = values / 400
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-6)
    Image.fromarray(values.astype(np.uint16) * 257).save("deep.png")
    np.testing.assert_array_equal(read_kernel("deep.png"), values * 257.0)


def test_bad_kernel_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=r"kernel no.png: cannot be read .No such file .*; expected"
    ):
        build("blur", kernel="no.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InputError, match=r"text.png: not an image; expected"):
        build("blur", kernel="text.png")
    Image.new("L", (3, 3)).save("black.png")
    with pytest.raises(InputError, match=r"black.png: all black; expected"):
        build("blur", kernel="black.png")
    Image.new("L", (33, 3), 9).save("wide.png")
    with pytest.raises(InputError, match="kernel of 33x3: expected at most 31x31"):
        build("blur", kernel="wide.png")


def test_a_matrix_and_maps_are_files_also_in_a_chain(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matrix = np.random.default_rng(0).normal(size=(5, 16 * 16)).astype(np.float32)
    write_npy(tmp_path / "A.npy", matrix)
    found = chain("colourise, gaussian matrix=A.npy")
    grey = image() @ np.array([0.299, 0.587, 0.114], np.float32)
    np.testing.assert_allclose(found(image()), matrix @ grey.ravel(), atol=1e-4)
    with pytest.raises(InputError, match=r"matrix of shape \(5, 256\): expected \(m, 768\)"):
        build("gaussian", matrix="A.npy")
    write_npy(tmp_path / "maps.npy", np.ones((2, 16, 16)) * 1j)
    assert build("mri", spokes=3, maps="maps.npy").measurement_shape == (2, *SHAPE, 2)
    assert build("mri", spokes=3, maps="one").measurement_shape == (*SHAPE, 2)


def test_zeros_of_a_measurement_are_what_was_not_sampled():
    y = np.zeros((2, 16, 16, 3, 2), np.float32)
    y[1, :, 4, 2, 0] = 1
    found = build_operator(KEY, TASKS["mri"], {"mask": "zeros"}, SHAPE, "a", y)
    assert isinstance(found, UndersampledFourier)
    np.testing.assert_array_equal(np.argwhere(found.mask)[:, 1], [4] * 16)
    anything = build("mri", mask="zeros")  # of sizes alone
    assert isinstance(anything, UndersampledFourier)
    assert np.asarray(anything.mask).all()


def test_folders_have_a_file_for_each_image(tmp_path):
    for i, name in enumerate("ab"):
        write_npy(tmp_path / f"{name}.npy", np.eye(16) + i * np.eye(16)[::-1])
    given = {"mask": str(tmp_path)}
    for name, count in (("a", 16), ("b", 32), (None, 16)):
        found = build_operator(KEY, TASKS["inpaint"], given, SHAPE, name)
        assert isinstance(found, Inpaint)
        assert np.asarray(found.mask).sum() == count
    text = f"superres factor=1, inpaint mask={tmp_path}"
    assert own_folders(TASKS["compose"], {"chain": text}) == [str(tmp_path)]
    assert own_folders(TASKS["inpaint"], {"mask": str(tmp_path / "a.npy")}) == []
    assert differs_by_image(TASKS["compose"], {"chain": "invert, mri mask=zeros"})


MY_OPS = """
import jax.numpy as jnp
def double(x): return 2 * x
def rows(x): return {"sum": x.sum(-2), "largest": x.max((-3, -2, -1))}
def one_image(x): return x.reshape(-1)
def complex(x): return x + 1j
def whole(x): return x > 0
def nothing(x): return None
def fails(x): raise RuntimeError("too\\nbright")
def shape(x): return x @ jnp.ones(5)
not_a_function = 3
"""


@pytest.fixture
def my_ops(tmp_path, monkeypatch):
    (tmp_path / "my_ops.py").write_text(MY_OPS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_ops", raising=False)


@pytest.mark.usefixtures("my_ops")
def test_a_function_is_an_operator():
    x = image()
    double = build("custom", function="my_ops:double")
    np.testing.assert_array_equal(double(x), 2 * x)
    np.testing.assert_array_equal(double.picture(double(x)), 2 * x)
    rows = build("custom", function="my_ops:rows")
    assert rows.measurement_shape == {"sum": (16, 3), "largest": ()}
    # 49 values in a square, the only one of the first leaf first.
    y = measure(rows, np.stack([x, x]))
    picture = np.asarray(rows.picture(y))
    assert picture.shape == (2, 7, 7, 1)
    flat = np.concatenate([y["largest"][:, None], y["sum"].reshape(2, -1)], -1)
    expected = flat / np.abs(flat).max(-1, keepdims=True)
    np.testing.assert_allclose(picture.reshape(2, -1), expected, atol=1e-6)


@pytest.mark.usefixtures("my_ops")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "one_image",
            r"float32 \(768,\) of an image, float32 \(1536,\) of two; expected the batch",
        ),
        ("complex", r"returns complex64 \(16, 16, 3\); expected float32 arrays"),
        ("whole", r"returns bool \(16, 16, 3\); expected float32"),
        ("nothing", "returns no array; expected"),
        ("fails", r"fails on images \(16, 16, 3\) \(RuntimeError: too\); expected JAX"),
        ("shape", r"fails on images \(16, 16, 3\) \(TypeError: dot_general requires"),
        ("not_a_function", "my_ops:not_a_function: is of type int; expected a function"),
        ("missing", "my_ops:missing: cannot be imported .*no attribute 'missing'"),
    ],
)
def test_bad_functions_are_refused_in_one_line(name, expected):
    with pytest.raises(InputError, match=expected) as raised:
        build("custom", function=f"my_ops:{name}")
    assert "\n" not in str(raised.value)


def test_two_functions_are_two_programs():
    x = image()
    apply = jax.jit(lambda operator, x: operator(x))
    for function in (jnp.sin, jnp.cos):
        operator = custom(SHAPE, function)
        np.testing.assert_allclose(apply(operator, x), function(x), atol=1e-6)


DOCS = (pathlib.Path(__file__).parents[1] / "docs" / "operators.md").read_text()
COMMANDS = re.findall(r"^    python -m ilo_jax\.solve (.*)$", DOCS, re.MULTILINE)
MY_OPS_OF_THE_DOCS = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_the_page_on_operators_shows_works(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_ops", raising=False)
    (tmp_path / "my_ops.py").write_text(MY_OPS_OF_THE_DOCS)
    Image.new("L", (64, 64), 255).save("mask.png")
    Image.new("L", (9, 9), 255).save("kernel.png")
    args = vars(make_parser().parse_args(shlex.split(command)))
    task = TASKS[args["task"]]
    given = {option.name: args[option.name] for option in task.options if option.name in args}
    assert build_operator(KEY, task, given, (64, 64, 3)).image_shape == (64, 64, 3)


def test_the_page_on_operators_has_every_task():
    assert {shlex.split(command)[0] for command in COMMANDS} == set(TASKS)
    assert all(f"| `{task}` |" in DOCS for task in TASKS)

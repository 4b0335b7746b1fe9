"""Operators whose arrays differ from image to image, and the shapes of a batch's measurements."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from operators import OPERATORS

from ilo_jax import ops
from ilo_jax.errors import InputError
from ilo_jax.ops.classify import Classifier

many_programs = True

SHAPE = (8, 8, 3)
KEY = jax.random.key(0)
MASKS = np.random.default_rng(0).integers(0, 2, (3, 8, 8, 1))


def apply(operator, x):
    return operator(x)


def images(batch):
    return np.random.default_rng(1).uniform(-1, 1, (batch, *SHAPE)).astype(np.float32)


def test_an_array_has_the_batch_axis_or_is_shared():
    masks = ops.inpainting(SHAPE, MASKS)
    assert ops.batch_axes(masks, 3).mask == 0
    assert ops.batch_axes(ops.inpainting(SHAPE, MASKS[0]), 3).mask is None
    # One batch axis, one shared: each by itself.
    noisy = ops.Noisy(SHAPE, masks, jnp.float32(0.1), clip=True)
    axes = ops.batch_axes(noisy, 3)
    assert (axes.operator.mask, axes.sigma) == (0, None)
    composed = ops.composition(masks, ops.denoising(SHAPE, np.array([1.0, 2.0, 3.0])))
    axes = ops.batch_axes(composed, 3)
    assert (axes.operator.mask, axes.sigma) == (0, 0)
    assert jax.tree.structure(axes) == jax.tree.structure(composed)


class Scale(ops.Operator):
    """A user's own operator: one array is declared, the other is not."""

    table: jax.Array
    factor: jax.Array = flax.struct.field(metadata=ops.array(0))

    def __call__(self, x):
        return self.factor * self.table.sum() * x


def test_what_is_not_declared_is_shared():
    operator = Scale(SHAPE, jnp.ones((3, 2)), jnp.array([1.0, 2.0, 3.0]))
    axes = ops.batch_axes(operator, 3)
    assert (axes.table, axes.factor) == (None, 0)
    x = images(3)
    expected = 6 * x * np.arange(1, 4, dtype=np.float32)[:, None, None, None]
    np.testing.assert_allclose(ops.map_images(apply, operator, x), expected, rtol=1e-6)
    network = Classifier(SHAPE, lambda x: x[..., 0, 0, :])
    assert ops.batch_axes(network, 3).network is None
    assert ops.map_images(apply, network, x).shape == (3, 3)


@pytest.mark.parametrize(
    ("operator", "batch", "expected"),
    [
        (
            ops.inpainting(SHAPE, MASKS),
            2,
            r"Inpaint.mask: shape \(3, 8, 8, 1\); expected 3 axes, or an axis of 2 images and",
        ),
        (
            ops.Inpaint(SHAPE, jnp.ones((8, 8))),
            8,
            r"Inpaint.mask: shape \(8, 8\); expected 3 axes",
        ),
        (
            ops.composition(ops.identity(SHAPE), ops.denoising(SHAPE, np.ones(3))),
            4,
            r"Noisy.sigma: shape \(3,\); expected 0 axes, or an axis of 4 images",
        ),
        (
            ops.Noisy(SHAPE, ops.inpainting(SHAPE, MASKS), jnp.float32(1), clip=False),
            1,
            r"Noisy.operator.mask: shape \(3, 8, 8, 1\); expected 3 axes, or an axis of 1",
        ),
    ],
)
def test_another_number_of_images_is_refused_by_name(operator, batch, expected):
    with pytest.raises(InputError, match=expected) as raised:
        ops.batch_axes(operator, batch)
    assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match=expected):
        ops.map_images(apply, operator, images(batch))


def test_each_image_is_measured_by_its_own_operator():
    parts = [
        ops.composition(ops.inpainting(SHAPE, mask), ops.denoising(SHAPE, sigma))
        for mask, sigma in zip(MASKS, (0.0, 30.0, 60.0), strict=True)
    ]
    operator, x, keys = ops.stack(parts), images(3), jax.random.split(KEY, 3)
    measure = jax.jit(lambda operator, keys, x: ops.map_images(one, operator, keys, x))

    def one(operator, key, x):
        return operator.measure(key, x)

    together = measure(operator, keys, x)
    for i, part in enumerate(parts):
        np.testing.assert_allclose(together[i], part.measure(keys[i], x[i]), atol=1e-6)
    assert operator.measurement_shape == parts[0].measurement_shape == SHAPE
    assert operator.is_noisy
    np.testing.assert_allclose(operator.noise_variance, np.square([0, 30 / 127.5, 60 / 127.5]))


def test_constructors_make_operators_of_a_batch():
    masks = jax.vmap(lambda key: ops.random_inpainting(key, SHAPE, 0.5))(jax.random.split(KEY, 3))
    assert ops.batch_axes(masks, 3).mask == 0
    assert (masks.mask.sum((1, 2, 3)) == 32).all()
    assert ops.batch_axes(ops.denoising(SHAPE, np.array([5.0, 10.0])), 2).sigma == 0


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        ([], "no operators: expected one or more"),
        ([ops.grey(SHAPE), ops.identity(SHAPE)], "operator 1 is another Identity than operator 0"),
        (
            [ops.superresolution(SHAPE, 2), ops.superresolution(SHAPE, 4)],
            "operator 1 is another Downsample than .* expected the same kind, sizes and",
        ),
        (
            [ops.custom(SHAPE, jnp.sin), ops.custom(SHAPE, jnp.cos)],
            "operator 1 is another Custom",
        ),
        (
            [ops.DenseMatrix((4, 4, 1), jnp.ones((m, 16))) for m in (2, 3)],
            r"DenseMatrix.matrix: shapes \(2, 16\), \(3, 16\); expected the same 2 axes",
        ),
        (
            [ops.inpainting(SHAPE, MASKS)] * 2,
            r"Inpaint.mask: shapes \(3, 8, 8, 1\); expected the same 3 axes, of one image",
        ),
        (
            [Scale(SHAPE, jnp.full(2, v), jnp.float32(1)) for v in (1, 2)],
            "Scale.table differs; expected one for all images",
        ),
    ],
)
def test_different_operators_are_not_stacked(operators, expected):
    with pytest.raises(InputError, match=expected) as raised:
        ops.stack(operators)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", OPERATORS)
def test_measurements_of_a_batch_have_the_batch_axis(name):
    operator = jax.eval_shape(OPERATORS[name], KEY)
    x = jax.ShapeDtypeStruct((3, *OPERATORS[name].shape), jnp.float32)
    y = jax.eval_shape(apply, operator, x)
    operator = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), operator)
    assert operator.check_measurement(y) == 3
    assert operator.check_measurement(y, 3) == 3
    with pytest.raises(InputError, match=r"measurement.*: shape \(3.*; expected \(2.*, a batch of"):
        operator.check_measurement(y, 2)
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), y)
    with pytest.raises(InputError, match=r"of one image; expected \(B.*\), a batch") as raised:
        operator.check_measurement(one)
    assert "\n" not in str(raised.value)


def test_other_measurements_are_refused():
    two = ops.custom(SHAPE, lambda x: {"mean": x.mean((-3, -2, -1)), "rows": x.sum(-2)})
    good = {"mean": np.zeros(2), "rows": np.zeros((2, 8, 3))}
    assert two.check_measurement(good) == 2
    with pytest.raises(InputError, match=r"measurement: PyTreeDef.*; expected PyTreeDef"):
        two.check_measurement(good["rows"])
    with pytest.raises(InputError, match=r"measurement\['rows'\]: shape \(3, 8, 3\); expected \(2"):
        two.check_measurement(good | {"rows": np.zeros((3, 8, 3))})
    with pytest.raises(
        InputError, match=r"measurement\['mean'\]: shape \(\), of one image; ex.*B,"
    ):
        two.check_measurement(good | {"mean": np.float32(0)})
    image = ops.inpainting(SHAPE, MASKS)  # of a batch itself
    assert image.check_measurement(np.zeros((3, *SHAPE)), 3) == 3
    with pytest.raises(InputError, match=r"measurement: shape \(8, 8, 3\), of one image; expected"):
        image.check_measurement(np.zeros(SHAPE), 3)

"""The terms of the objective."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilo_jax.ops import Identity, Inpaint, Operator
from ilo_jax.solve.losses import LOSSES, Data, DeadZone, Mse, View, geodesic_distance

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "ilo.npz")
SHAPE = (8, 8, 3)


def image(seed):
    return jax.random.uniform(jax.random.key(seed), SHAPE, minval=-1)


def view(operator=None, seen=0, measured=1):
    """Of one image, measured by an operator from another."""
    operator = Identity(SHAPE) if operator is None else operator
    data = Data(operator(image(measured)), image(2))
    k_latents, k_w, k_noise = jax.random.split(jax.random.key(3), 3)
    return View(
        operator=operator,
        data=data,
        image=image(seen),
        predicted=operator(image(seen)),
        latents=jax.random.normal(k_latents, (4, 7)),
        w=jax.random.normal(k_w, (4, 7)),
        noises=tuple(jax.random.normal(k_noise, (n, n, 1)) for n in (4, 8, 16)),
    )


def value(loss, seen):
    return float(loss(loss.prepare(seen.operator, seen.data), seen))


@pytest.mark.parametrize("name", ["mse", "dead_zone", "reference", "geocross", "noise_correlation"])
def test_gradients_are_finite_and_not_zero(name):
    loss, seen = LOSSES[name](), view()
    fields = {"geocross": "latents", "noise_correlation": "noises"}
    field = fields.get(name, "image" if name == "reference" else "predicted")
    target = loss.prepare(seen.operator, seen.data)
    slope = jax.grad(lambda x: loss(target, seen.replace(**{field: x})))(getattr(seen, field))
    assert all(np.isfinite(g).all() and np.any(g != 0) for g in jax.tree.leaves(slope))


def test_mse_has_a_floor():
    seen = view()
    expected = np.mean((np.asarray(image(0)) - np.asarray(image(1))) ** 2)
    assert value(Mse(), seen) == pytest.approx(expected, rel=1e-5)
    assert value(Mse(floor=10.0), seen) == 10.0


def test_the_dead_zone_is_linear_beyond_its_tolerance():
    mask = jnp.ones((8, 8, 1)).at[0].set(0)
    seen = view(Inpaint(SHAPE, mask))
    d = np.abs(np.asarray(mask) * (np.asarray(image(0)) - np.asarray(image(1))))
    assert value(DeadZone(alpha=0.3), seen) == pytest.approx(
        np.maximum(d - 0.3, 0).mean(), rel=1e-5
    )
    assert value(DeadZone(), view(measured=0)) == 0


def test_the_reference_is_an_image_not_a_measurement():
    seen = view(Inpaint(SHAPE, jnp.zeros((8, 8, 1))))
    expected = np.mean((np.asarray(image(0)) - np.asarray(image(2))) ** 2)
    assert value(LOSSES["reference"](), seen) == pytest.approx(expected, rel=1e-5)


def test_geodesic_distance_equals_its_formula():
    latents = np.asarray(jax.random.normal(jax.random.key(5), (5, 7)), np.float64)
    total = 0.0
    for x in latents:
        for y in latents:
            angle = 2 * np.arctan2(np.linalg.norm(x - y), np.linalg.norm(x + y))
            total += angle**2 * latents.shape[1]
    expected = total / latents.shape[0] ** 2 / 8
    found = geodesic_distance(jnp.asarray(latents, jnp.float32))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    seen = view()
    assert value(LOSSES["geocross"](), seen) == float(geodesic_distance(seen.latents))
    assert value(LOSSES["geocross_w"](), seen) == float(geodesic_distance(seen.w))


def test_geodesic_distance_equals_the_authors_and_is_smooth_at_equal_latents():
    latents = jnp.asarray(GOLDEN["latents"])
    assert float(geodesic_distance(latents)) == pytest.approx(float(GOLDEN["geocross"]), rel=1e-5)
    gradient = jax.grad(geodesic_distance)(jnp.ones((3, 4)))
    assert np.isfinite(gradient).all()


def test_noise_correlation_equals_its_formula():
    seen, expected = view(), 0.0
    for noise in seen.noises:
        x = np.asarray(noise, np.float64)[..., 0]
        for _ in range({4: 1, 8: 1, 16: 2}[len(x)]):
            for axis in (0, 1):
                expected += np.mean(x * np.roll(x, 1, axis)) ** 2
            x = (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4
    assert value(LOSSES["noise_correlation"](), seen) == pytest.approx(expected, rel=1e-4)


def test_the_error_of_an_operator_is_over_all_entries_of_a_pytree():
    predicted = {"a": jnp.zeros(3), "b": jnp.zeros((1, 1))}
    measured = {"a": jnp.array([1.0, 2.0, 3.0]), "b": jnp.array([[4.0]])}
    assert float(Operator(SHAPE).error(predicted, measured)) == pytest.approx(30 / 4)

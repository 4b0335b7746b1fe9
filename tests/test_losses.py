"""The terms of the objective, and their algebra."""

import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import (
    MLP,
    OPERATOR,
    assert_close,
    at,
    begun,
    measure,
    measured,
    normal,
    programs,
    render,
    run,
    stylegan2,
)

from ilo_jax.errors import InputError
from ilo_jax.ops import Identity, Inpaint, Noisy, Operator
from ilo_jax.solve import (
    TERMS,
    ClassLikelihood,
    Data,
    DeadZone,
    Geocross,
    Method,
    Mse,
    Objective,
    Reference,
    Regularizer,
    Round,
    Term,
    Variables,
    View,
)
from ilo_jax.solve.losses.objective import as_objective
from ilo_jax.stylegan2.regularizers import geodesic_distance

many_programs = True

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "ilo.npz")
SHAPE = (8, 8, 3)
FIRST = Round(12, inputs=(0, 3))


def image(seed) -> Any:
    return np.random.default_rng(seed).uniform(-1, 1, SHAPE).astype(np.float32)


def view(operator=None, seen=0, measured=1, rows=(0, 3)):
    """Of one image, measured by an operator from another."""
    operator = Identity(SHAPE) if operator is None else operator
    prior = stylegan2()
    inputs = at(begun(prior).inputs, 0)
    noises = tuple(normal(n, n, n, 1) for n in (4, 8, 16))
    return View(
        prior=prior,
        operator=operator,
        data=Data(measure(operator, image(measured)), image(2)),
        image=image(seen),
        predicted=measure(operator, image(seen)),
        x=Variables(inputs._replace(noises=noises), {}),
        free=prior.free(*rows),
    )


def value(term, seen):
    return float(term(term.prepare(seen.prior, seen.operator, seen.data), seen))


@pytest.mark.parametrize(
    "name", ["mse", "dead_zone", "reference", "geocross", "geocross_w", "noise_correlation"]
)
def test_gradients_are_finite_and_not_zero(name):
    term, seen = TERMS[name](), view()
    target = term.prepare(seen.prior, seen.operator, seen.data)
    fields = {"mse": "predicted", "dead_zone": "predicted", "reference": "image"}
    inputs = {"geocross": "latents", "geocross_w": "latents", "noise_correlation": "noises"}

    def of_field(x):
        if name in fields:
            return term(target, seen.replace(**{fields[name]: x}))
        moved = seen.x.inputs._replace(**{inputs[name]: x})
        return term(target, seen.replace(x=seen.x.replace(inputs=moved)))

    at_it = getattr(seen, fields[name]) if name in fields else getattr(seen.x.inputs, inputs[name])
    slope = jax.device_get(jax.jit(jax.grad(of_field))(at_it))
    assert all(np.isfinite(g).all() and np.any(g != 0) for g in jax.tree.leaves(slope))


def test_mse_has_a_floor():
    seen = view()
    expected = np.mean((image(0) - image(1)) ** 2)
    assert value(Mse(), seen) == pytest.approx(expected, rel=1e-5)
    assert value(Mse(floor=10.0), seen) == 10.0


def test_the_floor_may_be_the_variance_of_the_noise():
    noisy = view(Noisy(SHAPE, Identity(SHAPE), jnp.float32(3.0), clip=False))
    assert value(Mse(discrepancy=True), noisy) == pytest.approx(9)
    assert value(Mse(discrepancy=True), view()) == value(Mse(), view())
    # Of noise that is clipped under SNA, too, where it is squared errors that are compared.
    clipped = noisy.replace(operator=noisy.operator.replace(clip=True))
    assert value(Mse(discrepancy=True), clipped.replace(sna=True)) == pytest.approx(9)
    assert value(Mse(discrepancy=True), clipped) != pytest.approx(9, rel=0.01)


def test_the_dead_zone_is_linear_beyond_its_tolerance():
    mask: Any = np.ones((8, 8, 1), np.float32)
    mask[0] = 0
    seen = view(Inpaint(SHAPE, mask))
    d = np.abs(mask * (image(0) - image(1)))
    expected = np.maximum(d - 0.3, 0).mean()
    assert value(DeadZone(alpha=0.3), seen) == pytest.approx(expected, rel=1e-5)
    assert value(DeadZone(), view(measured=0)) == 0


def test_the_reference_is_an_image_not_a_measurement():
    seen = view(Inpaint(SHAPE, jnp.asarray(np.zeros((8, 8, 1), np.float32))))
    expected = np.mean((image(0) - image(2)) ** 2)
    assert value(Reference(), seen) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(InputError, match="loss reference: no reference image; expected one"):
        Reference().prepare(seen.prior, seen.operator, Data(seen.data.measurement))


def test_a_class_has_its_likelihood():
    weights = normal(6, 5, 8 * 8 * 3)
    network = jax.tree_util.Partial(lambda w, x: x.reshape(*x.shape[:-3], -1) @ w.T, weights)
    logits = np.asarray(weights, np.float64) @ np.ravel(image(0))
    expected = np.log(np.sum(np.exp(logits - logits[2])))
    assert value(ClassLikelihood(network, 2), view()) == pytest.approx(expected, rel=1e-4)


@jax.jit
@functools.partial(jnp.vectorize, signature="(l,d)->()")
def geodesic(latents):
    return geodesic_distance(latents, jnp.ones(latents.shape[0], bool))


def test_geodesic_distance_equals_its_formula():
    latents = normal(5, 5, 7).astype(np.float64)
    total = 0.0
    for x in latents:
        for y in latents:
            angle = 2 * np.arctan2(np.linalg.norm(x - y), np.linalg.norm(x + y))
            total += angle**2 * latents.shape[1]
    expected = total / latents.shape[0] ** 2 / 8
    found = geodesic(latents.astype(np.float32))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_geocross_is_of_the_latents_that_are_searched():
    for rows in ((0, 3), (1, 3), (2, 3)):
        seen = view(rows=rows)
        latents = seen.x.inputs.latents[rows[0] :]
        assert value(Geocross(), seen) == pytest.approx(float(geodesic(latents)), rel=1e-5)
        w = stylegan2().w(seen.x.inputs)[rows[0] :]
        found = value(Regularizer("geocross_w"), seen)
        assert found == pytest.approx(float(geodesic(w)), rel=1e-5)
    assert value(Geocross(), view(rows=(1, 1))) == 0


def test_geodesic_distance_equals_the_authors_and_is_smooth_at_equal_latents():
    latents = GOLDEN["latents"]
    assert float(geodesic(latents)) == pytest.approx(float(GOLDEN["geocross"]), rel=1e-5)
    assert np.isfinite(jax.grad(geodesic)(np.ones((3, 4), np.float32))).all()


def test_noise_correlation_equals_its_formula():
    seen, expected = view(), 0.0
    for noise in seen.x.inputs.noises:
        x = np.asarray(noise, np.float64)[..., 0]
        for _ in range({4: 1, 8: 1, 16: 2}[len(x)]):
            for axis in (0, 1):
                expected += np.mean(x * np.roll(x, 1, axis)) ** 2
            x = (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4
    assert value(TERMS["noise_correlation"](), seen) == pytest.approx(expected, rel=1e-4)


def test_a_term_that_another_generator_has_is_refused():
    seen = view()
    with pytest.raises(InputError, match="loss smooth: StyleGAN2 has geocross, geocross_w"):
        value(Regularizer("smooth"), seen)
    with pytest.raises(InputError, match="loss geocross: Sequential has squared_norm"):
        value(Geocross(), seen.replace(prior=MLP))


def test_the_error_of_an_operator_is_over_all_entries_of_a_pytree():
    predicted = {"a": np.zeros(3, np.float32), "b": np.zeros((1, 1), np.float32)}
    measured = {"a": np.array([1, 2, 3], np.float32), "b": np.array([[4]], np.float32)}
    assert float(Operator(SHAPE).error(predicted, measured)) == pytest.approx(30 / 4)


class Brightness(Term):
    """A term of a user's own: the mean of the image should be that of the measurement."""

    level: jax.typing.ArrayLike

    def __call__(self, target, view):
        return (jnp.mean(view.image) - self.level) ** 2


weights = st.floats(-3, 3, width=32)


@settings(max_examples=20)
@given(weights, weights, weights)
def test_sums_of_terms_are_sums_of_numbers(a, b, c):
    seen = view()
    objective = c * (a * Mse() + DeadZone() * b) + Brightness(0.25)

    def of(term):
        return value(as_objective(term), seen)

    mse, dead, bright = of(Mse()), of(DeadZone()), of(Brightness(0.25))
    assert of(objective) == pytest.approx(c * (a * mse + b * dead) + bright, abs=1e-4)
    assert of(Mse() + (DeadZone() + Brightness(0.25))) == pytest.approx(
        of((Mse() + DeadZone()) + Brightness(0.25)), rel=1e-6
    )


def test_weights_may_differ_by_round():
    objective = (Mse() * [1.0, 0.0] + Regularizer("squared_norm") * 0.5).over(2)
    assert [w.tolist() for w in objective.weights] == [[1, 0], [0.5, 0.5]]
    with pytest.raises(InputError, match=r"weight of Mse: shape \[3\]; expected one number, or"):
        (Mse() * [1.0, 2.0, 3.0]).over(2)
    assert isinstance(2 * Mse(), Objective)


def test_the_weights_of_a_round_are_those_that_count():
    """Without the squared error, and with nothing but the norm, latents shrink."""
    rounds = Round(12, inputs=(0, 3)), Round(30, inputs=(0, 3))
    objective = Mse() * [1.0, 0.0] + Regularizer("squared_norm") * [0.0, 1.0]
    without = Mse() + 0.0 * Regularizer("squared_norm")
    found, both = (
        run(Method.create(MLP, rounds, objective=terms, keep="last"))
        for terms in (objective, without)
    )
    assert_close(found.rounds[0], both.rounds[0])
    sizes = [np.linalg.norm(r.x.inputs, axis=-1) for r in (found, both)]
    assert (sizes[0] < 0.7 * sizes[1]).all()


def test_weights_and_numbers_of_terms_are_in_no_program():
    def solved(weight, level):
        objective = Mse() + weight * Brightness(jnp.float32(level))
        return run(Method.create(MLP, [FIRST], objective=objective, keep="last"))

    found = solved(100.0, 0.5)
    before = programs()
    other = solved(100.0, -0.5)
    assert programs() == before
    brightness = [result.image.mean((1, 2, 3)) for result in (found, other)]
    assert (brightness[0] > brightness[1] + 0.1).all()
    none = solved(0.0, 0.5)
    assert programs() == before
    assert_close(none.error, run(Method.create(MLP, [FIRST], keep="last")).error, 1e-4)


def test_a_run_is_drawn_to_its_reference():
    """As if it were the measurement, where nothing else counts."""
    other = render(MLP, Variables(begun(MLP).inputs[::-1], {}))
    long = Round(40, inputs=(0, 3))
    method = Method.create(MLP, [long], objective=1.0 * Reference(), keep="last")
    found = run(method, reference=other)
    assert (np.mean((found.image - other) ** 2, (1, 2, 3)) < 0.3).all()
    start = render(MLP, begun(MLP))
    distance = [np.mean((x - other) ** 2, (1, 2, 3)) for x in (found.image, start)]
    assert (distance[0] <= distance[1]).all()
    with pytest.raises(InputError, match="no reference image"):
        run(method)


def test_terms_do_not_see_what_is_held_out():
    held, y = np.zeros((3, 10), np.float32), measured()
    held[:, :3] = 1
    method = Method.create(MLP, [FIRST], keep="last")
    found = run(method, held_out=held)
    other = run(method, held_out=held, measurement=y + 5 * held)
    assert_close(other.x.inputs, found.x.inputs, 0)
    expected = np.sum(held * (measure(OPERATOR, found.image) - y) ** 2, -1) / 3
    np.testing.assert_allclose(found.error, expected, rtol=1e-3)
    with pytest.raises(InputError, match="loss dead_zone: looks at all entries"):
        run(Method.create(MLP, [FIRST], objective=DeadZone()), held_out=held)

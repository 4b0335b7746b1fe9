"""The door: batches, keys, programs, transformations, and what is refused at it."""

import contextlib
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import (
    IMAGES,
    KEYS,
    MASKED,
    MASKS,
    MLP,
    OPERATOR,
    SHAPE,
    assert_close,
    assert_same,
    at,
    begun,
    measure,
    measured,
    normal,
    norms,
    programs,
    render,
    rounds_of,
    run,
    shared,
    stylegan2,
    stylegan2_operator,
    truth,
    two,
    without,
)

from ilo_jax.errors import InputError
from ilo_jax.ops import Inpaint, denoising
from ilo_jax.solve import (
    NOT_FINITE,
    OK,
    Method,
    Round,
    Variables,
    algorithm_1,
    csgm,
    dhar,
    finish,
    ilo,
    init,
    projector,
    pulse,
    reconstruct,
    step,
    steps,
)
from ilo_jax.solve.batch import batch_mesh
from ilo_jax.solve.losses.terms import Mse, Regularizer

numerics_elsewhere = True

FIRST = Round(12, inputs=(0, 3))
SECOND = Round(12, inputs=(1, 3), deviation=1, radius=2.0)
Y = measured()


def method(**options):
    return two(FIRST, SECOND, **options)


@functools.cache
def reference():
    return run(method())


@functools.cache
def padded():
    return run(rounds_of(FIRST, SECOND))


def test_the_same_keys_give_the_same_bytes_and_others_do_not():
    assert_same(run(method()), reference())
    other = run(method(), key=jax.random.split(jax.random.key(9), IMAGES))
    assert (other.x.inputs != reference().x.inputs).all()
    assert_same(run(method(), key=jax.random.key(2)), reference())


def test_keys_may_be_of_the_old_kind():
    assert_same(run(method(), key=jax.random.PRNGKey(2)), reference())
    assert_same(run(method(), key=jax.random.key_data(KEYS)), reference())


@settings(max_examples=6)
@given(st.lists(st.integers(0, IMAGES - 1), min_size=IMAGES, max_size=IMAGES))
def test_an_image_does_not_depend_on_the_others_of_its_batch(images):
    found = run(method(), measurement=Y[np.array(images)], key=KEYS[np.array(images)])
    # Not to the bit: where an image lies in a batch may change how a processor rounds it.
    assert_close(found, at(reference(), np.array(images)))


def test_batches_of_another_size_differ_by_rounding_only():
    for i in range(IMAGES):
        alone = run(method(), measurement=Y[i : i + 1], key=KEYS[i : i + 1])
        assert_close(alone, at(reference(), slice(i, i + 1)), 1e-3)


def test_progress_is_reported_and_changes_nothing():
    calls = []
    found = run(method(), progress=lambda *call: calls.append(call))
    assert_same(found, reference())
    assert [steps for steps, _ in calls] == [10, 20, 24]
    errors = np.stack([error for _, error in calls])
    assert errors.shape == (3, IMAGES)
    assert (errors[-1] < errors[0]).all()
    assert_same(errors[-1], reference().error)


def test_steps_behind_the_last_change_nothing():
    state = init(MLP, OPERATOR, Y, KEYS, method())
    for _ in range(24):
        state = step(state)
    assert_same(finish(state), reference())
    assert_same(steps(state, 7).search, state.search)


def test_runs_of_a_kind_share_a_program():
    """However many steps, rounds and cuts, whatever their radii, rates and order."""
    padded()
    before = programs()
    found = {}
    for n in (97, 100):
        found[n] = run(shared(csgm(MLP, n)))
        assert (found[n].found_at < n).all()
    run(shared(ilo(MLP, (3, 4, 5), radii=(0.1, np.inf), rate=(0.3, 0.2, 0.1))))
    run(shared(ilo(MLP, (2, 2, 2, 2), (0, 3, 1, 2), radii=1.0)))
    run(shared(dhar(MLP, (3, 4))))
    run(rounds_of(FIRST, SECOND, objective=3.0 * Mse(), constraint="sphere"))
    run(rounds_of(FIRST, SECOND).replace(stop=jnp.int32(5)))
    assert programs() == before
    run(two(FIRST, ramp=lambda t: 1 - t))
    assert programs() == before + 1  # it can be seen


def test_rounds_without_steps_are_as_if_left_out():
    empty = run(rounds_of(FIRST, Round(0, inputs=(2, 3), deviation=2), SECOND))
    found = padded()
    assert_same((empty.image, empty.x, empty.found_at), (found.image, found.x, found.found_at))
    assert_same(empty.rounds[0], found.rounds[0])
    assert_same(empty.rounds[1], found.rounds[0])  # skipped: where the one before it ended
    assert_same(empty.rounds[2], found.rounds[1])
    assert_same(empty.rounds[-1], found.rounds[1])
    first = run(rounds_of(Round(0, deviation=3), FIRST, SECOND))
    assert_same(first.image, found.image)


def test_a_program_of_its_own_gives_the_same():
    alone = Method.create(MLP, [FIRST, SECOND])
    assert alone.cuts == (1,)
    found = run(alone)
    assert len(found.rounds) == 2
    assert_close(found.image, padded().image, 1e-3)
    assert_close(found.rounds, padded().rounds[:2], 1e-3)


def test_early_stopping():
    stopped = run(method().replace(stop=jnp.int32(5)))
    assert (stopped.found_at < 5).all()
    assert (reference().found_at >= 5).all()
    state = steps(init(MLP, OPERATOR, Y, KEYS, method()), 5)
    assert_same(stopped.x, state.search.best_x)
    assert_same(stopped.rounds[1], stopped.rounds[0])  # not reached


@functools.cache
def by_image():
    """Steps, rates, radii and the stop of each image's own."""
    methods = [
        two(Round(12, (0, 3), rate=0.2), SECOND),
        two(Round(6, (0, 3)), Round(9, deviation=1, radius=0.5)).replace(stop=jnp.int32(9)),
        two(Round(20, (0, 3)), constraint="sphere"),
    ]
    stacked = methods[0].for_images(IMAGES)
    leaves = [jax.tree.leaves(m.replace(max_steps=24)) for m in methods]
    joined = [
        jnp.stack(each) if np.ndim(a) else a
        for a, each in zip(jax.tree.leaves(stacked), zip(*leaves, strict=True), strict=True)
    ]
    return methods, jax.tree.unflatten(jax.tree.structure(stacked), joined).replace(max_steps=24)


def test_numbers_may_differ_by_image():
    methods, together = by_image()
    found = run(together)
    for i, alone in enumerate(methods):
        assert_close(at(found.image, i), at(run(alone).image, i), 1e-3)
        assert_same(at(found.found_at, i), at(run(alone).found_at, i))
    assert found.found_at[1] < 9


def test_a_run_can_start_from_saved_variables():
    """Deviations too, those at cuts that the method does not have as well."""
    x = begun(MLP)
    v: dict = {cut: np.float32(0.3) * normal(7, IMAGES, size) for cut, size in ((1, 10), (2, 14))}
    initial = Variables(x.inputs + 1, v)
    still = two(Round(12, inputs=(0, 3), rate=0.0), Round(9, deviation=1, rate=0.0))
    found = run(still, initial=initial)
    assert_close(found.image, render(MLP, initial), 1e-5)
    assert_same((found.x.inputs, found.x.v[1], found.x.v[2]), (initial.inputs, v[1], v[2]))
    # The balls are around what was saved.
    moved = run(method(), initial=initial).x.v
    distances = norms(moved[1] - v[1], -1)
    assert (distances <= 2 + 1e-5).all()
    assert (distances > 0.5).all()
    assert_same(moved[2], v[2])


def test_balls_may_be_around_given_variables():
    there = Variables(begun(MLP).inputs, {1: jnp.full((IMAGES, 10), 0.5)})
    for radius in (0.0, 1.0):
        around = two(FIRST, Round(30, inputs=(1, 3), deviation=1, radius=radius))
        found = run(around.replace(keep="last"), center=there)
        np.testing.assert_allclose(norms(found.x.v[1] - 0.5, -1), radius, rtol=1e-3, atol=1e-5)


def test_an_image_that_is_not_finite_leaves_the_others_alone():
    found = run(method(), measurement=without(Y, 1))
    assert found.status.tolist() == [OK, NOT_FINITE, OK]
    others = np.array([0, 2])
    assert_same(at(found, others), at(reference(), others))
    assert not found.image[1].any()
    assert np.isinf(found.error[1])
    assert reference().status.tolist() == [OK] * IMAGES


def test_each_image_may_have_a_mask():
    y = measure(MASKED, truth())
    one = Method.create(MLP, [FIRST])
    together = run(one, operator=MASKED, measurement=y)
    for i, mask in enumerate(MASKS):
        alone = run(
            one,
            operator=Inpaint(SHAPE, mask),
            measurement=y[i : i + 1],
            key=KEYS[i : i + 1],
        )
        assert_close(at(together.image, slice(i, i + 1)), alone.image, 1e-3)
        np.testing.assert_allclose(together.error[i], alone.error[0], rtol=1e-2, atol=1e-7)


def test_a_batch_is_divided_over_devices():
    mesh = batch_mesh(2)
    if mesh is None:
        pytest.skip("one device")
    two = slice(2)
    divided = run(method(), measurement=Y[two], key=KEYS[two], mesh=mesh)
    assert_close(divided.image, reference().image[two], 1e-3)
    assert batch_mesh(1) is None


def few(rate=0.1):
    return two(Round(3, (0, 3)), Round(4, (1, 3), 1, radius=2.0)).replace(
        rate=jnp.full(2, rate, jnp.float32)
    )


def test_it_may_be_traced():
    """By `jit`, in a user's own program, and by `vmap` over a number of the method."""

    @jax.jit
    def jitted(*arguments):
        return 2 * reconstruct(*arguments).image

    @jax.jit
    @jax.vmap
    def swept(rate):
        one = few().replace(rate=jnp.full(2, rate))
        return reconstruct(MLP, OPERATOR, Y, KEYS, one).image

    rates = (0.05, 0.1)
    separate = np.stack([run(few(r)).image for r in rates])
    assert_close(jitted(MLP, OPERATOR, Y, KEYS, few()), 2 * separate[1], 1e-3)
    assert_close(swept(jnp.array(rates)), separate, 1e-3)
    assert np.abs(separate[0] - separate[1]).max() > 0.01


def test_any_optimizer_of_optax_serves():
    momentum = run(method(optimizer=optax.sgd(1.0, momentum=0.9)))
    assert (momentum.error < 0.5 * np.mean(Y**2, -1)).all()
    assert np.abs(momentum.image - reference().image).max() > 0.01


@pytest.mark.parametrize("key", [0, jax.random.key(0)], ids=["old", "typed"])
def test_noise_of_an_optimizer_is_drawn_with_the_key_of_the_image(key):
    noise = optax.add_noise(0.1, 0.5, key)
    optimizer = optax.chain(optax.scale_by_adam(), noise, optax.scale(-1))
    noisy = Method.create(MLP, [FIRST], optimizer=optimizer, start="mean")
    same = np.stack([Y[0]] * IMAGES)
    found = run(noisy, measurement=same)
    z = np.asarray(found.x.inputs)
    assert all((z[i] != z[j]).all() for i in range(IMAGES) for j in range(i))
    assert_same(run(noisy, measurement=same), found)
    turned = run(noisy, measurement=same, key=KEYS[::-1])
    assert_close(turned.x.inputs, z[::-1], 1e-4)


REFUSED = {
    "float64": ({"measurement": Y.astype(np.float64)}, "measurement of float64; expected 32"),
    "one image": ({"measurement": Y[0]}, "shape (10,), of one image; expected (B, 10)"),
    "another size": ({"measurement": Y[:, :9]}, "measurement: shape (3, 9); expected (B, 10)"),
    "no array": ({"measurement": Y.tolist()}, "measurement: expected arrays"),
    "another tree": ({"measurement": (Y, Y)}, "expected PyTreeDef(*)"),
    "keys": ({"key": KEYS[:2]}, "key of key<fry>[2]; expected one key, or 3, one an image"),
    "seed": ({"key": 0}, "key of type int; expected jax.random.key(seed)"),
    "no key": ({"key": jnp.zeros(2)}, "key of float32[2]; expected one key, or 3"),
    "images": ({"operator": stylegan2_operator()}, "expected (4, 4, 1), the generator's"),
    "reference": ({"reference": truth()[0]}, "reference float32[4, 4, 1]; expected float32[3, 4,"),
    "masks": ({"operator": Inpaint(SHAPE, MASKS[:2])}, "expected 3 axes, or an axis of 3 images"),
    "methods": ({"method": method().for_images(2)}, "method of 2 images; expected 3"),
    "steps": ({"method": method().replace(max_steps=None)}, "method: max_steps None"),
    "term": ({"method": method(objective=Regularizer("geocross"))}, "Sequential has squared_norm"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_together_is_refused_in_one_line(case):
    changed, message = REFUSED[case]
    operator = changed.get("operator", OPERATOR)
    if case == "images":
        changed["measurement"] = np.zeros((3, 60), np.float32)
    if case == "masks":
        changed["measurement"] = np.zeros((3, *SHAPE), np.float32)
    arguments = {"operator": operator, "method": method(), "measurement": Y} | changed
    with pytest.raises(InputError) as error:
        run(**arguments)
    assert "\n" not in str(error.value)
    assert re.search(re.escape(message).replace(r"\*", ".*"), str(error.value))


PRESETS = {
    "mlp": (lambda: MLP, {"ilo": ilo, "algorithm_1": algorithm_1, "dhar": dhar}),
    "stylegan2": (
        stylegan2,
        {
            "ilo": ilo,
            "algorithm_1": algorithm_1,
            "pulse": pulse,
            "projector": lambda prior: projector(
                prior, objective=Mse() + 1e5 * Regularizer("noise_correlation")
            ),
        },
    ),
}


@contextlib.contextmanager
def every_mode():
    """All of JAX's stricter modes at once: a type that is not float32's would be refused."""
    with (
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
        jax.enable_x64(True),
    ):
        yield


@pytest.mark.parametrize(
    ("name", "preset"), [(n, p) for n, (_, presets) in PRESETS.items() for p in presets]
)
def test_every_mode_of_jax_is_served_in_float32(name, preset):
    """Traced, which is where they differ."""
    make, presets = PRESETS[name]
    prior, operator = make(), denoising(make().image_shape, 10.0)
    with every_mode():
        method = presets[preset](prior)
        y = jax.ShapeDtypeStruct((2, *prior.image_shape), jnp.float32)
        found = jax.eval_shape(
            lambda y, key: reconstruct(prior, operator, y, key, method), y, jax.random.key(0)
        )
    types = {leaf.dtype for leaf in jax.tree.leaves(found)}
    assert types == {jnp.dtype("float32"), jnp.dtype("int32")}


def test_a_run_with_64_bits_enabled_is_the_same():
    with jax.enable_x64(True):
        found = run(method(), measurement=Y)
    assert {leaf.dtype.itemsize for leaf in jax.tree.leaves(found)} == {4}
    assert_close(found.image, reference().image, 1e-3)

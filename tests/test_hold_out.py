"""What is held out of a measurement: judged by it, never seen."""

import functools
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import OPERATORS, quick_key

from ilo_jax import ops
from ilo_jax.ops.entries import some_of
from ilo_jax.solve import Data, View

numerics_elsewhere = True

SHAPE = (16, 16, 3)
KEY = jax.random.key(0)


@functools.cache
def made(name):
    return jax.jit(OPERATORS[name])(quick_key(0))


hold_out = jax.jit(lambda operator, key, fraction: operator.hold_out(key, fraction))


ONE_OF_EACH_KIND = {type(jax.eval_shape(OPERATORS[name], KEY)): name for name in OPERATORS}.values()


@pytest.mark.parametrize("name", sorted({*ONE_OF_EACH_KIND, "superresolution 4"} - {"classifier"}))
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), fraction=st.floats(1 / 64, 0.5, width=32))
def test_some_and_not_all_is_held_out_of_every_operator(name, seed, fraction):
    operator = made(name)
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
    ):
        held = jax.device_get(hold_out(operator, quick_key(seed), np.float32(fraction)))
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(held))
    full = jax.tree.map(np.broadcast_to, held, operator.measurement_shape)
    values = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(full)])
    if name == "superresolution to a pixel":
        assert not values.any()
        assert not ops.can_hold_out(operator, 3).any()
        return
    assert set(np.unique(values)) == {0, 1}
    assert 0 < values.mean() < 0.6


@pytest.mark.parametrize(
    "name", ["box inpainting", "radial MRI", "phase retrieval", "custom, two arrays"]
)
def test_the_error_over_held_out_entries_sees_them_alone(name):
    operator = made(name)
    assert ops.can_hold_out(operator, 3).all()
    held = hold_out(operator, quick_key(0), np.float32(0.2))

    @jax.jit
    def errors(operator, x, held):
        y = operator(x)
        changed = jax.tree.map(lambda h, m: m + 3 * h, held, y)
        kept = jax.tree.map(lambda h: 1 - h, held)
        return operator.error(changed, y, held), operator.error(changed, y, kept)

    x = np.random.default_rng(0).uniform(-1, 1, operator.image_shape).astype(np.float32)
    seen, unseen = errors(operator, x, held)
    assert seen == pytest.approx(9, rel=1e-4)
    assert unseen == 0


def view(operator, measurement, x, held_out):
    """What a solver sees of one image."""
    nothing: Any = ()
    data = Data(measurement, held_out=held_out)
    return View(nothing, operator, data, x, operator(x), nothing, nothing)


@pytest.mark.parametrize("name", ["box inpainting", "radial MRI", "phase retrieval", "jpeg"])
def test_where_nothing_is_held_out_all_judges(name):
    operator, rng = made(name), np.random.default_rng(0)
    held = hold_out(operator, quick_key(0), np.float32(0.2))
    other, x = (rng.uniform(-1, 1, operator.image_shape).astype(np.float32) for _ in range(2))

    @jax.jit
    def judged(operator, x, other, held):
        y = operator(other)
        none = jax.tree.map(lambda h: 0 * h, held)
        views = [view(operator, y, x, h) for h in (None, none, held)]
        part = operator.held_out_error(operator(x), y, held)
        of_terms = [operator.error(operator(x), y, v.data.kept) for v in views[:2]]
        return [v.judged(v.predicted) for v in views], part, of_terms

    (without, nothing, some), part, (seen, seen_of_nothing) = judged(operator, x, other, held)
    assert nothing == without == seen
    assert some == part != without
    np.testing.assert_allclose(seen_of_nothing, seen, rtol=1e-5)


@pytest.mark.parametrize("fraction", [0.001, 0.2, 0.5, 0.999])
def test_held_out_pixels_are_observed_ones(fraction):
    operator = jax.jit(lambda: ops.random_inpainting(KEY, SHAPE, 0.1))()
    held = np.asarray(hold_out(operator, KEY, np.float32(fraction)))
    observed = int(np.sum(operator.mask))
    assert held.sum() == min(max(round(fraction * observed), 1), observed - 1)
    assert (np.asarray(operator.mask)[held > 0] == 1).all()


@settings(max_examples=200)
@given(
    scores=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=6, max_size=6),
    available=st.lists(st.booleans(), min_size=6, max_size=6),
    fraction=st.floats(1 / 64, 63 / 64, width=32),
)
def test_entries_of_one_score_go_together(scores, available, fraction):
    scores, available = (np.asarray(values, np.float32) for values in (scores, available))
    held = np.asarray(part(scores, np.float32(fraction), available))
    there = np.unique(scores[available > 0])
    assert not held[available == 0].any()
    assert held.any() == (len(there) >= 2)
    chosen = np.unique(scores[held > 0])
    assert len(chosen) < max(len(there), 1)
    np.testing.assert_array_equal(chosen, there[: len(chosen)])
    np.testing.assert_array_equal(held > 0, (available > 0) & np.isin(scores, chosen))


part = jax.jit(some_of)


@pytest.mark.parametrize(
    ("operator", "axes"),
    [(ops.radial_mri(SHAPE, 7), (0, 1)), (ops.phase_retrieval(KEY, SHAPE, 0, 2), (1, 2))],
)
def test_opposite_frequencies_go_together(operator, axes):
    # A real image has the same at -k as at k: one of them alone would tell the other.
    available = np.asarray(operator.restrict(np.ones(operator.measurement_shape, np.float32)))
    measured = available * hold_out(operator, KEY, np.float32(0.2))
    if isinstance(operator, ops.UndersampledFourier):
        measured, available = (np.fft.ifftshift(a, axes) for a in (measured, available))
    turned, known_too = (np.roll(np.flip(a, axes), 1, axes) for a in (measured, available))
    assert measured.sum() > 0
    np.testing.assert_array_equal(measured * known_too, turned * available)


def test_it_maps_over_the_operators_of_a_batch():
    keys = jax.random.split(KEY, 3)
    draw = jax.jit(lambda key: ops.random_inpainting(key, SHAPE, 0.1))
    operators = [draw(key) for key in keys]

    @jax.jit
    def of_batch(operator, keys):
        return ops.map_images(lambda operator, key: operator.hold_out(key, 0.2), operator, keys)

    together = np.asarray(of_batch(ops.stack(operators), keys))
    for held, operator, key in zip(together, operators, keys, strict=True):
        np.testing.assert_array_equal(held, hold_out(operator, key, np.float32(0.2)))
    shared = np.asarray(of_batch(operators[0], keys))
    np.testing.assert_array_equal(shared[0], together[0])


def test_a_measurement_without_parts_is_told():
    mask = np.zeros((3, 16, 16, 1))
    mask[:, 3, 3] = 1
    operator = ops.inpainting(SHAPE, mask[0])
    assert not np.any(hold_out(operator, KEY, np.float32(0.2)))
    assert ops.can_hold_out(operator, 3).tolist() == [False] * 3
    mask[[0, 1], 4, 4] = 1
    assert ops.can_hold_out(ops.inpainting(SHAPE, mask), 3).tolist() == [True, True, False]
    # The zero frequency and two that are opposite: two independent ones, then one.
    sampled: Any = np.zeros((16, 16, 1), np.float32)
    sampled[8, [7, 9]] = 1
    assert not ops.can_hold_out(ops.UndersampledFourier(SHAPE, sampled), 1).any()
    sampled[8, 8] = 1
    both = ops.UndersampledFourier(SHAPE, sampled)
    assert ops.can_hold_out(both, 1).all()
    assert np.sum(hold_out(both, KEY, np.float32(0.9))) in (1, 2)
    assert not ops.can_hold_out(made("classifier"), 2).any()

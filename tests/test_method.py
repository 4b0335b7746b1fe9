"""A run as data: what rounds become, what is refused, how methods come to share a program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import CUTS, MLP, assert_same, stylegan2

from ilo_jax.errors import InputError
from ilo_jax.solve import (
    DeadZone,
    Method,
    Mse,
    Regularizer,
    Round,
    align,
    csgm,
    dhar,
    ilo,
    stack,
    usual_objective,
)
from ilo_jax.solve.rounds import constant, ilo_ramp, projector_ramp, pulse_ramp, quick_ramp

WHOLE = (0, 3)
INF = np.inf


def test_rounds_become_numbers():
    rounds = [
        Round(5, inputs=WHOLE),
        Round(6, inputs=(1, 3), deviation=1, radius=2.0, rate=0.2),
        Round(7, deviation=2, radius=3.0),
        Round(8, inputs=(0, 2), back_to=2),
    ]
    method = Method.create(MLP, rounds, constraint="sphere")
    assert (method.rounds, method.cuts, method.max_steps, int(method.stop)) == (4, (1, 2), 26, 26)
    assert method.free.inputs.tolist() == [True, False, False, True]
    assert {c: f.tolist() for c, f in method.free.v.items()} == {
        1: [False, True, False, False],
        2: [False, False, True, False],
    }
    assert {c: r.tolist() for c, r in method.radii.v.items()} == {
        1: [INF, 2, INF, INF],
        2: [INF, INF, 3, INF],
    }
    assert method.back[2].tolist() == [False, False, False, True]
    assert method.rate.tolist() == pytest.approx([0.1, 0.2, 0.1, 0.1])
    assert method.constraint.tolist() == [1, 1, 1, 1]
    assert method.exploration is None


def resets(*rounds, cut):
    method = Method.create(MLP, rounds, cuts=(cut,))
    return method.reset[cut].tolist()


def test_a_deviation_ends_where_a_round_goes_to_an_earlier_cut():
    to = {c: Round(1, inputs=(c, 3), deviation=c or None) for c in (0, 1, 2, 3)}
    back = Round(1, inputs=(0, 2), back_to=2)
    # Deeper ones end, those before stay; what no round has searched yet is not touched, since it
    # may be a saved one.
    assert resets(to[0], to[2], to[1], cut=2) == [False, False, True]
    assert resets(to[0], to[1], to[2], cut=1) == [False, False, False]
    assert resets(to[0], to[1], to[0], cut=2) == [False, False, False]
    assert resets(to[3], to[2], to[3], to[0], cut=3) == [False, True, False, True]
    # Line 5 ends the one at its own cut.
    assert resets(to[0], Round(1, deviation=2), back, cut=2) == [False, False, True]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any))
def test_a_step_belongs_to_the_round_that_contains_it(steps):
    method = Method.create(MLP, [Round(n, inputs=WHOLE) for n in steps])
    expected = [(r, i) for r, n in enumerate(steps) for i in range(n)]
    assert [tuple(map(int, method.position(jnp.int32(t)))) for t in range(sum(steps))] == expected


def test_numbers_of_a_round():
    method = ilo(MLP, (3, 4), (0, 2), radii=5.0, rate=(0.1, 0.3), objective=Mse() * [1.0, 2.0])
    now = method.at(jnp.int32(1))
    assert float(now.rate) == pytest.approx(0.3)
    assert float(now.radii.v[2]) == 5
    assert bool(now.free.v[2])
    assert not now.free.inputs
    assert float(now.objective.weights[0]) == 2


@pytest.mark.parametrize(
    ("rounds", "options", "message"),
    [
        ([], {}, "steps : expected positive numbers, one a round"),
        ([Round(0)], {}, "steps 0: expected positive numbers"),
        ([Round(1), Round(-1)], {}, "steps 1,-1: expected positive numbers"),
        ([Round(1, inputs=(0, 4))], {}, "inputs of layers 0 to 4: expected 0 to 3"),
        ([Round(1, inputs=(2, 1))], {}, "inputs of layers 2 to 1: expected 0 to 3"),
        ([Round(1, deviation=4)], {}, "cut 4: expected 1 to 3"),
        ([Round(1, deviation=0)], {}, "cut 0: expected 1 to 3"),
        ([Round(1, back_to=4)], {}, "cut 4: expected 1 to 3"),
        ([Round(1, deviation=1, radius=-1.0)], {}, "radius -1: expected 0 or more"),
        ([Round(1, deviation=1, radius=np.nan)], {}, "radius nan: expected 0 or more"),
        ([Round(1, rate=np.inf)], {}, "rate inf: expected 0 or more"),
        ([Round(1)], {"constraint": "white"}, "constraint white: expected one of none, sphere"),
        ([Round(1)], {"start": "silent"}, "start silent: expected one of random, mean"),
        ([Round(1)], {"keep": "first"}, "keep first: expected one of best, last"),
        ([Round(1, space="w")], {}, "space w: expected one of inputs"),
        ([Round(1, growth=-1.0)], {}, "growth -1: expected 0 or more"),
        ([Round(1)], {"cuts": (9,)}, "cut 9: expected 1 to 3"),
        ([Round(1)], {"objective": Mse() * [1.0, 2.0]}, "weight of Mse: .* each of 1 rounds"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(rounds, options, message):
    with pytest.raises(InputError, match=rf"^{message}.*$"):
        Method.create(MLP, rounds, **options)


def test_padding_and_cuts_change_no_number_of_what_was_there():
    method = ilo(MLP, (3, 4), (0, 2), radii=5.0)
    more = method.with_cuts(CUTS).padded(4)
    assert more.cuts == CUTS
    assert more.steps.tolist() == [3, 4, 0, 0]
    assert not any(f.any() for c, f in more.free.v.items() if c != 2)
    assert all(np.isinf(r[:2]).all() for c, r in more.radii.v.items() if c != 2)
    for r in (0, 1):
        before, after = method.at(jnp.int32(r)), more.at(jnp.int32(r))
        assert_same((before.rate, before.free.inputs), (after.rate, after.free.inputs))
        assert_same(before.radii.v[2], after.radii.v[2])
    assert_same(more.with_cuts((1,)), more)
    assert method.padded(2) is method


def test_aligned_methods_are_of_one_structure():
    methods = [csgm(MLP, 4), ilo(MLP, (3, 4), (0, 2)), dhar(MLP, (2, 2))]
    aligned = align(methods)
    assert len({(jax.tree.structure(m), m.max_steps) for m in aligned}) == 1
    shapes = [[np.shape(leaf) for leaf in jax.tree.leaves(m)] for m in aligned]
    assert shapes[0] == shapes[1] == shapes[2]
    assert [m.steps.tolist() for m in aligned] == [[4, 0], [3, 4], [2, 2]]
    assert [int(m.stop) for m in aligned] == [4, 7, 4]
    stacked = stack(methods)
    assert stacked.by_image
    assert_same(stacked.map(lambda leaf: leaf[1]), aligned[1])


@pytest.mark.parametrize(
    "changed",
    [
        {"ramp": constant},
        {"sna": False},
        {"keep": "last"},
        {"objective": DeadZone()},
        {"radii_inputs": 1.0},
    ],
)
def test_what_is_static_does_not_align(changed):
    with pytest.raises(InputError, match="methods: differ in ramp, optimizer, sna, keep"):
        align([csgm(MLP, 4), csgm(MLP, 4, **changed)])


def test_no_methods_do_not_align():
    with pytest.raises(InputError, match="methods: none; expected one or more"):
        align([])


def test_the_usual_objective_has_geocross_where_the_generator_does():
    found = usual_objective(stylegan2())
    assert found.terms == (Mse(), Regularizer("geocross"))
    assert [float(w) for w in found.weights] == pytest.approx([1, 0.001])
    assert usual_objective(MLP).terms == (Mse(),)


def test_ramps_at_known_points():
    t = np.array([0.0, 0.025, 0.05, 0.25, 0.625, 0.8125, 1.0])
    down = 0.5 - 0.5 * np.cos(np.pi * np.array([1, 1, 1, 1, 0.5, 0.25, 0]))
    up = np.array([0, 0.5, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(ilo_ramp(jnp.asarray(t)), up * down, atol=1e-6)
    t = jnp.array([0.0, 0.225, 0.45, 0.9, 0.95, 1.0])
    np.testing.assert_allclose(pulse_ramp(t), [0.1, 0.55, 1, 0.1, 0.0505, 0.001], atol=1e-6)
    t = jnp.array([0.0, 0.05, 0.75, 0.875, 1.0])
    np.testing.assert_allclose(projector_ramp(t), [0, 1, 1, 0.5, 0], atol=1e-6)
    t = jnp.array([0.0, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(quick_ramp(t), [1, 1, 0.5, 0], atol=1e-6)
    np.testing.assert_array_equal(constant(t), 1)

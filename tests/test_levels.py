"""Levels of a task in one shape: the same errors, and nothing of it where nothing was measured."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ilo_jax
from benchmarks import auto, figures, methods
from benchmarks.classical import BASELINES
from benchmarks.figures_page import CASES
from benchmarks.levels import padded
from benchmarks.methods import PANELS, STEPS, pose
from ilo_jax.files import generators
from ilo_jax.ops import LinearOperator, can_hold_out, determined_share

LEVELS = [
    *(("superres", name) for name in ("superres 2x", "superres 16x")),
    *(("compress", name) for name in ("compress 1 %", "compress 50 %")),
]


def posed(panel, name):
    truth = jax.random.uniform(jax.random.key(1), (2, 64, 64, 3), minval=-1)
    return truth, pose(PANELS[panel][name], truth, 0)


@pytest.mark.parametrize(("panel", "name"), LEVELS)
def test_a_padded_level_measures_the_same(panel, name):
    truth, (operator, measurement, _) = posed(panel, name)
    whole, y = padded(operator, measurement)
    np.testing.assert_allclose(whole(truth), y, atol=2e-5)
    x = 0.5 * truth
    expected = jax.vmap(operator.error)(operator(x), measurement)
    np.testing.assert_allclose(jax.vmap(whole.error)(whole(x), y), expected, rtol=1e-4)
    assert isinstance(whole, LinearOperator)
    probe = jax.random.normal(jax.random.key(2), y.shape[1:])
    left, right = jnp.vdot(whole(x[0]), probe), jnp.vdot(x[0], whole.adjoint(probe))
    np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(("panel", "name"), LEVELS[1:3])
def test_what_is_held_out_of_a_level_was_measured(panel, name):
    _, (operator, measurement, _) = posed(panel, name)
    whole, y = padded(operator, measurement)
    held, observed = (
        np.asarray(a) for a in (whole.hold_out(jax.random.key(3), 0.2), whole.observed)
    )
    assert held.max() == 1
    assert not held[observed == 0].any()
    assert abs(held.sum() - 0.2 * observed.sum()) < 1
    assert can_hold_out(whole, len(y)).all()
    shares = (determined_share(o, 1.0, grey=True).share for o in (operator, whole))
    np.testing.assert_allclose(*shares, rtol=1e-3)


@pytest.mark.parametrize("panel", PANELS)
def test_levels_of_a_task_have_one_shape(panel):
    shapes = set()
    for name in PANELS[panel]:
        _, (operator, measurement, keys) = posed(panel, name)
        problem = (*padded(operator, measurement), keys)
        leaves, structure = jax.tree.flatten(problem)
        shapes.add((structure, *((leaf.shape, leaf.dtype) for leaf in map(jnp.asarray, leaves))))
    assert len(shapes) == 1


@pytest.mark.slow
def test_the_programs_of_all_figures(monkeypatch):
    """Three of a task, of ILO and CSGM, of PULSE, and of the automatic choice
    (`test_trial_and_restarts_are_one_program`); four with LPIPS, and Table 1's two with SNA."""
    found, prior = set(), generators.load()

    def program(operator, measurement, method, part="run"):
        method = method.replace(max_steps=None, sna=method.sna or operator.noise_is_additive)
        leaves, structure = jax.tree.flatten((operator, measurement, method))
        arrays = map(jnp.asarray, leaves)
        found.add((part, structure, *((leaf.shape, leaf.dtype) for leaf in arrays)))
        return SimpleNamespace(image=jnp.zeros((len(truth), *prior.image_shape)))

    def reconstruct(prior, operator, measurement, keys, method, **_):
        return program(operator, measurement, method)

    def choose(prior, operator, measurement, keys, method, effort):
        return program(operator, measurement, method, "auto")

    monkeypatch.setattr(ilo_jax, "reconstruct", reconstruct)
    monkeypatch.setattr(auto, "choose", choose)
    truth, table = jnp.zeros((1, 64, 64, 3)), figures.solvers(prior, STEPS)
    for case, variant in figures.cells():
        solver = None if variant in BASELINES else table[variant](CASES[case])
        if solver is not None:
            methods.reconstruct(CASES[case], solver, truth, 0)
    assert len(found) == 3 * 4 + 4 + 2

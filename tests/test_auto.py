"""The choice among methods without the truth: of the library, and as a command."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from outputs import table
from small import KEYS, MLP, OPERATOR, SHAPE, shared, truth

import ilo_jax
from ilo_jax.app import reconstruct as reconstruct_module
from ilo_jax.errors import InputError
from ilo_jax.ops import Identity, Noisy
from ilo_jax.solve import NOT_FINITE, OK, Auto, Choice, Mse, csgm, ilo, reconstruct_auto
from ilo_jax.solve.auto import knowing_noise, with_usual_radii

looks_at_files = True

METHOD = shared(ilo(MLP, (12, 12), radii=20.0))


def test_the_automatic_choice_is_measured_and_bounded():
    done = []
    found = reconstruct_auto(
        MLP,
        OPERATOR,
        OPERATOR(truth()),
        KEYS,
        METHOD,
        Auto(scales=(0.1, 10.0), rates=(1.0,), restarts=2),
        batch_size=6,
        progress=lambda *runs: done.append(runs),
    )
    assert done == [(6, 12), (12, 12)]
    assert set(found.scale) <= {np.float32(0.1), np.float32(10.0), 0.1, 10.0}
    assert ((found.steps >= 1) & (found.steps <= 24)).all()
    np.testing.assert_array_equal(found.round, (found.steps > 12).astype(int))
    measurement = OPERATOR(truth())
    error = np.mean((OPERATOR(jnp.asarray(found.image)) - measurement) ** 2)
    assert error < 0.3 * np.mean(measurement**2)


def test_known_noise_ends_the_squared_error():
    operator = Noisy(SHAPE, Identity(SHAPE), jnp.float32(0.3), False)
    assert operator.noise_variance == pytest.approx(0.09)
    known = knowing_noise(ilo(MLP, (2, 2), objective=Mse() + 0.1 * Mse(floor=0.5)))
    assert known.objective.terms == (Mse(discrepancy=True), Mse(floor=0.5, discrepancy=True))


def test_usual_radii_where_there_are_none():
    usual = with_usual_radii(MLP, ilo(MLP, (2, 2)))
    radius = np.asarray(usual.radii.v[1])
    assert np.isinf(radius[0])
    assert 0 < radius[1] < np.inf
    assert with_usual_radii(MLP, METHOD) is METHOD
    with pytest.raises(InputError, match="auto: no round has a deviation"):
        with_usual_radii(MLP, csgm(MLP, 2))


@pytest.mark.slow
def test_usual_radii_of_the_embedded_generator_are_near_the_chosen_ones():
    prior = ilo_jax.load("chest64")
    method = ilo(prior, (1, 1, 1, 1), radii=float("inf"))
    usual = with_usual_radii(prior, method).radii.v
    found = [float(usual[cut][r]) for r, cut in enumerate((1, 3, 5), 1)]
    np.testing.assert_allclose(found, [300, 100, 30], rtol=0.5)


def test_auto_writes_what_was_chosen_and_its_spread(solve, tmp_path, monkeypatch):
    def chosen(prior, operator, measurement, keys, method, auto, *, batch_size, progress):
        progress(1, 2)
        image = np.asarray(measurement)
        one = np.ones(len(keys))
        assert (auto.restarts, batch_size) == (5, 16)
        return Choice(
            *(image, np.full_like(image, 0.1), np.array([OK, NOT_FINITE])),
            one[:, None] * [np.inf, 5],
            *(one * 3, one * 0.5, one.astype(int), one.astype(int) * 2, one * 0.1),
        )

    monkeypatch.setattr(reconstruct_module.solve, "reconstruct_auto", chosen)
    line = "invert --images photos --auto --samples 5 --generator gen --steps 2,2 --out {out}"
    done = solve(line)
    assert done.code == 1  # nothing that was held out can be met for the second
    assert done.err.endswith("1 of 2 images failed\n")
    out = tmp_path / "out"
    stored = json.loads((out / "chosen" / "a.json").read_text())
    assert stored == {
        **{"radii": [5], "scale": 3, "rate": 0.5, "round": 1, "steps": 2},
        "held_out_error": 0.1,
    }
    assert (out / "spread" / "a.png").exists()
    assert not (out / "chosen" / "b.json").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--method csgm --steps 2", "--auto: csgm has no radii"),
        ("--video", "--auto with --video: expected one of them"),
        ("--save-variables", "--auto with --save-variables: expected one of them"),
        ("--start photos", "--auto with --start: expected one of them"),
        ("--reference photos", "--auto with --reference: expected one of them"),
    ],
)
def test_auto_goes_with_what_it_can_choose(options, expected, solve):
    done = solve(f"invert --images photos --auto --generator gen --out {{out}} {options}")
    assert (done.code, done.err) == (2, f"error: {expected}{done.err.partition(expected)[2]}")
    assert done.err.count("\n") == 1


@pytest.mark.slow
def test_auto_command(solve, tmp_path):
    line = "superres --factor 2 --images photos/a.png --auto --steps 2,2 --radii 5 --generator gen"
    assert solve(line + " --batch-size 5 --out {out}").code == 0
    out = tmp_path / "out"
    chosen = json.loads((out / "chosen" / "a.json").read_text())
    assert chosen["scale"] in map(pytest.approx, Auto().scales)
    assert chosen["rate"] in map(pytest.approx, Auto().rates)
    assert 1 <= chosen["steps"] <= 4
    assert (out / "spread" / "a.png").exists()
    (row,) = table(out / "metrics.csv")
    assert float(row["measurement_mse"]) < 1e-3  # consistent with what was measured

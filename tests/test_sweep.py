"""Sweeps, and the choice among settings without the truth."""

import csv
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilo_jax.errors import InputError
from ilo_jax.ops import Identity, Noisy, composition, partial_circulant
from ilo_jax.solve import METHODS, cli, solve, sweep_command
from ilo_jax.solve.auto import Auto, known_noise, solve_auto, with_usual_radii
from ilo_jax.solve.losses import Mse
from ilo_jax.solve.settings import RADII
from ilo_jax.solve.sweep import grid, sweep
from ilo_jax.stylegan2 import GeneratorConfig, load, map_latents, random_generator, synthesize

CONFIG = GeneratorConfig(channels=(16, 8), w_dim=16, z_dim=16, mapping_layers=2)
GENERATOR = jax.jit(random_generator, static_argnums=0)(CONFIG, jax.random.key(0))
OPERATOR = partial_circulant(jax.random.key(1), CONFIG.image_shape, 60)
KEYS = jax.random.split(jax.random.key(2), 3)
PLAN = METHODS["ilo"].plan(CONFIG, [12, 12], radii=[20.0])
Z = jax.random.normal(jax.random.key(3), (3, CONFIG.z_dim))
TRUTH = synthesize(GENERATOR, map_latents(GENERATOR, Z))
MEASUREMENT = OPERATOR(TRUTH)


def test_every_run_is_that_of_its_setting_alone():
    settings, hyper = grid(
        PLAN.schedule, PLAN.hyper, {"lr": [(0.05,), (0.1, 0.2)], "geocross": [(0.0,), (0.1,)]}
    )
    assert settings[1] == {"lr": (0.05,), "geocross": (0.1,)}
    # 24 runs by seven: the last program is filled up.
    runs = sweep(
        GENERATOR,
        OPERATOR,
        MEASUREMENT,
        KEYS,
        PLAN.schedule,
        hyper,
        restarts=2,
        batch_size=7,
    )
    assert runs.image.shape == (4, 2, 3, *CONFIG.image_shape)
    for s, restart in ((0, 0), (3, 1)):
        alone = solve(
            GENERATOR,
            OPERATOR,
            MEASUREMENT,
            jax.vmap(jax.random.fold_in)(KEYS, jnp.full(3, restart + 1)),
            PLAN.schedule,
            jax.tree.map(lambda leaf, s=s: leaf[s], hyper),
        )[-1]
        np.testing.assert_allclose(runs.image[s, restart], alone.image, atol=2e-3)
        np.testing.assert_allclose(runs.error[s, restart], alone.error, rtol=1e-2)


def test_a_grid_fills_the_rounds():
    _, hyper = grid(PLAN.schedule, PLAN.hyper, {"radii": [(5.0,), (np.inf,)]})
    np.testing.assert_array_equal(hyper.radius_code, [[np.inf, 5], [np.inf, np.inf]])
    np.testing.assert_array_equal(hyper.learning_rate, np.full((2, 2), np.float32(0.1)))


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"steps": [(5.0,)]}, "grid steps: expected numbers that one program can vary: lr, radii"),
        ({"lr": []}, "grid lr: no values"),
        ({"lr": [(1.0, 2.0, 3.0)]}, "grid lr 1:2:3: expected one number, or one for each of 2"),
        ({"radii": [(1.0, 2.0)]}, "grid radii 1:2: expected one number, or one for each of 1"),
    ],
)
def test_grids_that_make_no_sense(values, match):
    with pytest.raises(InputError, match=match):
        grid(PLAN.schedule, PLAN.hyper, values)


def test_early_stopping_keeps_the_image_of_its_step():
    stopped = PLAN.hyper.replace(stop=jnp.full(2, 5))
    short = METHODS["ilo"].plan(CONFIG, [12, 12], radii=[20.0])
    found = solve(GENERATOR, OPERATOR, MEASUREMENT, KEYS, short.schedule, stopped)[-1]
    first = solve(GENERATOR, OPERATOR, MEASUREMENT, KEYS, short.schedule, PLAN.hyper)
    assert (found.found_at < 5).all()
    assert (first[-1].found_at > 5).all()
    assert (found.error >= first[0].error).all()


def test_the_automatic_choice_is_measured_and_bounded():
    auto = Auto(scales=(0.1, 10.0), rates=(1.0,), restarts=2)
    done = []
    found = solve_auto(
        GENERATOR,
        OPERATOR,
        MEASUREMENT,
        KEYS,
        PLAN,
        auto,
        batch_size=6,
        progress=lambda *runs: done.append(runs),
    )
    assert done == [(6, 12), (12, 12)]
    assert set(found.scale) <= {0.1, 10.0}
    assert ((found.steps >= 1) & (found.steps <= 24)).all()
    np.testing.assert_array_equal(found.round, (found.steps > 12).astype(int))
    assert np.mean((OPERATOR(jnp.asarray(found.image)) - MEASUREMENT) ** 2) < 0.3 * np.mean(
        MEASUREMENT**2
    )


def test_known_noise_ends_the_squared_error():
    clean = Identity(CONFIG.image_shape)
    operator = Noisy(CONFIG.image_shape, clean, jnp.float32(0.3), False)
    assert operator.noise_variance == pytest.approx(0.09)
    losses = known_noise(PLAN.losses, composition(clean, operator))
    assert losses["mse"] == Mse(floor=operator.noise_variance)
    assert losses["geocross"] == PLAN.losses["geocross"]


def test_usual_radii_where_there_are_none():
    plan = METHODS["ilo"].plan(CONFIG, [2, 2])
    usual = with_usual_radii(GENERATOR, plan).hyper.radius_code
    assert usual is not None
    assert np.isinf(usual[0])
    assert 0 < usual[1] < np.inf
    assert with_usual_radii(GENERATOR, PLAN) is PLAN
    with pytest.raises(InputError, match="auto: no round has a code"):
        with_usual_radii(GENERATOR, METHODS["csgm"].plan(CONFIG, [2]))


def test_usual_radii_of_the_embedded_generator_are_near_the_chosen_ones():
    generator = load("chest64")
    plan = METHODS["ilo"].plan(generator.config, [1, 1, 1, 1])
    usual = with_usual_radii(generator, plan).hyper.radius_code
    assert usual is not None
    np.testing.assert_allclose(usual[1:], RADII["chest64"], rtol=0.5)


def test_command(tmp_path, capsys):
    arguments = ["sweep", "superres", "--factor", "8", "--method", "csgm", "--steps", "2"]
    arguments += ["--images", "ilo_jax/solve/samples/radiograph_00.png"]
    arguments += ["--out", str(tmp_path / "out")]
    grids = ["--grid", "lr=0.05,0.2", "--grid", "geocross=0,0.1"]
    assert cli.main([*arguments, *grids]) == 0
    with open(tmp_path / "out" / "sweep.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["lr"], r["geocross"]) for r in rows] == [
        ("0.05", "0"),
        ("0.05", "0.1"),
        ("0.2", "0"),
        ("0.2", "0.1"),
    ]
    assert all(float(r["psnr_db"]) > 5 for r in rows)
    assert (tmp_path / "out" / "sweep.png").stat().st_size > 1000
    best = max(rows, key=lambda r: float(r["psnr_db"]))
    assert f"best: lr={best['lr']} geocross={best['geocross']}" in capsys.readouterr().out
    assert cli.main([*arguments, *grids]) == 2
    assert "expected a new or empty folder" in capsys.readouterr().err


def test_command_halves_what_does_not_fit(tmp_path, capsys, monkeypatch):
    ran = sweep_command.sweep

    def limited(*args, batch_size, **kwargs):
        if batch_size > most:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9.00GiB")
        return ran(*args, batch_size=batch_size, **kwargs)

    monkeypatch.setattr(sweep_command, "sweep", limited)
    for name in ("radiograph_00.png", "radiograph_01.png"):
        shutil.copy(f"ilo_jax/solve/samples/{name}", tmp_path)
    arguments = ["sweep", "superres", "--factor", "8", "--method", "csgm", "--steps", "2"]
    arguments += ["--images", str(tmp_path), "--grid", "lr=0.05,0.2,0.5", "--batch-size", "6"]
    most = 2
    assert cli.main([*arguments, "--out", str(tmp_path / "a")]) == 0
    said = capsys.readouterr().err
    assert "out of memory with 6 runs at a time; going on with 3" in said
    assert "out of memory with 3 runs at a time; going on with 1" in said
    with open(tmp_path / "a" / "sweep.csv", newline="") as file:
        runs = [(r["image"], r["lr"]) for r in csv.DictReader(file)]
    images = ("radiograph_00", "radiograph_01")
    assert runs == [(image, lr) for image in images for lr in ("0.05", "0.2", "0.5")]
    most = 0
    assert cli.main([*arguments, "--out", str(tmp_path / "b")]) == 2
    assert "out of memory with one run at a time" in capsys.readouterr().err


def test_auto_command(tmp_path, capsys):
    arguments = ["superres", "--factor", "8", "--auto", "--steps", "2"]
    arguments += ["--images", "ilo_jax/solve/samples/radiograph_00.png"]
    out = tmp_path / "out"
    assert cli.main([*arguments, "--radii", "5", "--batch-size", "5", "--out", str(out)]) == 0
    chosen = json.loads((out / "chosen" / "radiograph_00.json").read_text())
    assert chosen["scale"] in Auto().scales
    assert chosen["rate"] in Auto().rates
    assert 1 <= chosen["steps"] <= 2
    assert (out / "spread" / "radiograph_00.png").exists()
    with open(out / "metrics.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["measurement_mse"]) < 1e-3  # consistent with what was measured
    capsys.readouterr()
    assert cli.main([*arguments, "--method", "csgm", "--out", str(tmp_path / "b")]) == 2
    assert "--auto: csgm has no radii" in capsys.readouterr().err
    assert cli.main([*arguments, "--video", "--out", str(tmp_path / "c")]) == 2
    assert "--auto with --video" in capsys.readouterr().err

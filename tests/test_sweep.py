"""Sweeps: of the library, and as a command."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from outputs import table
from small import IMAGES, KEYS, MLP, OPERATOR, SHAPE, run, shared, truth

import ilo_jax
from ilo_jax.app.grid import Plan, Sweep
from ilo_jax.app.settings import Settings
from ilo_jax.app.shards import shard_of
from ilo_jax.solve import Runs, csgm, ilo, sweep

looks_at_files = True

METHOD = shared(ilo(MLP, (12, 12), radii=20.0))


@pytest.mark.slow
def test_every_run_is_that_of_its_method_alone():
    methods = [
        shared(ilo(MLP, (12, 12), radii=20.0, rate=0.05)),
        shared(ilo(MLP, (4, 12, 6), radii=(20.0, 5.0))),
        shared(csgm(MLP, 20)),
    ]
    done = []
    # 18 runs by seven: the last program is filled up.
    runs = sweep(
        MLP,
        OPERATOR,
        OPERATOR(truth()),
        KEYS,
        methods,
        restarts=2,
        batch_size=7,
        progress=lambda *runs: done.append(runs),
    )
    assert done == [(7, 18), (14, 18), (18, 18)]
    assert runs.image.shape == (3, 2, IMAGES, *SHAPE)
    for s, restart in ((0, 0), (1, 1), (2, 1)):
        keys = jax.vmap(jax.random.fold_in)(KEYS, jnp.full(IMAGES, restart + 1))
        alone = run(methods[s], key=keys)
        np.testing.assert_allclose(runs.image[s, restart], alone.image, atol=2e-3)
        np.testing.assert_allclose(runs.error[s, restart], alone.error, rtol=1e-2, atol=1e-6)


def test_early_stopping_keeps_the_image_of_its_step():
    found, whole = run(METHOD.replace(stop=jnp.int32(5))), run(METHOD)
    assert (found.found_at < 5).all()
    assert (whole.found_at > 5).all()
    assert (found.error >= whole.rounds[0].error).all()


def settings(**chosen) -> Settings:
    return Settings("invert", {}, "ilo", 0, steps=(2, 2), **chosen)


@pytest.fixture(scope="module")
def prior(inputs):
    return ilo_jax.load(inputs / "gen")


def test_a_grid_is_all_combinations(prior):
    axes = {
        "lr": [(0.1,), (0.1, 0.2)],
        "radii": [(5.0,), (np.inf,)],
        "steps": [(3.0, 3.0), (4.0, 4.0)],
        "cuts": [(0.0, 2.0)],
        "geocross": [(0.0,)],
    }
    plan = Plan.create(settings(), prior, Sweep(axes, 1))
    points, methods = plan.points, plan.methods
    assert len(points) == len(methods) == 8
    assert points[5] == {
        **{"lr": (0.1, 0.2), "radii": (5.0,), "steps": (4.0, 4.0)},
        **{"cuts": (0.0, 2.0), "geocross": (0.0,)},
    }
    last = methods[5]
    assert (last.steps.tolist(), last.cuts) == ([4, 4], (2,))
    np.testing.assert_allclose(last.rate, [0.1, 0.2])
    np.testing.assert_allclose(last.radii.v[2], [np.inf, 5])
    np.testing.assert_array_equal(last.objective.weights, [[1, 1], [0, 0]])
    # Weights that were chosen stay.
    axes = {"mse": [(2.0,)]}
    chosen = settings(weights={"mse": (1.0,), "dead_zone": (3.0,)})
    (method,) = Plan.create(chosen, prior, Sweep(axes, 1)).methods
    np.testing.assert_array_equal(method.objective.weights, [[2, 2], [3, 3]])


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ("speed=5", "--grid speed: expected lr, radii, steps, cuts, or a term: mse"),
        ("steps=1.5", "--grid steps: expected whole numbers"),
        ("lr=", "argument --grid: '': expected numbers >= 0 or inf"),
        ("lr", "argument --grid: 'lr': expected NAME=V,V,..."),
        ("lr=1:2:3", "--lr 1,2,3: expected one number, or one for each of 2 rounds"),
        ("radii=1:2", "--radii 1,2: expected one number, or one for each of 1 rounds"),
        ("steps=1:1:1", "--steps 1,1,1: expected at most 2 numbers"),
        ("cuts=0:9", "--cuts 0,9: expected numbers from 0 to 3"),
        ("lr=1 --grid lr=2", "--grid: a name twice; expected each once"),
    ],
)
def test_grids_that_make_no_sense(grid, expected, solve):
    done = solve(
        f"sweep invert --images photos --out {{out}} --generator gen --steps 2,2 --grid {grid}"
    )
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert expected in done.err


SWEEP = (
    "sweep invert --images {images} --generator gen --steps 2,2 --grid lr=0.05,0.2 --out {{tmp}}/"
)


@pytest.mark.slow
def test_command(solve, tmp_path):
    line = SWEEP.format(images="photos/a.png") + "1 --grid geocross=0,0.1"
    done = solve(line)
    assert done.code == 0
    rows = table(tmp_path / "1" / "sweep.csv")
    assert [(r["lr"], r["geocross"]) for r in rows] == [
        ("0.05", "0"),
        ("0.05", "0.1"),
        ("0.2", "0"),
        ("0.2", "0.1"),
    ]
    assert all(float(r["psnr_db"]) > 5 and r["status"] == "ok" for r in rows)
    assert len({r["psnr_db"] for r in rows}) == 4
    assert (tmp_path / "1" / "sweep.png").stat().st_size > 1000
    best = max(rows, key=lambda r: float(r["psnr_db"]))
    assert f"best: lr={best['lr']} geocross={best['geocross']}" in done.out
    again = solve(line)
    assert (again.code, again.out) == (0, done.out)
    assert again.err == "1 of 1 were there already\n"
    other = solve(line + " --seed 1")
    assert other.code == 2
    assert "holds a run with seed 0; expected seed 1: choose another --out" in other.err


@pytest.fixture
def swept(monkeypatch):
    """Stands for `solve.sweep`: what does not fit, and which images fail, is up to the test."""

    class Swept:
        most, calls, failing, interrupt = 99, 0, 0.0, False

        def __call__(self, prior, operator, measurement, keys, methods, **options):
            self.calls += 1
            if self.interrupt and self.calls == 2:
                raise KeyboardInterrupt
            if options["batch_size"] > self.most:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9.00GiB")
            options["progress"](1, 1)
            shape = (len(methods), options["restarts"], len(keys))
            error = np.full(shape, 0.5, np.float32)
            error[: 1 if self.failing else 0] = np.inf
            image = np.broadcast_to(np.asarray(measurement), (*shape, 8, 8, 3)) * np.float32(0.9)
            return Runs(image, error, np.zeros(shape, int), error[..., None])

    fake = Swept()
    monkeypatch.setattr(ilo_jax.solve, "sweep", fake)
    return fake


def images_of(path) -> list[tuple[str, str]]:
    return [(row["image"], row["lr"]) for row in table(path / "sweep.csv")]


ALL = [(image, lr) for image in "abcde" for lr in ("0.05", "0.2")]


def test_command_halves_what_does_not_fit(solve, tmp_path, swept):
    line = SWEEP.format(images="many") + "{name} --batch-size 4"
    swept.most = 2
    done = solve(line.replace("{name}", "1"))
    assert done.code == 0
    assert "out of memory with 4 at a time on a device; going on with 2" in done.err
    assert "out of memory with 2 at a time on a device; going on with 1" in done.err
    assert images_of(tmp_path / "1") == ALL
    swept.most = 0
    refused = solve(line.replace("{name}", "2"))
    assert refused.code == 2
    assert "a.png: out of memory with one at a time on a device" in refused.err


def test_command_goes_on_where_it_was_interrupted(solve, tmp_path, swept):
    line = SWEEP.format(images="many") + "1 --batch-size 1"
    swept.interrupt = True
    assert solve(line).code == 130
    assert images_of(tmp_path / "1") == ALL[:2]
    assert not (tmp_path / "1" / "sweep.png").exists()
    assert solve(line).code == 0
    assert images_of(tmp_path / "1") == ALL
    assert swept.calls == 6


def test_command_solves_an_image_again_of_which_a_row_is_missing(solve, tmp_path, swept):
    """As when it is killed while it writes the rows of an image."""
    line = SWEEP.format(images="many") + "1 --batch-size 1"
    assert solve(line).code == 0
    path = tmp_path / "1" / "sweep.csv"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 3])
    assert solve(line).code == 0
    assert path.read_bytes() == whole


def test_command_leaves_out_what_failed_and_tries_it_again(solve, tmp_path, swept):
    line = SWEEP.format(images="mixed") + "1"
    swept.failing = True
    for calls in (1, 2):
        done = solve(line)
        assert (done.code, swept.calls) == (1, calls)
        assert "skipped: mixed/text.png: not an image" in done.err
        assert done.err.endswith("4 of 6 runs failed: why is in sweep.csv\n")
        assert "best: lr=0.2" in done.out
        rows = table(tmp_path / "1" / "sweep.csv")
        assert [row["status"] for row in rows[:4]] == ["not finite", "ok"] * 2
        assert all("text.png: not an image" in row["status"] for row in rows[4:])
        assert [row["lr"] for row in rows] == ["0.05", "0.2"] * 3
        assert rows[0]["psnr_db"] == ""


def test_shards_of_a_sweep_are_the_sweep_of_one_command(solve, tmp_path, swept):
    line = SWEEP.format(images="many")
    swept.failing = True
    assert solve(f"{line}whole").code == 1
    for index in range(3):  # the first has no image
        done = solve(f"{line}out --shard {index}/3")
        assert done.code == (0 if "no images" in done.out else 1)
        assert done.out.startswith(f"shard {index}/3: ")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "text.png").write_text("hello")
    done = solve(f"{line}bad_out --shard 0/1".replace("many", str(tmp_path / "bad")))
    assert (done.code, done.out.count("\n")) == (1, 1)
    assert done.out.startswith("shard 0/1: 2 runs failed: ")
    done = solve("summarize {out}")
    assert (done.code, done.err) == (1, "5 of 10 runs failed: why is in sweep.csv\n")
    found = f"10 runs; best: lr=0.2, PSNR {best(tmp_path)} dB"
    assert done.out == f"{found}: {tmp_path}/out/sweep.csv\n"
    files = {path.name for path in (tmp_path / "whole").iterdir()}
    assert {path.name for path in (tmp_path / "out").iterdir()} == files | {"shards"}
    for name in ("sweep.csv", "sweep.png"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    index = shard_of("a", 3)
    one, other = (tmp_path / f"out/shards/{i}-of-3/sweep.csv" for i in (index, (index + 1) % 3))
    one.rename(other)
    refused = solve("summarize {out}")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert f"has image a, which is of shard {index}/3: they overlap" in refused.err


def best(path) -> str:
    found = [float(row["psnr_db"]) for row in table(path / "whole" / "sweep.csv") if row["psnr_db"]]
    return f"{np.mean(found):.2f}"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--out out --ray --shard 0/2", "--shard: expected without --ray"),
        ("--out out --ray --batch-size auto", "--batch-size auto: expected a number with --ray"),
        ("--out s3://a/b --ray", "--out s3://a/b: expected a folder, for sweep.csv is one file"),
        ("--out out --images s3://a/b", "an address such as s3://...: expected with --ray"),
    ],
)
def test_machines_that_do_not_go_with_a_sweep(options, expected, solve):
    done = solve(f"sweep invert --images photos --generator gen --grid lr=0.1 {options}")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"error: {expected}")

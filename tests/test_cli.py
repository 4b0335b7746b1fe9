"""The contract of `python -m ilo_jax.solve`, on a tiny generator with random weights."""

import math
import os
import signal

import jax
import numpy as np
import pytest
from outputs import interrupt_second_batch, pictures, rows, summary
from PIL import Image

import ilo_jax
from ilo_jax.app import cli, reconstruct
from ilo_jax.app.metrics import METRICS, evaluate
from ilo_jax.app.results import WHITE_SPREAD
from ilo_jax.app.run import Run
from ilo_jax.app.settings import Settings
from ilo_jax.files.images import encode_png, from_uint8, read_image, to_pillow

looks_at_files = True

SIDE = 8
INVERT = "invert --images photos --out {out} --generator gen --steps 2,2"


TASKS_RUN = ("inpaint --mask mask.png", "denoise --sigma 20")
SLOW_TASKS = (
    "invert",
    "inpaint --observed 0.3",
    "inpaint --box 3",
    "inpaint --strokes 2",
    "inpaint --alpha mask.png",
    "superres --factor 2 --filter average",
    "jpeg --quality 12",
    "compress --measurements 0.3",
    "gaussian --measurements 0.3",
    "blur --kernel mask.png",
    "colourise",
    "mri --acceleration 2",
    "phase",
    "compose --chain 'superres factor=2, inpaint observed=0.5, denoise sigma=10'",
    "compose --chain 'photons photons=24, jpeg quality=9, inpaint strokes=1'",
    "custom --function jax.numpy:matrix_transpose",
)


@pytest.mark.parametrize(
    "task", [*TASKS_RUN, *(pytest.param(task, marks=pytest.mark.slow) for task in SLOW_TASKS)]
)
def test_every_task_writes_what_the_contract_says(task, solve, tmp_path, inputs):
    done = solve(f"{task} --images photos --out {{out}} --generator gen --steps 2,2")
    out = tmp_path / "out"
    assert done.code == 0
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert files == {
        *("images/a.png", "images/b.png", "metrics.csv", "summary.json"),
        *("contact_sheet.png", "report.html", "history.csv", "run.json"),
    }
    found = rows(out)
    usual = [metric for metric in METRICS if metric != "lpips"]
    assert list(found[0]) == ["name", *METRICS, "input", "status"]
    assert [row["name"] for row in found] == ["a", "b"]
    for row in found:
        assert row["status"] == "ok"
        assert row["lpips"] == ""  # only where it is asked for
        assert all(math.isfinite(float(row[metric])) for metric in usual)
        truth, image = (
            np.asarray(Image.open(folder / f"{row['name']}.png"))
            for folder in (inputs / "photos", out / "images")
        )
        assert image.shape == truth.shape
        assert float(row["psnr_db"]) == pytest.approx(
            evaluate(from_uint8(truth), from_uint8(image))[0], rel=1e-4
        )
    stored = summary(out)
    assert stored["task"] == task.split()[0]
    assert {key: stored[key] for key in ("method", "images", "steps", "seed")} == {
        "method": "ilo",
        "images": 2,
        "steps": [2, 2],
        "seed": 0,
    }
    for metric in usual:
        values = [float(row[metric]) for row in found]
        assert stored[metric]["mean"] == pytest.approx(np.mean(values), rel=1e-4)
        assert stored[metric]["std"] == pytest.approx(np.std(values), rel=1e-2, abs=1e-4)
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width > 3 * 128
        assert sheet.height > 2 * 128
    assert done.out.count("\n") == 1
    assert f"2 images, PSNR {stored['psnr_db']['mean']:.2f} ±" in done.out
    assert done.out.endswith(f": {out / 'report.html'}\n")
    assert done.err == "images 1-2 of 2\n"


@pytest.mark.parametrize(
    ("task", "folder"),
    [
        pytest.param("superres --factor 2", "small", marks=pytest.mark.slow),
        ("inpaint --mask mask.png", "photos"),
        pytest.param("denoise --sigma 20", "photos", marks=pytest.mark.slow),
    ],
)
def test_measured_images_have_no_truth(task, folder, solve, tmp_path):
    done = solve(f"{task} --measured --images {folder} --out {{out}} --generator gen --steps 2,2")
    assert (done.code, done.out.startswith("2 images: ")) == (0, True)
    out = tmp_path / "out"
    assert all(row["psnr_db"] == row["ssim"] == "" for row in rows(out))
    assert all(float(row["measurement_mse"]) > 0 for row in rows(out))
    assert summary(out)["psnr_db"] == {"mean": None, "std": None}
    assert summary(out)["measured"] is True
    with Image.open(out / "images" / "a.png") as image:
        assert image.size == (SIDE, SIDE)
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width < 4 * 160  # two rows beside each other, of two tiles


def test_what_a_mask_hides_in_a_measured_image_does_not_matter(solve, tmp_path, inputs):
    line = "inpaint --measured --mask mask.png --generator gen --steps 2,2 --images "
    hidden = np.asarray(Image.open(inputs / "mask.png")) == 0
    (tmp_path / "changed").mkdir()
    for name in ("a.png", "b.png"):
        pixels = np.array(Image.open(inputs / "photos" / name))
        pixels[hidden] = 200
        Image.fromarray(pixels).save(tmp_path / "changed" / name)
    assert solve(line + "photos --out {tmp}/1").code == 0
    assert solve(line + "{tmp}/changed --out {tmp}/2").code == 0
    assert pictures(tmp_path / "1") == pictures(tmp_path / "2")


def test_the_same_command_again_skips_what_is_finished(solve, tmp_path):
    images = tmp_path / "out" / "images"
    assert solve(INVERT).code == 0
    before, kept = pictures(tmp_path / "out"), (images / "b.png").stat().st_mtime_ns
    again = solve(INVERT)
    assert (again.code, again.err) == (0, "2 of 2 were there already\n")
    (images / "a.png").unlink()
    again = solve(INVERT)
    assert again.code == 0
    assert "image 2 of 2" in again.err
    assert (images / "b.png").stat().st_mtime_ns == kept
    assert pictures(tmp_path / "out") == before


def test_more_images_can_join_a_run(solve, tmp_path):
    assert solve(INVERT.replace("photos", "photos/b.png")).code == 0
    done = solve(INVERT.replace("photos", "photos/a.png"))
    assert (done.code, "image 1 of 1" in done.err) == (0, True)
    assert [row["name"] for row in rows(tmp_path / "out")] == ["a", "b"]
    assert summary(tmp_path / "out")["images"] == 2


def test_another_run_in_the_same_folder_is_refused(solve, tmp_path):
    assert solve(INVERT).code == 0
    before = pictures(tmp_path / "out")
    refused = solve(INVERT + " --seed 1 --radii 5")
    assert refused.code == 2
    assert refused.err == (
        f"error: {tmp_path}/out: holds a run with seed 0, radii inf; "
        "expected seed 1, radii 5.0: choose another --out\n"
    )
    assert pictures(tmp_path / "out") == before


def test_the_same_seed_gives_the_same_bytes(solve, tmp_path):
    line = "denoise --sigma 30 --images {images} --generator gen --steps 2,2 --out {{tmp}}/{out} "
    assert solve(line.format(images="photos", out=1)).code == 0
    assert solve(line.format(images="photos/b.png photos/a*.png", out=2)).code == 0
    assert solve(line.format(images="photos", out=3) + "--seed 1").code == 0
    assert solve("--seed 1 " + line.format(images="photos", out=4)).code == 0
    first, second, third, fourth = (pictures(tmp_path / name) for name in "1234")
    assert first == second
    assert third == fourth
    assert all(first[name] != third[name] for name in first)


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(solve, tmp_path, monkeypatch):
    line = INVERT.replace("photos", "many") + " --batch-size 1"
    assert solve(line.replace("{out}", "{tmp}/whole")).code == 0
    with monkeypatch.context() as patch:
        interrupt_second_batch(patch)
        stopped = solve(line)
    out = tmp_path / "out"
    assert stopped.code == 130
    assert "interrupted: the same command goes on where this one stopped\n" in stopped.err
    assert list(pictures(out)) == ["a.png", "b.png"]
    assert not (out / "summary.json").exists()
    assert solve(line).code == 0
    assert pictures(out) == pictures(tmp_path / "whole")
    assert summary(out)["images"] == 5


def test_the_system_ends_a_run_as_a_user_does(solve, tmp_path, monkeypatch):
    def ended(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("not reached")

    monkeypatch.setattr(reconstruct, "solve_batch", ended)
    before = signal.signal(signal.SIGTERM, cli._terminate)
    stopped = solve(INVERT)
    signal.signal(signal.SIGTERM, before)
    assert stopped.code == 143
    assert "interrupted: the same command goes on where this one stopped\n" in stopped.err
    assert not (tmp_path / "out" / ".lock").exists()


def test_one_unreadable_image_among_many_is_skipped(solve, tmp_path):
    line = INVERT.replace("photos", "mixed") + " --batch-size 2"
    for _ in range(2):
        done = solve(line)
        assert done.code == 1
        assert "skipped: mixed/text.png: not an image; expected a PNG, JPEG" in done.err
        assert done.err.endswith("1 of 3 images failed: why is in metrics.csv\n")
        assert list(pictures(tmp_path / "out")) == ["a.png", "b.png"]
        assert summary(tmp_path / "out")["images"] == 2
    # The rest of the folder being finished helps an unreadable image no more than an empty one.
    alone = solve(INVERT.replace("photos", "text.png truncated.png"))
    assert alone.code == 2
    assert alone.err.endswith("error: text.png truncated.png: none of 2 has a result\n")


def test_an_image_of_another_size_is_fitted_and_the_output_says_so(solve, tmp_path):
    done = solve(INVERT.replace("photos", "wide.png"))
    assert done.code == 0
    assert "wide.png: 16x8, centre-cropped to 8x8\n" in done.err
    with Image.open(tmp_path / "out" / "images" / "wide.png") as image:
        assert image.size == (SIDE, SIDE)


def test_numbers_by_round(solve, tmp_path):
    line = INVERT + " --lr 0.1,0.05 --radii inf"
    assert solve(line).code == 0
    stored = summary(tmp_path / "out")
    assert (stored["lr"], stored["radii"], stored["steps"]) == ([0.1, 0.05], ["inf"], [2, 2])
    assert solve(line).code == 0


def test_restarts_are_averaged_and_their_spread_is_drawn(solve, tmp_path):
    line = "inpaint --observed 0.4 --generator gen --steps 2,2 --out {tmp}/"
    assert solve(line + "1 --images photos").code == 0
    samples = line + "2 --images photos/a.png --samples 2"
    assert solve(samples).code == 0
    first, mean, spread = (
        np.asarray(Image.open(tmp_path / name / "a.png")).astype(int)
        for name in ("1/images", "2/images", "2/spread")
    )
    # The first restart is the one of a single run: of two, it is as far from the mean as the other.
    assert np.abs(first - mean).max() > 4
    white = np.minimum(np.abs(first - mean) / 127.5 / WHITE_SPREAD, 1) * 255
    np.testing.assert_allclose(spread, white, atol=9)
    with Image.open(tmp_path / "2" / "contact_sheet.png") as sheet:
        assert sheet.width > 4 * 128
    assert solve(samples).err == "1 of 1 were there already\n"


def test_consistent_results_meet_the_measurement(solve, tmp_path):
    line = INVERT.replace("invert", "inpaint --observed 0.4") + " --consistent"
    assert solve(line).code == 0
    assert all(float(row["measurement_mse"]) < 1e-10 for row in rows(tmp_path / "out"))


def test_the_command_and_the_library_give_the_same_image(solve, tmp_path, inputs):
    assert solve(INVERT.replace("photos", "photos/a.png") + " --seed 3").code == 0
    prior, file = ilo_jax.load(inputs / "gen"), inputs / "photos" / "a.png"
    truth, _ = read_image(file, prior.image_shape)
    operator = ilo_jax.ops.identity(prior.image_shape)
    run = Run.create(Settings("invert", {}, "ilo", 3, (2, 2)), prior)
    # The image's key is of seed and name; its first restart has that folded with 1.
    key = jax.random.fold_in(run.image_key(file), 1)
    method = ilo_jax.solve.ilo(prior, (2, 2))
    found = ilo_jax.reconstruct(prior, operator, truth[None], key[None], method)
    expected = encode_png(to_pillow(np.asarray(found.image[0])))
    assert pictures(tmp_path / "out") == {"a.png": expected}


def spoil(path) -> bytes:
    """Makes an image's variables not finite; returns the file's bytes before."""
    before = path.read_bytes()
    with np.load(path) as file:
        content = dict(file)
    np.savez(path, allow_pickle=False, **content | {"inputs/w": np.full(16, np.nan, np.float32)})
    return before


def test_an_image_that_fails_costs_the_others_nothing(solve, tmp_path):
    """It starts from variables that are not finite."""
    assert solve(INVERT.replace("{out}", "{tmp}/1") + " --save-variables").code == 0
    path = tmp_path / "1" / "variables" / "a.npz"
    before = spoil(path)
    line = INVERT + f" --start {tmp_path}/1"
    out = tmp_path / "out"
    for _ in range(2):  # the same command tries it again
        done = solve(line)
        assert done.code == 1
        assert "failed: photos/a.png: not finite\n" in done.err
        assert done.err.endswith("1 of 2 images failed: why is in metrics.csv\n")
        assert done.out.startswith("1 image, PSNR ")
        assert list(pictures(out)) == ["b.png"]
        failed, good = rows(out)
        assert (failed["status"], good["status"]) == ("not finite", "ok")
        assert (failed["psnr_db"], failed["ssim"], failed["measurement_mse"]) == ("", "", "")
        assert summary(out)["images"] == 1
    path.write_bytes(before)
    assert solve(line).code == 0
    assert list(pictures(out)) == ["a.png", "b.png"]
    assert [row["status"] for row in rows(out)] == ["ok", "ok"]


def test_a_run_without_any_image_says_so(solve, tmp_path):
    line = INVERT.replace("photos", "photos/a.png")
    assert solve(line.replace("{out}", "{tmp}/1") + " --save-variables").code == 0
    spoil(tmp_path / "1" / "variables" / "a.npz")
    done = solve(line + f" --start {tmp_path}/1")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith("error: photos/a.png: none of 1 has a result\n")
    assert not (tmp_path / "out" / "summary.json").exists()

"""The contract of `python -m ilo_jax.solve`, on a tiny generator with random weights."""

import csv
import json
import math
import pathlib
import re
import shlex
import subprocess
import sys
from typing import NamedTuple

import jax
import numpy as np
import pytest
from PIL import Image

from ilo_jax.ops import TASKS
from ilo_jax.solve import demo as demo_module
from ilo_jax.solve import run as run_module
from ilo_jax.solve.cli import main
from ilo_jax.solve.images import from_uint8
from ilo_jax.solve.results import METRICS, evaluate
from ilo_jax.solve.settings import RADII, Settings
from ilo_jax.stylegan2 import GeneratorConfig, load, random_generator, save

SAMPLES = pathlib.Path(demo_module.SAMPLES)
CONFIG = GeneratorConfig(channels=(16, 8), w_dim=16, z_dim=16, mapping_layers=2)
SIDE = CONFIG.resolution


@pytest.fixture(scope="session")
def inputs(tmp_path_factory) -> pathlib.Path:
    """A folder with a generator `gen`, images `photos/{a,b}.png`, `small`, `mask.png`, and
    whatever else a user may get wrong."""
    root = tmp_path_factory.mktemp("inputs")
    make = jax.jit(random_generator, static_argnums=0)
    save(root / "gen", make(CONFIG, jax.random.key(0)), about={})
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    for folder in ("photos", "small", "empty", "mixed", "bad_gen", "holiday"):
        (root / folder).mkdir()
    for name, image in zip("ab", pixels, strict=True):
        Image.fromarray(image).save(root / "photos" / f"{name}.png")
        Image.fromarray(image).save(root / "mixed" / f"{name}.png")
        Image.fromarray(image[::2, ::2]).save(root / "small" / f"{name}.png")
    Image.fromarray(np.uint8(255) * (pixels[0, ..., 0] > 80)).save(root / "mask.png")
    Image.new("L", (SIDE, 2 * SIDE), 255).save(root / "tall_mask.png")
    Image.new("L", (SIDE, SIDE), 0).save(root / "black_mask.png")
    Image.new("RGB", (2 * SIDE, SIDE), "red").save(root / "wide.png")
    (root / "text.png").write_text("hello")
    (root / "mixed" / "text.png").write_text("hello")
    (root / "truncated.png").write_bytes((root / "photos" / "a.png").read_bytes()[:90])
    (root / "bad_gen" / "generator.json").write_text("{")
    (root / "holiday" / "beach.txt").write_text("")
    return root


class Outcome(NamedTuple):
    code: int | str | None
    out: str
    err: str


@pytest.fixture
def solve(inputs, tmp_path, monkeypatch, capsys):
    """Runs a command line in the folder of the inputs; {out} is a folder of the test."""
    monkeypatch.chdir(inputs)

    def run(line: str) -> Outcome:
        capsys.readouterr()
        try:
            code = main(shlex.split(line.format(out=tmp_path / "out", tmp=tmp_path)))
        except SystemExit as stopped:
            code = stopped.code
        return Outcome(code, *capsys.readouterr())

    return run


def rows(out: pathlib.Path) -> list[dict[str, str]]:
    with open(out / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def summary(out: pathlib.Path) -> dict:
    return json.loads((out / "summary.json").read_text())


def pictures(out: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "images").iterdir()}


INVERT = "invert --images photos --out {out} --generator gen --steps 2,2"


@pytest.mark.parametrize(
    "task",
    [
        "invert",
        "inpaint --observed 0.3",
        "inpaint --mask mask.png",
        "inpaint --box 3",
        "superres --factor 2",
        "denoise --sigma 20",
        "compress --measurements 0.3",
        "gaussian --measurements 0.3",
        "blur --kernel mask.png",
        "colourise",
        "mri --acceleration 2",
        "phase",
        "compose --chain 'superres factor=2, inpaint observed=0.5, denoise sigma=10'",
        "custom --function jax.numpy:matrix_transpose",
    ],
)
def test_every_task_writes_what_the_contract_says(task, solve, tmp_path, inputs):
    done = solve(f"{task} --images photos --out {{out}} --generator gen --steps 2,2")
    out = tmp_path / "out"
    assert done.code == 0
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert files == {
        *("images/a.png", "images/b.png", "metrics.csv", "summary.json"),
        *("contact_sheet.png", "run.json"),
    }
    found = rows(out)
    assert list(found[0]) == ["name", "psnr_db", "ssim", "measurement_mse", "seconds"]
    assert [row["name"] for row in found] == ["a", "b"]
    for row in found:
        assert all(math.isfinite(float(row[metric])) for metric in METRICS)
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
    for metric in METRICS:
        values = [float(row[metric]) for row in found]
        assert stored[metric]["mean"] == pytest.approx(np.mean(values), rel=1e-4)
        assert stored[metric]["std"] == pytest.approx(np.std(values), rel=1e-2, abs=1e-4)
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width > 3 * 128
        assert sheet.height > 2 * 128
    assert done.out.count("\n") == 1
    assert f"2 images, PSNR {stored['psnr_db']['mean']:.2f} ±" in done.out
    assert str(out / "contact_sheet.png") in done.out
    assert "images 1-2 of 2, round 2 of 2" in done.err


@pytest.mark.parametrize(
    ("task", "folder"),
    [
        ("superres --factor 2", "small"),
        ("inpaint --mask mask.png", "photos"),
        ("denoise --sigma 20", "photos"),
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
        assert sheet.width < 3 * 128


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


def test_csgm_is_one_round(solve, tmp_path):
    assert solve(INVERT.replace("2,2", "2") + " --method csgm").code == 0
    assert summary(tmp_path / "out")["method"] == "csgm"
    assert summary(tmp_path / "out")["steps"] == [2]


def test_the_same_command_again_skips_what_is_finished(solve, tmp_path):
    images = tmp_path / "out" / "images"
    assert solve(INVERT).code == 0
    before, kept = pictures(tmp_path / "out"), (images / "b.png").stat().st_mtime_ns
    again = solve(INVERT)
    assert (again.code, again.err) == (0, "")
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
        f"error: {tmp_path}/out: holds a run with seed 0, no radii; "
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


def interrupt_second_batch(patch) -> None:
    calls, solve_batch = [], run_module._solve_batch

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return solve_batch(*args)

    patch.setattr(run_module, "_solve_batch", interrupted)


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(solve, tmp_path, monkeypatch):
    line = INVERT + " --batch-size 1"
    assert solve(line.replace("{out}", "{tmp}/whole")).code == 0
    with monkeypatch.context() as patch:
        interrupt_second_batch(patch)
        stopped = solve(line)
    out = tmp_path / "out"
    assert stopped.code == 130
    assert "interrupted: the same command goes on where this one stopped\n" in stopped.err
    assert list(pictures(out)) == ["a.png"]
    assert not (out / "summary.json").exists()
    assert solve(line).code == 0
    assert pictures(out) == pictures(tmp_path / "whole")
    assert summary(out)["images"] == 2


def test_one_unreadable_image_among_many_is_skipped(solve, tmp_path):
    line = INVERT.replace("photos", "mixed") + " --batch-size 2"
    for _ in range(2):
        done = solve(line)
        assert done.code == 1
        assert "skipped: mixed/text.png: not an image; expected a PNG, JPEG" in done.err
        assert done.err.endswith("1 of 3 images could not be read\n")
        assert list(pictures(tmp_path / "out")) == ["a.png", "b.png"]
        assert summary(tmp_path / "out")["images"] == 2
    # The rest of the folder being finished helps an unreadable image no more than an empty one.
    alone = solve(INVERT.replace("photos", "text.png truncated.png"))
    assert alone.code == 2
    assert alone.err.endswith("error: text.png truncated.png: none of the images can be read\n")


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


def test_the_embedded_generator_has_radii_that_suit_it():
    def radii(task="denoise", method="ilo", generator="chest64", **chosen):
        return Settings(task, {}, method, 0, generator=generator, **chosen).effective_radii

    assert radii() == RADII["chest64"]
    assert radii(steps=(9, 9)) == (300,)
    assert radii(steps=(9,) * 5) == (300, 100, 30, 30)
    assert radii(radii=(5.0,)) == (5,)
    assert radii(method="ilo-range") is None
    assert radii(generator="gen") is None
    assert radii(layers=(0, 1)) is None
    assert radii(steps=(9,)) is None
    stored = Settings("denoise", {}, "ilo", 0).description()
    assert (stored["radii"], stored["steps"]) == ([300, 100, 30], (100, 100, 100, 100))


def test_losses_and_cuts_are_recorded(solve, tmp_path):
    line = INVERT + " --layers 1,0 --weights mse=1 dead_zone=0,1 reference=0.1 --tolerance 0.2"
    assert solve(line + " --reference photos --sna").code == 0
    stored = summary(tmp_path / "out")
    assert stored["weights"] == {"mse": [1], "dead_zone": [0, 1], "reference": [0.1]}
    assert (stored["layers"], stored["lr"], stored["tolerance"]) == ([1, 0], [0.1], 0.2)
    assert (stored["reference"], stored["sna"]) == ("photos", True)


@pytest.mark.parametrize("method", ["ilo-range", "pulse", "dhar"])
def test_other_methods(method, solve, tmp_path):
    steps = {"ilo-range": "2,2,2", "pulse": "2", "dhar": "2,2"}[method]
    cut = " --layers 1" if method == "ilo-range" else ""
    assert solve(INVERT.replace("2,2", steps) + f" --method {method}{cut}").code == 0
    assert summary(tmp_path / "out")["method"] == method


def test_a_run_goes_on_from_the_variables_of_another(solve, tmp_path):
    assert solve(INVERT.replace("{out}", "{tmp}/1") + " --save-variables").code == 0
    frozen = INVERT.replace("2,2", "1") + " --layers 1 --lr 1e-9"
    assert solve(frozen.replace("{out}", "{tmp}/2") + f" --start {tmp_path}/1").code == 0
    assert solve(frozen.replace("{out}", "{tmp}/3")).code == 0
    first, second, at_random = (
        np.array([float(row["measurement_mse"]) for row in rows(tmp_path / name)]) for name in "123"
    )
    # From where the first run ended, which is a step behind its last image.
    assert (np.abs(second / first - 1) < 0.3).all()
    assert (second < at_random).all()


def test_damaged_variables_are_refused(solve, tmp_path):
    assert solve(INVERT.replace("{out}", "{tmp}/1") + " --save-variables").code == 0
    for file in (tmp_path / "1" / "variables" / "a").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    line = INVERT.replace("photos", "photos/a.png").replace("{out}", "{tmp}/2")
    refused = solve(f"{line} --start {tmp_path}/1")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert (
        "variables/a: damaged; expected variables that a run with --save-variables" in refused.err
    )


def test_the_last_frame_is_the_reference_of_the_next(solve, tmp_path):
    line = INVERT + " --video --frame-steps 3 --weights mse=1 geocross=0.001"
    assert solve(line.replace("{out}", "{tmp}/1")).code == 0
    assert solve(line.replace("{out}", "{tmp}/2") + " reference=10").code == 0
    without, drawn = (pictures(tmp_path / name) for name in "12")
    assert without["a.png"] == drawn["a.png"]
    assert without["b.png"] != drawn["b.png"]


def test_frames_of_a_video_start_from_the_last(solve, tmp_path, monkeypatch):
    line = INVERT + " --video --frame-steps 3 --frame-radii 5,5,1"
    done = solve(line.replace("{out}", "{tmp}/whole"))
    assert (done.code, "image 2 of 2, round 1 of 1" in done.err) == (0, True)
    assert summary(tmp_path / "whole")["video"] == {"steps": 3, "radii": [5, 5, 1]}
    alone = INVERT.replace("{out}", "{tmp}/alone").replace("photos", "photos/b.png")
    assert solve(alone + " --video").code == 0
    whole, first = pictures(tmp_path / "whole"), pictures(tmp_path / "alone")
    assert whole["b.png"] != first["b.png"]
    # Stopped between frames, it goes on from the last one's variables.
    with monkeypatch.context() as patch:
        interrupt_second_batch(patch)
        assert solve(line).code == 130
    assert solve(line).code == 0
    assert pictures(tmp_path / "out") == whole


def test_restarts_are_averaged_and_their_spread_is_drawn(solve, tmp_path):
    line = INVERT.replace("invert", "inpaint --observed 0.4")
    assert solve(line.replace("{out}", "{tmp}/1")).code == 0
    assert solve(line.replace("{out}", "{tmp}/3") + " --samples 3").code == 0
    out = tmp_path / "3"
    assert {path.name for path in (out / "spread").iterdir()} == {"a.png", "b.png"}
    with Image.open(out / "spread" / "a.png") as spread:
        assert spread.getextrema() != ((0, 0),) * 3
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width > 4 * 128
    # The mean of differing images is nearer to the truth than they are on average.
    psnr = [[float(row["psnr_db"]) for row in rows(tmp_path / name)] for name in "13"]
    assert np.mean(psnr[1]) > np.mean(psnr[0])
    assert solve(line.replace("{out}", "{tmp}/3") + " --samples 3").err == ""


def test_consistent_results_meet_the_measurement(solve, tmp_path):
    line = INVERT.replace("invert", "inpaint --observed 0.4") + " --consistent"
    assert solve(line).code == 0
    assert all(float(row["measurement_mse"]) < 1e-10 for row in rows(tmp_path / "out"))


ONE = " --images photos/a.png --out {out} --generator gen"
TWO_ROUNDS = " --steps 2,2" + ONE
BAD = {
    # Files.
    "invert --images nowhere.png --out {out}": "nowhere.png: does not exist; expected an image",
    "invert --images empty --out {out}": r"empty: no images; expected files in \.png",
    "invert --images 'x*.png' --out {out}": r"x\*\.png: matches no file",
    "invert --images text.png --out {out}": "text.png: not an image; expected a PNG",
    "invert --images truncated.png --out {out}": r"truncated.png: cannot be read \(.*; expected",
    "invert --images photos/a.png --out text.png": "text.png: is a file; expected a folder",
    "invert --images photos/a.png --out text.png/x": "cannot be made .*; expected a writable",
    "invert --images photos/a.png --out holiday": "holds other files; expected a new or empty",
    "superres --factor 2 --measured" + TWO_ROUNDS: "a.png: 8x8 pixels; expected 4x4",
    "inpaint --mask tall_mask.png" + ONE: "tall_mask.png: 8x16 pixels; expected 8x8",
    "inpaint --mask black_mask.png" + ONE: "black_mask.png: nothing is observed; expected",
    "inpaint --mask text.png" + ONE: "text.png: not an image; expected",
    "inpaint --mask no.png" + ONE: r"no.png: cannot be read \(No such file .*; expected",
    # Numbers of a task.
    "superres --factor 3" + ONE: "factor 3: expected a divisor of the image size 8x8",
    "superres --factor 0" + ONE: "factor 0: expected a divisor",
    "superres --factor 2.5" + ONE: "argument --factor: invalid int value: '2.5'",
    "inpaint --observed 0" + ONE: "observed fraction 0.0: expected more than 0 and at most 1",
    "inpaint --observed 1.5" + ONE: "observed fraction 1.5: expected",
    "inpaint --observed nan" + ONE: "observed fraction nan: expected",
    "inpaint --observed much" + ONE: "argument --observed: invalid float value: 'much'",
    "inpaint --box 8" + ONE: "box 8: expected 1 to 7 pixels",
    "denoise --sigma inf" + ONE: "sigma inf: expected 0 to 1000",
    "denoise --sigma -1" + ONE: "sigma -1.0: expected 0 to 1000",
    "compress --measurements 1.01" + ONE: r"measurements 1.01: expected .* in \(0, 1\]",
    "compress --measurements nan" + ONE: "measurements nan: expected",
    "gaussian --measurements 0" + ONE: r"measurements 0.0: expected .* in \(0, 1\]",
    "blur --sigma 0" + ONE: "sigma 0.0: expected more than 0 and less than 1.875 pixels",
    "blur --motion 16" + ONE: "motion 16: expected 1 to 15 pixels",
    "blur --motion 3 --angle nan" + ONE: "angle nan: expected degrees",
    "blur --kernel no.png" + ONE: r"kernel no.png: cannot be read \(No such file .*; expected",
    "blur --kernel text.png" + ONE: r"kernel text.png: cannot be read \(cannot identify",
    "blur --kernel black_mask.png" + ONE: "kernel black_mask.png: all black; expected",
    "blur --kernel tall_mask.png" + ONE: "kernel of 8x16: expected at most 15x15",
    "mri --acceleration 0.5" + ONE: "acceleration 0.5: expected a number >= 1",
    "mri --acceleration 4 --centre 0.5" + ONE: "centre 0.5: expected a fraction from 0 to",
    "mri --spokes 0" + ONE: "spokes 0: expected 1 to 32",
    "phase --patterns -1" + ONE: "patterns -1: expected 0 to 64",
    "phase --oversampling 9" + ONE: "oversampling 9: expected 1 to 8",
    "compose --chain 'blur sigma=9'" + ONE: "sigma 9.0: expected more than 0 and less than",
    "compose --chain 'blur'" + ONE: r"blur: expected sigma \| motion \[angle\] \| kernel",
    "compose --chain 'blur sigma=x'" + ONE: "sigma x: expected a number",
    "compose --chain 'compress measurements=1, invert'" + ONE: "no image; expected it to be the",
    "compose --chain 'inpaint mask=no.png'" + ONE: r"mask no.png: cannot be read \(No such file",
    "compose --chain blurr" + ONE: "chain 'blurr': not a task of a chain; expected one of invert",
    "custom --function sin" + ONE: "function sin: expected MODULE:FUNCTION",
    "custom --function nowhere:f" + ONE: r"nowhere:f: cannot be imported \(No module named",
    "custom --function math:nothing" + ONE: r"math:nothing: cannot be imported \(module 'math'",
    "custom --function math:pi" + ONE: "function math:pi: is of type float; expected a function",
    "custom --function math:sin" + ONE: r"function: fails on images \(8, 8, 3\) \(TypeError: Only",
    "custom --function numpy:sin" + ONE: r"function: fails on .* \(TracerArrayConversionError: The",
    "custom --function jax.numpy:isnan" + ONE: "function: returns bool .*; expected float32",
    "custom --function jax.numpy:sum" + ONE: "expected the batch axis in front",
    # Options that do not go together.
    "inpaint" + ONE: "one of the arguments --observed --box --mask is required",
    "superres" + ONE: "the following arguments are required: --factor",
    "inpaint --observed 0.5 --box 3" + ONE: "argument --box: not allowed with argument --observed",
    "inpaint --observed 0.5 --measured" + ONE: "--observed with --measured: expected --mask FILE",
    "compose --chain 'inpaint observed=1' --measured" + ONE: "--observed with --measured: expected",
    "compress --measurements 1 --measured" + ONE: "compress --measured: its measurements are not",
    "mri --spokes 3 --measured" + ONE: "mri --measured: its measurements are not images",
    "blur" + ONE: "one of the arguments --sigma --motion --kernel is required",
    "blur --sigma 1 --angle 30" + ONE: r"blur sigma angle: expected sigma \| motion \[angle\]",
    "mri --spokes 3 --acceleration 2" + ONE: "--acceleration: not allowed with argument --spokes",
    # Numbers of a method.
    "invert --steps 0" + ONE: "argument --steps: '0': expected a whole number >= 1",
    "invert --steps 2,,2" + ONE: "argument --steps: '2,,2': expected a whole number >= 1",
    "invert --steps 1.5" + ONE: "argument --steps: '1.5': expected",
    "invert --steps 1,1,1" + ONE: "steps 1,1,1: expected at most 2 numbers",
    "invert --steps 1,1 --method csgm" + ONE: "steps 1,1: expected one number, since",
    "invert --method magic" + ONE: r"argument --method: invalid choice: 'magic' \(choose from",
    "invert --radii 1,2" + TWO_ROUNDS: "radii 1,2: expected one number, or one for each of 1",
    "invert --radii nan" + ONE: "argument --radii: 'nan': expected numbers >= 0, or inf",
    "invert --radii x" + ONE: "argument --radii: 'x': expected numbers >= 0, or inf",
    "invert --lr inf" + ONE: "argument --lr: 'inf': expected positive numbers",
    "invert --lr 0" + ONE: "argument --lr: '0': expected positive numbers",
    "invert --lr nan" + ONE: "argument --lr: 'nan': expected positive numbers",
    "invert --lr fast" + ONE: "argument --lr: 'fast': expected positive numbers",
    "invert --lr 1,1,1" + TWO_ROUNDS: "lr 1,1,1: expected one number, or one a round: 2",
    "invert --layers 0,4" + TWO_ROUNDS: "layers 0,4: expected numbers from 0 to 3, 2 of them",
    "invert --layers 0,x" + TWO_ROUNDS: "argument --layers: '0,x': expected a whole number >= 0",
    "invert --method csgm --layers 0" + ONE: "layers 0: csgm has none to choose",
    "invert --weights mse" + ONE: "argument --weights: 'mse': expected LOSS=X, with LOSS one of",
    "invert --weights mess=1" + ONE: "argument --weights: 'mess=1': expected LOSS=X",
    "invert --weights mse=-1" + ONE: "argument --weights: '-1': expected numbers >= 0",
    "invert --weights mse=1,2,3" + TWO_ROUNDS: "weight of mse 1,2,3: expected one number, or",
    "invert --weights reference=1" + TWO_ROUNDS: "loss reference: no reference image; expected",
    "invert --weights reference=1 --reference no.png" + TWO_ROUNDS: "no.png: cannot be read",
    "invert --weights reference=1 --reference mixed/.." + TWO_ROUNDS: "no image named a; expected",
    "invert --tolerance 1,2" + ONE: "argument --tolerance: '1,2': expected one number > 0",
    "invert --frame-steps 5" + ONE: "--frame-steps, --frame-radii: expected with --video",
    "invert --video --frame-radii 1,2" + ONE: "--frame-radii: '1,2': expected three numbers",
    "invert --video --batch-size 2" + ONE: "--batch-size: expected without --video",
    "denoise --sigma 9 --consistent" + TWO_ROUNDS: "--consistent: denoise is not linear, or adds",
    "invert --samples 2 --video" + TWO_ROUNDS: "--samples: expected without --video",
    "invert --samples 0" + ONE: "argument --samples: '0': expected a whole number >= 1",
    "invert --start photos" + TWO_ROUNDS: "photos/variables/a: does not exist; expected variables",
    "invert --batch-size 0" + ONE: "argument --batch-size: '0': expected a whole number >= 1",
    "invert --seed -1" + ONE: "argument --seed: '-1': expected a whole number from 0 to 4294967295",
    "invert --seed one" + ONE: "argument --seed: 'one': expected a whole number",
    # The rest.
    "invert --images photos --out {out} --generator no": "no: not a generator; expected a folder",
    "invert --images photos --out {out} --generator bad_gen": "bad_gen: not a generator; expected",
    "invert --images photos --out {out} --generator text.png": "text.png: not a generator",
    "restore" + ONE: r"argument TASK: invalid choice: 'restore' \(choose from 'invert'",
    "invert --images photos": "the following arguments are required: --out",
    "invert --out {out}": "the following arguments are required: --images",
    "invert --speed 3" + ONE: "unrecognized arguments: --speed 3",
    "--out text.png": "cannot be made .*; expected a writable folder",
}


@pytest.mark.parametrize(("line", "expected"), BAD.items())
def test_bad_input_is_one_line_and_exit_code_2(line, expected, solve, tmp_path):
    done = solve(line)
    assert done.code == 2
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert re.search(expected, done.err)


def test_a_failed_command_leaves_the_folder_to_the_next(solve):
    assert solve("invert --images text.png --out {out} --generator gen").code == 2
    assert solve(INVERT).code == 0


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_help_of_a_task_names_its_options(task, solve):
    done = solve(f"{task.name} --help")
    assert (done.code, done.err) == (0, "")
    for option in task.options:
        assert f"--{option.name}" in done.out
    for name in ("images", "out", "measured", "generator", "method", "steps", "lr", "radii"):
        assert f"--{name}" in done.out
    assert "--batch-size" in done.out
    assert "--seed" in done.out
    assert "SUPPRESS" not in done.out


def test_help_names_the_tasks_and_what_the_demo_shows(solve):
    done = solve("--help")
    assert done.code == 0
    for task in TASKS.values():
        assert task.name in done.out
        assert task.help in done.out
    assert "not for diagnosis" in " ".join(done.out.split())


def test_the_demo_compares_the_methods_on_its_tasks(solve, tmp_path, inputs, monkeypatch):
    tasks = {name: TASKS[name] for name in ("invert", "denoise")}
    monkeypatch.setattr(demo_module, "TASKS", tasks)
    monkeypatch.setattr(demo_module, "SAMPLES", inputs / "photos")
    monkeypatch.setattr(demo_module, "load", lambda _: load(inputs / "gen"))
    monkeypatch.setattr(demo_module, "_STEPS", {"csgm": (2,), "ilo": (2, 2)})
    done = solve("--out {out}")
    out = tmp_path / "out"
    assert done.code == 0
    assert "CSGM" in done.out
    assert "ILO" in done.out
    for task in tasks.values():
        assert task.name in done.out
        for method in ("csgm", "ilo"):
            assert f"{summary(out / f'{task.name}-{method}')['psnr_db']['mean']:.2f}" in done.out
    assert "not for diagnosis" in done.out
    assert done.out.endswith(f"contact sheet: {out / 'contact_sheet.png'}\n")
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width > 4 * 128
        assert sheet.height > 2 * len(tasks) * 128
    again = solve("--out {out}")
    assert (again.code, again.out, again.err) == (0, done.out, "")


def command(*args: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "ilo_jax.solve", *map(str, args)], capture_output=True, text=True
    )


@pytest.mark.slow
def test_the_command_as_a_process(tmp_path):
    """With the embedded generator."""
    out = tmp_path / "out"
    image = SAMPLES / "radiograph_00.png"
    line = ["invert", "--images", image, "--out", out, "--method", "csgm", "--steps", 1]
    done = command(*line)
    assert done.returncode == 0
    assert done.stdout.startswith("1 image, PSNR ")
    assert list(pictures(out)) == ["radiograph_00.png"]
    refused = command(*line[:-1], 2)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"error: {out}: holds a run with steps 1; expected steps 2")
    assert refused.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_whole_demo(tmp_path):
    done = command("--out", tmp_path)
    assert done.returncode == 0
    gain = {}
    for task in (name for name, task in TASKS.items() if task.demo is not None):
        csgm, ilo = (
            summary(tmp_path / f"{task}-{method}")["psnr_db"]["mean"] for method in ("csgm", "ilo")
        )
        assert f"{csgm:.2f}" in done.stdout
        assert f"{ilo:.2f}" in done.stdout
        gain[task] = 10 ** ((ilo - csgm) / 10)
    assert gain["invert"] > 4
    assert min(gain["compress"], gain["denoise"]) > 2
    assert min(gain["superres"], gain["inpaint"]) > 1


def test_images_of_a_class(solve, tmp_path):
    line = "classify --labels 3,7 --radii 0,20 --steps 4,8 --samples 2 --generator gen --out {out}"
    done = solve(line)
    out = tmp_path / "out"
    assert done.code == 0
    assert done.out.startswith("8 images, mean probability 0.")
    with open(out / "classes.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(r["label"], r["sample"], r["radius"]) for r in found] == [
        (label, sample, radius) for label in "37" for sample in "01" for radius in ("0", "20")
    ]
    assert {f"{r['name']}.png" for r in found} == set(pictures(out))
    # A larger ball holds images that show the class better, and reaches farther from the range.
    for narrow, wide in zip(found[::2], found[1::2], strict=True):
        assert float(wide["probability"]) > float(narrow["probability"])
        assert float(wide["deviation"]) > float(narrow["deviation"])
    again = solve(line)
    assert (again.code, "is there already; expected a new or empty folder" in again.err) == (
        2,
        True,
    )
    unknown = solve("classify --labels 10 --generator gen --out {tmp}/other")
    assert (unknown.code, unknown.err) == (2, "error: class 10: expected 0 to 9\n")

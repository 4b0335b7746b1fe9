"""Results are of the inputs as they are now: what has changed is computed again, and said."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from outputs import interrupt_second_batch, pictures, rows, summary, table
from PIL import Image

from ilo_jax import ops
from ilo_jax.app import reconstruct
from ilo_jax.app.samples import Sample, picture_of
from ilo_jax.errors import InputError
from ilo_jax.files.digest import digest_of

looks_at_files = True

TASK = "inpaint --mask {tmp}/mask.png --images {tmp}/in --out {out} --generator {tmp}/gen --steps 2"
ALL_THERE = "2 of 2 were there already\n"


@pytest.fixture
def own(inputs, tmp_path):
    """Inputs that a test may change."""
    shutil.copytree(inputs / "photos", tmp_path / "in")
    shutil.copytree(inputs / "gen", tmp_path / "gen")
    shutil.copy(inputs / "mask.png", tmp_path / "mask.png")
    return tmp_path


def invert(path):
    with Image.open(path) as file:
        picture = Image.fromarray(255 - np.asarray(file))
    picture.save(path)


def said(names):
    count = len(names.split(", "))
    return f"{count} were made of other inputs, and are computed again: {names}\n"


def test_a_changed_image_is_computed_again_and_said(solve, own):
    assert solve(TASK).code == 0
    before = rows(own / "out")
    invert(own / "in" / "a.png")
    done = solve(TASK)
    assert done.code == 0
    assert done.err.startswith("1 of 2 were there already\n" + said("a"))
    after = rows(own / "out")
    assert after[0]["input"] != before[0]["input"]
    assert after[0]["psnr_db"] != before[0]["psnr_db"]
    assert after[1] == before[1]
    fresh = solve(TASK.replace("{out}", "{tmp}/fresh"))
    assert fresh.code == 0
    assert pictures(own / "out") == pictures(own / "fresh")
    assert solve(TASK).err == ALL_THERE


@pytest.mark.parametrize("name", ["mask.png", "gen"])
def test_what_the_settings_name_goes_into_every_image(solve, own, name):
    assert solve(TASK).code == 0
    stored = json.loads((own / "out" / "run.json").read_text())["inputs"]
    assert stored[str(own / name)] == digest_of(own / name)
    if name == "gen":
        about = own / "gen" / "generator.json"
        about.write_text(about.read_text().replace("{", '{"note": 1, ', 1))
    else:
        invert(own / name)
    done = solve(TASK)
    assert done.err.startswith(said("a, b"))
    assert solve(TASK).err == ALL_THERE
    now = json.loads((own / "out" / "run.json").read_text())["inputs"]
    assert {key for key in now if now[key] != stored[key]} == {str(own / name)}


@pytest.mark.slow
def test_a_function_is_its_file(solve, own, monkeypatch):
    monkeypatch.syspath_prepend(own)
    module = own / "measures_for_test_inputs.py"
    module.write_text("def half(x):\n    return x / 2\n")
    line = TASK.replace("inpaint --mask {tmp}/mask.png", f"custom --function {module.stem}:half")
    assert solve(line).code == 0
    assert solve(line).err == ALL_THERE
    module.write_text("def half(x):\n    return x / 2.0\n")
    assert solve(line).err.startswith(said("a, b"))


@pytest.mark.slow
def test_a_reference_goes_into_its_image(solve, own, inputs):
    shutil.copytree(inputs / "photos", own / "references")
    line = TASK + " --weights mse=1 --weights reference=0.1 --reference {tmp}/references"
    assert solve(line).code == 0
    invert(own / "references" / "b.png")
    assert solve(line).err.startswith("1 of 2 were there already\n" + said("b"))


@pytest.mark.slow
def test_frames_behind_a_changed_one_are_made_again(solve, own, inputs):
    shutil.copy(inputs / "many" / "c.png", own / "in" / "c.png")
    line = TASK + " --video --frame-steps 1"
    assert solve(line).code == 0
    invert(own / "in" / "b.png")
    assert solve(line).err.startswith("1 of 3 were there already\n" + said("b, c"))


def test_a_file_that_is_no_image_any_more_is_not_shown_with_the_old_result(solve, own):
    assert solve(TASK).code == 0
    (own / "in" / "a.png").write_text("hello")
    done = solve(TASK)
    assert done.code == 1
    assert [row["status"] == "ok" for row in rows(own / "out")] == [False, True]
    assert "not an image" in rows(own / "out")[0]["status"]
    assert list(pictures(own / "out")) == ["b.png"]


def test_what_changes_while_it_is_computed_is_noticed_by_the_next_run(solve, own, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_second_batch(patch)
        assert solve(TASK + " --batch-size 1").code in (0, 130)
    invert(own / "in" / "a.png")
    assert said("a").split(",")[0] in solve(TASK + " --batch-size 1").err


@pytest.mark.slow
def test_sweeps_compare_too(solve, own):
    line = "sweep " + TASK + " --grid lr=0.1,0.2"
    assert solve(line).code == 0
    before = table(own / "out" / "sweep.csv")
    invert(own / "in" / "a.png")
    assert solve(line).err.startswith("1 of 2 were there already\n" + said("a"))
    after = table(own / "out" / "sweep.csv")
    same = {row["image"] for row in after if row in before}
    assert len(after) == len(before)
    assert same == {"b"}


@pytest.mark.slow
def test_classes_of_another_generator_are_made_again(solve, own):
    line = "classify --labels 3 --radii 0 --steps 1,1 --generator {tmp}/gen --out {out}"
    assert solve(line).code == 0
    about = own / "gen" / "generator.json"
    about.write_text(about.read_text() + "\n")
    assert "1 were made of other inputs, and are computed again\n" in solve(line).err
    assert solve(line).err == "1 of 1 were there already\n"


def test_measurements_that_are_not_finite_are_told(solve, own):
    module = own / "inverse_for_test_inputs.py"
    module.write_text("def inverse(x):\n    return 1 / (x + 1)\n")
    black = np.zeros((8, 8, 3), np.uint8)
    Image.fromarray(black).save(own / "in" / "a.png")
    Image.fromarray(black + 90).save(own / "in" / "b.png")
    line = TASK.replace("inpaint --mask {tmp}/mask.png", f"custom --function {module.stem}:inverse")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(own)
        done = solve(line)
    assert done.code == 1
    assert "a.png: its measurement is not finite; expected finite numbers\n" in done.err
    assert [row["status"] == "ok" for row in rows(own / "out")] == [False, True]


def test_inputs_that_go_while_they_are_computed_cost_a_picture_alone(solve, own, monkeypatch):
    solved = reconstruct.solve_batch

    def and_gone(*args):
        (own / "in" / "a.png").unlink(missing_ok=True)
        return solved(*args)

    monkeypatch.setattr(reconstruct, "solve_batch", and_gone)
    done = solve(TASK)
    assert done.code == 0
    assert f"not on the contact sheet: {own}/in/a.png: cannot be read (No such file" in done.err
    assert summary(own / "out")["images"] == 2


def test_digests_are_of_names_and_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_bytes(b"1")
    assert digest_of(tmp_path / "a") == digest_of(tmp_path / "b")
    (tmp_path / "b" / "x").rename(tmp_path / "b" / "y")
    assert digest_of(tmp_path / "a") != digest_of(tmp_path / "b")
    assert digest_of(tmp_path / "a" / "x") == "6b86b273ff34fce1"  # as sha256sum says
    with pytest.raises(InputError, match=r"nothing: cannot be read \(No such file"):
        digest_of(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("grey", "colour", "channels"), [(True, 0, 1), (True, 0.01, 1), (True, 0.5, 3), (False, 0, 3)]
)
def test_noise_on_a_grey_image_is_shown_in_grey(grey, colour, channels):
    truth = np.zeros((4, 4, 3), np.float32)
    truth[..., 0] += colour
    noisy = truth + np.random.default_rng(0).normal(size=truth.shape).astype(np.float32)
    picture = picture_of(Sample(Path("a"), truth, ops.denoising((4, 4, 3), 25.0), noisy), grey)
    assert picture.shape == (4, 4, channels)
    mean = noisy.mean(-1, keepdims=True) if channels == 1 else noisy
    np.testing.assert_allclose(picture, np.clip(mean, -1, 1), atol=1e-6)

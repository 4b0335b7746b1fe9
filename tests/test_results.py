import csv
import json
import math
import os
import pathlib
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import normalized_root_mse, structural_similarity

from ilo_jax.app import table as table_module
from ilo_jax.app.metrics import COLUMNS, NOT_FINITE, Row, evaluate, loses_colour, row_of, texts_of
from ilo_jax.app.results import Results
from ilo_jax.app.table import Table
from ilo_jax.errors import InputError
from ilo_jax.files.contact_sheet import Tile
from ilo_jax.files.images import from_uint8, to_uint8

looks_at_files = True

RUN = {"task": "inpaint", "method": "ilo", "steps": (50, 50), "seed": 0, "observed": 0.1}
PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
IMAGE = from_uint8(PIXELS)


def row(name: str, psnr_db: float | None = 20.0, ssim: float | None = 0.5) -> Row:
    return Row(name, psnr_db, ssim, measurement_mse=0.001, seconds=1.5, input="ab12")


def saved_names(out) -> list[str]:
    with open(out / "metrics.csv", newline="") as file:
        return [line["name"] for line in csv.DictReader(file)]


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_and_ssim_are_those_of_the_saved_images(channels):
    truth = PIXELS[..., :channels] // 2
    other = truth + np.uint8(10)
    psnr_db, ssim, mae, nrmse = evaluate(from_uint8(truth), from_uint8(other) + 1e-3)
    assert mae == pytest.approx(10 / 255)
    assert nrmse == pytest.approx(normalized_root_mse(truth, other))
    assert psnr_db == pytest.approx(20 * math.log10(255 / 10))
    by_channel = [
        structural_similarity(truth[..., c], other[..., c], data_range=255) for c in range(channels)
    ]
    assert ssim == pytest.approx(np.mean(by_channel))


def test_equal_images_have_infinite_psnr():
    assert evaluate(IMAGE, IMAGE) == (math.inf, pytest.approx(1), 0, 0)


def test_ssim_is_undefined_below_its_window():
    assert evaluate(IMAGE[:7, :7], IMAGE[:7, :7])[1] is not None
    assert evaluate(IMAGE[:6, :9], -IMAGE[:6, :9])[1] is None


def test_a_run_is_described_before_anything_else(tmp_path):
    out = tmp_path / "new" / "out"
    assert Results.open(out, RUN).finished() == {}
    assert json.loads((out / "run.json").read_text()) == {**RUN, "steps": [50, 50]}
    assert (out / "images").is_dir()


def test_rows_and_images_are_saved_in_natural_order(tmp_path):
    results = Results.open(tmp_path, RUN)
    results.add([row("x10"), row("x9")], [IMAGE, -IMAGE])
    results.add([row("x1", None, None)], [IMAGE[..., :1]])
    assert saved_names(tmp_path) == ["x1", "x9", "x10"]
    assert list(results.finished()) == ["x1", "x9", "x10"]
    assert (tmp_path / "metrics.csv").read_text().splitlines()[:2] == [
        "name,psnr_db,ssim,mae,nrmse,lpips,measurement_mse,seconds,input,status",
        "x1,,,,,,0.001,1.5,ab12,ok",
    ]
    np.testing.assert_array_equal(to_uint8(results.image("x10")), PIXELS)
    assert results.image("x1").shape == (16, 16, 1)
    with Image.open(tmp_path / "images" / "x9.png") as file:
        np.testing.assert_array_equal(np.asarray(file), 255 - PIXELS)


def test_the_same_run_goes_on_where_it_was(tmp_path):
    first = Results.open(tmp_path, RUN)
    first.add([row("a"), row("b", math.inf), row("c", None, None)], [IMAGE] * 3)
    (tmp_path / ".tmp-123").write_text("left by a killed run")
    assert Results.open(tmp_path, RUN).finished() == first.finished()


@pytest.mark.parametrize("damage", ["missing", "truncated", "text"])
def test_an_image_that_is_not_whole_is_not_finished(damage, tmp_path):
    Results.open(tmp_path, RUN).add([row("a"), row("b")], [IMAGE, IMAGE])
    path = tmp_path / "images" / "a.png"
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[:200] if damage == "truncated" else b"text")
    again = Results.open(tmp_path, RUN)
    assert list(again.finished()) == ["b"]
    again.add([row("a", 30.0)], [IMAGE])
    assert Results.open(tmp_path, RUN).finished()["a"].psnr_db == 30.0
    assert saved_names(tmp_path) == ["a", "b"]


def test_an_image_that_failed_is_in_the_table_only(tmp_path):
    results = Results.open(tmp_path, RUN)
    failed = Row("b", None, None, None, 1.5, "ab12", NOT_FINITE)
    results.add([row("a"), failed], [IMAGE, None])
    again = Results.open(tmp_path, RUN)
    for found in (results, again):
        assert (list(found.finished()), list(found.failed())) == (["a"], ["b"])
    assert os.listdir(tmp_path / "images") == ["a.png"]
    assert saved_names(tmp_path) == ["a", "b"]
    summary = again.finish(["truth"], [[Tile(IMAGE)]])
    assert (summary["images"], summary["psnr_db"]["mean"]) == (1, 20)
    again.add([row("b")], [IMAGE])
    assert list(Results.open(tmp_path, RUN).finished()) == ["a", "b"]


def test_an_interrupt_loses_the_current_batch_only(tmp_path, monkeypatch):
    results = Results.open(tmp_path, RUN)
    results.add([row("a")], [IMAGE])

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(table_module, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            results.add([row("b")], [IMAGE])
    assert list(results.finished()) == ["a"]
    assert list(Results.open(tmp_path, RUN).finished()) == ["a"]


numbers = st.floats(allow_nan=False, width=32)


# A name that is not UTF-8 has its odd bytes as half surrogates, and no other ones.
odd_bytes = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)
characters = st.characters(codec="utf-8", exclude_characters="\r\n") | odd_bytes


@given(
    name=st.text(characters, min_size=1, max_size=20),
    psnr_db=st.none() | numbers,
    ssim=st.none() | numbers,
    mse=st.none() | numbers,
    status=st.sampled_from(["ok", NOT_FINITE]),
)
def test_rows_survive_the_csv_file(name, psnr_db, ssim, mse, status):
    written = Row(name, psnr_db, ssim, mse, 1.5, "ab12", status)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "table.csv"
        Table(path, COLUMNS, []).add([texts_of(written)])
        (read,) = map(row_of, Table.open(path, COLUMNS).rows)
    assert (read.name, read.input, read.status) == (name, "ab12", status)
    for before, after in ((psnr_db, read.psnr_db), (ssim, read.ssim), (mse, read.measurement_mse)):
        assert after == (None if before is None else pytest.approx(before, rel=1e-5, abs=0))


def test_a_row_that_a_killed_run_was_writing_does_not_count(tmp_path):
    path = tmp_path / "table.csv"
    table = Table(path, ["a", "b"], [])
    table.add([{"a": "1", "b": "2"}])
    before = path.read_bytes()
    table.add([{"a": "3", "b": "4"}])
    assert path.read_bytes() == before + b"3,4\n"
    for torn in range(len(before), len(before) + 4):
        path.write_bytes((before + b"3,4\n")[:torn])
        again = Table.open(path, ["a", "b"])
        assert again.rows == [{"a": "1", "b": "2"}]
        again.add([{"a": "5", "b": "6"}])
        assert path.read_bytes() == before + b"5,6\n"


def test_rows_that_cannot_be_written_are_not_there(tmp_path):
    results = Results.open(tmp_path, RUN)
    results.add([row("b")], [IMAGE])
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "metrics.csv").mkdir()
    for name in ("a", "c"):  # in front, and behind
        with pytest.raises(InputError, match=r"metrics\.csv: cannot be written"):
            results.add([row(name)], [IMAGE])
        assert list(results.finished()) == ["b"]


def test_names_need_not_be_utf8(tmp_path):
    name = os.fsdecode(b'caf\xe9, "1"')
    Results.open(tmp_path, RUN).add([row(name)], [IMAGE])
    results = Results.open(tmp_path, RUN)
    assert list(results.finished()) == [name]
    results.finish(["truth"], [[Tile(IMAGE, name)]])


def test_another_run_in_the_folder_is_refused_once_it_has_an_image(tmp_path):
    Results.open(tmp_path, {**RUN, "seed": 1})
    Results.open(tmp_path, RUN).add([row("a")], [IMAGE])
    assert json.loads((tmp_path / "run.json").read_text())["seed"] == 0
    other = {**RUN, "steps": (100, 100), "mask": "m.png"}
    del other["observed"]
    with pytest.raises(InputError) as caught:
        Results.open(tmp_path, other)
    assert str(caught.value) == (
        f"{tmp_path}: holds a run with steps 50,50, no mask, observed 0.1; "
        "expected steps 100,100, mask m.png, no observed: choose another --out"
    )


def make_file(out):
    out.write_text("")


def make_other_folder(out):
    out.mkdir()
    (out / "holiday.jpg").touch()


def make_damaged_description(out):
    out.mkdir()
    (out / "run.json").write_text("{")


def make_odd_description(out):
    out.mkdir()
    (out / "run.json").write_text("[]")


def make_damaged_metrics(out):
    Results.open(out, RUN)
    (out / "metrics.csv").write_text("name,psnr_db\na,1\n")


def make_odd_metrics(out):
    Results.open(out, RUN).add([row("a")], [IMAGE])
    (out / "metrics.csv").write_text((out / "metrics.csv").read_text().replace("1.5", "fast"))


def make_parent_file(out):
    out.parent.rmdir()
    out.parent.write_text("")


def make_unwritable(out):
    out.mkdir(mode=0o555)


BAD_FOLDERS = {
    "file": (make_file, "is a file; expected a folder"),
    "other folder": (make_other_folder, "holds other files; expected a new or empty folder"),
    "damaged description": (make_damaged_description, "run.json: damaged"),
    "odd description": (make_odd_description, "run.json: not a description of a run"),
    "damaged metrics": (make_damaged_metrics, "metrics.csv: damaged; expected columns name, psnr"),
    "odd metrics": (make_odd_metrics, "metrics.csv: damaged"),
    "parent is a file": (make_parent_file, "cannot be made .*; expected a writable folder"),
    "unwritable": (make_unwritable, "not writable; expected"),
}


@pytest.mark.parametrize("kind", BAD_FOLDERS)
def test_a_bad_output_folder_is_refused_in_one_line(kind, tmp_path):
    if kind == "unwritable" and os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    make, expected = BAD_FOLDERS[kind]
    out = tmp_path / "parent" / "out"
    out.parent.mkdir()
    make(out)
    with pytest.raises(InputError, match=expected) as caught:
        Results.open(out, RUN)
    assert str(out) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_summary_has_settings_and_statistics(tmp_path):
    results = Results.open(tmp_path, RUN)
    results.add([row("a", 20.0, None), row("b", 23.0, None)], [IMAGE, IMAGE])
    summary = results.finish(["truth"], [[Tile(IMAGE)]], footer="not for diagnosis")
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert summary == {
        "task": "inpaint",
        "method": "ilo",
        "steps": [50, 50],
        "seed": 0,
        "observed": 0.1,
        "images": 2,
        "psnr_db": {"mean": 21.5, "std": 1.5},
        "ssim": {"mean": None, "std": None},
        "mae": {"mean": None, "std": None},
        "nrmse": {"mean": None, "std": None},
        "lpips": {"mean": None, "std": None},
        "measurement_mse": {"mean": 0.001, "std": 0.0},
        "seconds": {"mean": 1.5, "std": 0.0},
    }
    with Image.open(tmp_path / "contact_sheet.png") as sheet:
        assert sheet.mode == "RGB"
    assert sorted(os.listdir(tmp_path)) == [
        "contact_sheet.png",
        "images",
        "metrics.csv",
        "run.json",
        "summary.json",
    ]


def test_a_colour_image_with_a_grey_reconstruction_is_noticed():
    colour = np.linspace(-1, 1, 4 * 4 * 3, dtype=np.float32).reshape(4, 4, 3)[::-1] * (1, 0.2, -1)
    grey = np.repeat(colour[..., :1], 3, -1)
    noisy = grey + np.array([0, 0.01, 0.02])
    found = [loses_colour(*pair) for pair in ((colour, noisy), (colour, colour), (grey, noisy))]
    assert found == [True, False, False]


def test_an_infinite_metric_is_a_text_in_the_summary(tmp_path):
    results = Results.open(tmp_path, RUN)
    results.add([row("a", math.inf), row("b", 20.0)], [IMAGE, IMAGE])
    assert results.finish(["x"], [[Tile(IMAGE)]])["psnr_db"] == {"mean": "inf", "std": None}

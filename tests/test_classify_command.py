"""`python -m ilo_jax.solve classify`: images of a class."""

import jax
import numpy as np
import pytest
from outputs import pictures, table
from PIL import Image

from ilo_jax.app import classify

looks_at_files = True

LINE = "classify --labels 3,7 --radii 0,20 --steps 4,8 --samples 2 --generator gen --out {tmp}/"
NAMES = [f"class{c}-{s}-radius{r}" for c in (3, 7) for s in (0, 1) for r in (0, 20)]


@pytest.mark.slow
def test_images_of_a_class(solve, tmp_path):
    done = solve(LINE + "1")
    out = tmp_path / "1"
    assert done.code == 0
    assert done.out.startswith("8 images, mean probability 0.")
    found = table(out / "classes.csv")
    assert [r["name"] for r in found] == NAMES
    assert [(r["label"], r["sample"], r["radius"]) for r in found] == [
        (label, sample, radius) for label in "37" for sample in "01" for radius in ("0", "20")
    ]
    assert {f"{r['name']}.png" for r in found} == set(pictures(out))
    # A larger ball holds images that show the class better, and reaches farther from the range.
    for narrow, wide in zip(found[::2], found[1::2], strict=True):
        assert float(wide["probability"]) > float(narrow["probability"])
        assert float(wide["deviation"]) > float(narrow["deviation"])
    again = solve(LINE + "1")
    assert (again.code, again.out) == (0, done.out)
    assert again.err == "8 of 8 were there already\n"
    other = solve(LINE.replace("4,8", "4,9") + "1")
    assert other.code == 2
    assert "holds a run with steps 4,8; expected steps 4,9: choose another --out" in other.err
    unknown = solve("classify --labels 10 --generator gen --out {tmp}/other")
    assert (unknown.code, unknown.err) == (2, "error: class 10: expected 0 to 9\n")


@pytest.fixture
def solved(monkeypatch):
    """Stands for what solves a batch: the test says what fits, is interrupted, or fails."""

    class Solved:
        def __init__(self):
            self.most, self.interrupt, self.failing = 99, False, ""
            self.batches: list[list[str]] = []

        def __call__(self, classes, batch, size, reporter):
            self.batches.append([one.name for one in batch])
            if self.interrupt and len(self.batches) == 2:
                raise KeyboardInterrupt
            if size > self.most:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9.00GiB")
            one = np.ones(len(batch))
            finite = np.array([item.name != self.failing for item in batch])
            return classify.Found(np.zeros((len(batch), 8, 8, 3)), one / 2, one / 4, finite)

    fake = Solved()
    monkeypatch.setattr(classify.Classes, "solve", lambda *args: fake(*args))
    monkeypatch.setattr(classify, "usual_width", lambda *_: 2)
    return fake


def test_it_goes_on_where_it_was_interrupted(solve, tmp_path, solved):
    solved.interrupt = True
    assert solve(LINE + "1").code == 130
    assert [row["name"] for row in table(tmp_path / "1" / "classes.csv")] == NAMES[:4]
    assert solve(LINE + "1").code == 0
    assert solved.batches == [NAMES[:4], NAMES[4:], NAMES[4:]]
    assert [row["name"] for row in table(tmp_path / "1" / "classes.csv")] == NAMES
    (tmp_path / "1" / "images" / f"{NAMES[2]}.png").unlink()
    assert solve(LINE + "1").code == 0
    assert solved.batches[3:] == [[NAMES[2]]]
    assert set(pictures(tmp_path / "1")) == {f"{name}.png" for name in NAMES}


def test_it_halves_what_does_not_fit(solve, tmp_path, solved):
    solved.most = 2
    done = solve(LINE + "1")
    assert done.code == 0
    assert "out of memory with 2 at a time on a device; going on with 1" in done.err
    assert solved.batches == [NAMES[:4], NAMES[:2], NAMES[2:4], NAMES[4:6], NAMES[6:]]


def test_an_image_that_fails_is_said_and_tried_again(solve, tmp_path, solved):
    solved.failing = NAMES[1]
    for batches in (2, 3):
        done = solve(LINE + "1")
        assert (done.code, len(solved.batches)) == (1, batches)
        assert done.out.startswith("7 images, mean probability 0.50 at radius 0, 0.50 at")
        assert done.err.endswith("1 of 8 images failed\n")
        assert len(pictures(tmp_path / "1")) == 7
        statuses = {r["name"]: r["status"] for r in table(tmp_path / "1" / "classes.csv")}
        assert statuses == dict.fromkeys(NAMES, "ok") | {NAMES[1]: "not finite"}
    with Image.open(tmp_path / "1" / "contact_sheet.png") as sheet:
        assert sheet.height > 2 * 128

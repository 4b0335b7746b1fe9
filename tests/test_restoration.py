"""The benchmark of restoration: what is measured is what the solver is told, and its table."""

import csv

import jax
import numpy as np
import pytest

from benchmarks import restoration
from benchmarks.restoration import METHODS, ROWS, degrade, interval, markdown
from benchmarks.restoration_figure import draw, in_order
from ilo_jax import ops

numerics_elsewhere = True

Y, X = np.mgrid[:32, :32] / 32
TRUTH = np.stack([np.stack([np.sin(3 * X + c) * np.cos(4 * Y)] * 3, -1) for c in (0, 1)])
TRUTH = (0.8 * TRUTH).astype(np.float32)


def test_there_are_thirty_one_rows():
    assert len(ROWS) == 31
    assert len({*ROWS} - {"UN", "UA", "UP", "NA", "NP", "AP"}) == 25
    assert list(ROWS)[-1] == "UNAP"
    assert ROWS["UNAP"] == dict.fromkeys("UNAP", "M")


@jax.jit
def errors(operator, x, y):
    def one(operator, x, y):
        predicted = operator(x)
        return operator.error(predicted, y), operator.noise_level(predicted)

    return ops.map_images(one, operator, x, y)


SLOW = ("down-sampling S", "noise M", "JPEG XS", "NP")


@pytest.mark.parametrize(
    "row", ["strokes L", *(pytest.param(row, marks=pytest.mark.slow) for row in SLOW)]
)
def test_the_truth_explains_what_was_measured(row):
    measurement, operator = degrade(ROWS[row], TRUTH, ["a", "b"])
    assert operator.check_measurement(measurement) == 2
    error, level = jax.device_get(errors(operator, TRUTH, measurement))
    limit = 1e-3 if row[0] in "dsJ" else 1.5 * level
    assert (error < limit).all()
    assert (error < errors(operator, 0.6 * TRUTH, measurement)[0]).all()
    again = degrade(ROWS[row], TRUTH[1:], ["b"])
    np.testing.assert_array_equal(again.measurement[0], measurement[1])


@pytest.mark.slow
def test_all_stages_one_after_the_other():
    measurement, operator = degrade(ROWS["UNAP"], TRUTH, ["a", "b"])
    assert measurement.shape == (2, 4, 4, 3)
    assert isinstance(operator, ops.Hidden)
    assert not operator.noise_is_known
    assert np.isfinite(errors(operator, TRUTH, measurement)).all()


def test_it_goes_on_where_it_stopped_and_marks_the_best(tmp_path, monkeypatch, capsys):
    data, out = tmp_path / "data.npz", tmp_path / "rows.csv"
    np.savez(data, test=np.zeros((2, 64, 64), np.uint8))
    calls = []

    def solver(method, *more):
        def solve(prior, degraded, keys, length):
            calls.append(length)
            return dict.fromkeys((method, *more), np.full((2, 64, 64, 3), -0.9, np.float32))

        return solve

    monkeypatch.setitem(METHODS, "csgm", solver("csgm"))
    monkeypatch.setitem(METHODS, "ilo", solver("ilo", "ilo, nearest"))
    monkeypatch.setattr(restoration.generators, "load", lambda name: None)
    monkeypatch.setattr(restoration.lpips, "load", lambda name: None)
    monkeypatch.setattr(restoration, "distances", lambda network, x, y: np.array([0.1, 0.3]))
    line = ["restoration", "--data", str(data), "--out", str(out), "--rows", "JPEG M"]
    line += ["--length", "0.5", "--methods"]
    monkeypatch.setattr("sys.argv", [*line, "csgm"])
    restoration.main()
    monkeypatch.setattr("sys.argv", [*line, "csgm", "ilo"])
    restoration.main()
    assert calls == [0.5, 0.5]
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [(r["method"], r["image"]) for r in rows] == [
        ("csgm", "0"),
        ("csgm", "1"),
        ("ilo", "0"),
        ("ilo", "1"),
        ("ilo, nearest", "0"),
        ("ilo, nearest", "1"),
    ]
    assert float(rows[0]["psnr_db"]) == pytest.approx(26.02, abs=0.01)
    assert "**26.02 ± 0.00** / **0.200 ± 1.271**" in capsys.readouterr().out


def test_what_is_worse_in_every_image_is_not_bold():
    rows = [
        {"row": "A", "method": m, "image": str(i), "psnr_db": str(p), "lpips": str(d)}
        for m, by in {"a": (20, 30, 25, 60), "b": (19, 29.1, 24)}.items()
        for i, (p, d) in enumerate(zip(by, (0.1, 0.2, 0.3, 0.4), strict=False))
    ]
    (row,) = markdown(rows).splitlines()[2:]
    assert row.startswith("| A | 3 | **25.00 ±")  # one image only "a" has
    assert "| 24.03 ±" in row
    assert interval(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.484, abs=1e-3)


def test_the_figure_has_every_row_in_the_benchmarks_order():
    rows = [
        {"row": row, "method": m, "psnr_db": str(p), "lpips": str(p / 100)}
        for row in ("UNAP", "JPEG M", "noise XL")
        for m, p in (("ilo", 20), ("ilo", 22), ("auto", 24))
    ]
    names = [r["row"] for r in in_order(rows)]
    assert names == 3 * ["noise XL"] + 3 * ["JPEG M"] + 3 * ["UNAP"]
    of_psnr, of_lpips = draw(in_order(rows), "not for diagnosis").axes
    for axes, scale in ((of_psnr, 1), (of_lpips, 100)):
        heights = [np.asarray(points[0].get_ydata(), float) for points in axes.containers]
        np.testing.assert_allclose(heights, np.array([[21.0] * 3, [24.0] * 3]) / scale)

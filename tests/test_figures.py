"""The command that redraws the paper's figures: what it measures again, its claims, its page."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import sna
from benchmarks.claims import CLAIMS, best_of, ratio, verdicts
from benchmarks.classical import BASELINES, is_installed
from benchmarks.drawing import ATTRIBUTION
from benchmarks.figures import cells, expect_generator, measure, solvers
from benchmarks.figures_page import CASES, CURVES, PICTURES, SHOWN, Subject, draw, picture_file
from benchmarks.methods import PANELS, STEPS, Row, append_rows, read_rows
from ilo_jax.errors import InputError
from ilo_jax.files import generators
from ilo_jax.files.images import write_png

looks_at_files = True

CELL = ("superres 4x", "bicubic")


def truth(images: int) -> jax.Array:
    """Grey gradients."""
    ramp = np.linspace(-0.8, 0.8, 64)[:, None, None] * np.ones((1, 64, 3))
    return jnp.asarray([ramp * (i + 1) / images for i in range(images)], jnp.float32)


def rows_for(errors: dict[tuple[str, str], list[float]]) -> list[Row]:
    """Of mean squared errors, an image each."""
    return [
        Row(case, variant, 0, i, float(10 * np.log10(4 / e)), 0.0, 0.0, "2 CPU cores", "abc1234")
        for (case, variant), found in errors.items()
        for i, e in enumerate(found)
    ]


def test_the_best_is_so_on_the_images_that_all_have():
    """A method that has only easy ones is not ahead by that."""
    rows = rows_for({("denoise 25", "ILO"): [0.01, 0.5], ("denoise 25", "BM3D"): [0.02]})
    assert best_of(rows, "denoise 25", ("ILO", "BM3D", "PULSE")) == "ILO"
    assert best_of(rows, "denoise 25", ("PULSE",)) is None


def test_what_is_measured_is_not_measured_again(tmp_path):
    (tmp_path / "images").mkdir()
    prior = generators.load()
    measure(tmp_path, prior, truth(3)[:2], [CELL])
    first = read_rows(tmp_path / "rows.csv")
    assert [r.image for r in first] == [0, 1]
    picture = picture_file(tmp_path, *CELL, 1)
    before = picture.read_bytes()
    picture.unlink()
    measure(tmp_path, prior, truth(3), [CELL], batch=2, jobs=2)
    rows = read_rows(tmp_path / "rows.csv")
    assert rows[:2] == first
    assert [r.image for r in rows] == [0, 1, 2]
    assert picture.read_bytes() == before
    measure(tmp_path, prior, truth(3), [CELL], seeds=2)
    again = read_rows(tmp_path / "rows.csv")
    assert again[:3] == rows
    assert [(r.seed, r.image) for r in again[3:]] == [(1, 0), (1, 1), (1, 2)]


def test_rows_are_of_one_generator(tmp_path):
    expect_generator(tmp_path)
    expect_generator(tmp_path)
    (tmp_path / "generator.txt").write_text("another\n")
    with pytest.raises(InputError, match="rows of another generator; expected another --out"):
        expect_generator(tmp_path)


def test_cells_and_their_solvers():
    """Each once; every level has every curve that is defined there."""
    wanted, table = cells(), solvers(generators.load(), STEPS)
    assert len(set(wanted)) == len(wanted)
    for panel in PANELS.values():
        for name, case in panel.items():
            for variant in CURVES:
                assert (table[variant](case) is None) or (name, variant) in wanted
    assert all(case in CASES and variant in table for case, variant in wanted)
    assert table["ILO"](CASES["compress 1 %"]) is not None
    assert table["CSGM, both"](CASES["compress 1 %"]) is None


@given(st.lists(st.floats(1e-4, 1), min_size=1, max_size=8), st.floats(0.1, 10))
def test_the_ratio_of_proportional_errors(errors, factor):
    rows = rows_for({("a", "over"): [factor * e for e in errors], ("a", "under"): errors})
    np.testing.assert_allclose(ratio(rows, "a", "over", "under"), factor, rtol=1e-6)


@pytest.mark.parametrize(
    ("factor", "holds"), [(2.5, "yes"), (1.4, "better, by less"), (0.8, "no"), (None, None)]
)
def test_a_claim_holds_by_its_factor(factor, holds):
    """Against the best of the baselines; other claims are not measured."""
    case = "inpaint 5 %"
    errors = {(case, "ILO"): [0.01, 0.03], (case, "PULSE"): [0.5, 0.5]}
    if factor is not None:
        errors[case, "CSGM"] = [0.01 * factor, 0.03 * factor]
    found = {v.claim: v for v in verdicts(rows_for(errors))}
    verdict = found[CLAIMS[0].text]
    if factor is None:
        assert verdict.against == "PULSE"
    else:
        assert (verdict.against, verdict.holds) == ("CSGM", holds)
        assert verdict.measured.startswith(f"{factor:.2f}x")
    assert found[CLAIMS[-1].text].holds == "not measured"


@pytest.mark.slow
def test_the_page_has_every_figure(tmp_path):
    """From a table of errors that are all known."""
    errors, key = {}, np.random.default_rng(0)
    table = solvers(generators.load(), STEPS)
    for case, variant in cells():
        if table[variant](CASES[case]) is not None:
            errors[case, variant] = key.uniform(0.01, 0.02, SHOWN).tolist()
    append_rows(tmp_path / "rows.csv", rows_for(errors))
    (tmp_path / "images").mkdir()
    shown = [case for cases in PICTURES.values() for case in cases]
    for case, variant in errors:
        if case in shown:
            for i in range(SHOWN):
                write_png(picture_file(tmp_path, case, variant, i), np.zeros((64, 64, 1)))
    page = draw(tmp_path, truth(SHOWN), Subject(True, True, ATTRIBUTION))
    assert "ot measured" not in page
    assert page.count(ATTRIBUTION) == 4
    for claim in CLAIMS:
        assert claim.text in page
    for name in ("figure1", "figure2", "figure3", "figure4"):
        assert f"{tmp_path.name}/{name}.png" in page
        assert (tmp_path / f"{name}.png").stat().st_size > 0
    with open(tmp_path / "figure2.csv", newline="") as file:
        points = {(p["panel"], p["level"], p["variant"]): p for p in csv.DictReader(file)}
    found = errors["denoise 25", "ILO"]
    point = points["denoise", "25.0", "ILO"]
    np.testing.assert_allclose(float(point["mse"]), np.mean(found), rtol=1e-6)
    np.testing.assert_allclose(
        float(point["standard_error"]), abs(found[0] - found[1]) / 2, rtol=1e-6
    )
    assert all(f"| {name} |" in page for name in (*sna.NAMES, *filter(is_installed, BASELINES)))

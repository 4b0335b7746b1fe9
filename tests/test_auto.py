"""`--auto`: what the command writes of a choice, and what goes with it."""

import json

import numpy as np
import pytest
from outputs import table

from ilo_jax.app import batch
from ilo_jax.solve import NOT_FINITE, OK, Auto, Choice

looks_at_files = True


def test_auto_writes_what_was_chosen_and_its_spread(solve, tmp_path, monkeypatch):
    def chosen(
        prior, operator, measurement, keys, method, auto, *, batch_size, progress, take_steps
    ):
        progress(1, 2)
        image = np.asarray(measurement)
        one = np.ones(len(keys))
        assert (auto.restarts, auto.combine, batch_size) == (5, "nearest", 16)
        return Choice(
            *(image, np.full_like(image, 0.1), (image[:1].repeat(3, 0), image[:0]), one > 0),
            status=np.array([OK, NOT_FINITE]),
            method=("deeper",) * len(keys),
            restarts=({"as it is": 0, "deeper": 5},) * len(keys),
            radii=one[:, None] * [np.inf, 5],
            round=one.astype(int),
            steps=one.astype(int) * 2,
            held_out_error=one * 0.1,
            trials=({"deeper": [(2, 0.2), (4, 0.1)]},) * len(keys),
        )

    monkeypatch.setattr(batch.solve, "reconstruct_auto", chosen)
    line = "invert --images photos --auto --samples 5 --combine nearest --generator gen --out {out}"
    done = solve(line + " --steps 2,2 --keep-samples")
    assert done.code == 1  # nothing that was held out can be met for the second
    assert done.err.endswith("1 of 2 images failed: why is in metrics.csv\n")
    out = tmp_path / "out"
    stored = json.loads((out / "chosen" / "a.json").read_text())
    assert stored == {
        **{"method": "deeper", "restarts": {"deeper": 5}},
        **{"radii": [5], "round": 1, "steps": 2},
        **{"held_out_error": 0.1, "trials": {"deeper": [[2, 0.2], [4, 0.1]]}},
    }
    assert (out / "spread" / "a.png").exists()
    assert not (out / "chosen" / "b.json").exists()
    kept = sorted(f.relative_to(out).as_posix() for f in out.glob("samples/**/*.png"))
    assert kept == [f"samples/a/{k}.png" for k in (1, 2, 3)]


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
    assert chosen["method"] in Auto().candidates
    assert 1 <= chosen["steps"] <= 4
    assert (out / "spread" / "a.png").exists()
    (row,) = table(out / "metrics.csv")
    assert float(row["measurement_mse"]) < 1e-3  # consistent with what was measured

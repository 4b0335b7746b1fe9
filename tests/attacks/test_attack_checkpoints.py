"""Hostile and damaged checkpoints and folders, in a process with 2 GB of memory: each is taken or
refused with the one error in one line, nothing in it is run, and nothing half-written is left."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ATTACKS = pathlib.Path(__file__).parent
PLAN = {"hostile": 0, "read": 48, "classify": 10, "folders": 12, "convert": 1}
"""How many of each kind in the quick form, whose hostile ones are those of test_convert_limits."""


def _attack(tmp_path, plan):
    folder = tmp_path / "files"
    folder.mkdir()
    paths = [str(ATTACKS.parent), str(ATTACKS.parents[1])]
    environment = os.environ | {
        "TF_CPP_MIN_LOG_LEVEL": "3",  # XLA calls its tuning hints errors
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONWARNINGS": "error",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    worker = [sys.executable, str(ATTACKS / "checkpoint_worker.py"), str(folder), json.dumps(plan)]
    done = subprocess.run(
        worker, env=environment, capture_output=True, text=True, timeout=3600, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["wrong"] == []
    assert result["files"] == sum(stop - start for start, stop in plan.values())
    assert result["taken"] < result["files"]
    assert result["memory"] < 2 * 2**30
    assert os.listdir(folder) == ["file"]


def test_checkpoints_of_anybody_are_taken_or_refused(tmp_path):
    _attack(tmp_path, {kind: (0, count) for kind, count in PLAN.items()})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "more"),
    [("hostile", 150), ("read", 4000), ("classify", 500), ("folders", 600), ("convert", 100)],
)
def test_very_many_checkpoints_are_taken_or_refused(tmp_path, kind, more):
    _attack(tmp_path, {kind: (PLAN[kind], PLAN[kind] + more)})

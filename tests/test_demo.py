"""The demo: two methods on some tasks, in one program a task."""

import subprocess
import sys

import numpy as np
import pytest
from outputs import summary
from PIL import Image

from ilo_jax.app import demo
from ilo_jax.app.tasks import TASKS
from ilo_jax.files.generators import load
from ilo_jax.solve import loop
from ilo_jax.solve.batch import run_steps

looks_at_files = True


def trace_counts(monkeypatch) -> list[int]:
    """How often a step is traced, by each of the demo's runs."""
    counts, step, run = [], loop.step, demo.reconstruct

    def traced(*args):
        counts[-1] += 1
        return step(*args)

    def counted(*args):
        counts.append(0)
        return run(*args)

    monkeypatch.setattr(loop, "step", traced)
    monkeypatch.setattr(demo, "reconstruct", counted)
    return counts


def test_the_demo_compares_the_methods_on_its_tasks(solve, tmp_path, inputs, monkeypatch):
    tasks = {name: TASKS[name] for name in ("inpaint", "denoise")}
    prior = load(inputs / "gen").with_facts(notice="not for diagnosis")
    monkeypatch.setattr(demo, "TASKS", tasks)
    monkeypatch.setattr(demo, "SAMPLES", inputs / "photos")
    monkeypatch.setattr(demo, "load", lambda _: prior)
    monkeypatch.setattr(demo, "_STEPS", {"csgm": (3,), "ilo": (2, 1)})
    run_steps.clear_cache()  # pyright: ignore[reportAttributeAccessIssue]
    traced = trace_counts(monkeypatch)
    done = solve("--out {out}")
    out = tmp_path / "out"
    assert done.code == 0
    # The methods of a task share a program.
    assert [count > 0 for count in traced] == [True, False] * len(tasks)
    assert "CSGM" in done.out
    assert "ILO" in done.out
    for task in tasks.values():
        assert task.name in done.out
        for method, steps in (("csgm", [3]), ("ilo", [2, 1])):
            stored = summary(out / f"{task.name}-{method}")
            assert stored["steps"] == steps
            assert f"{stored['psnr_db']['mean']:.2f}" in done.out
    assert "not for diagnosis" in done.out
    assert f"contact sheet: {out / 'contact_sheet.png'}\n" in done.out
    assert f"reports: {out / '*' / 'report.html'}\n" in done.out
    folders = {path.parent.name for path in out.glob("*/report.html")}
    assert folders == {f"{task}-{method}" for task in tasks for method in ("csgm", "ilo")}
    assert f"the first picture: {out / 'contact_sheet.png'}\n" in done.err
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width > 4 * 128
        assert sheet.height > 2 * len(tasks) * 128
    again = solve("--out {out}")
    assert (again.code, again.out) == (0, done.out)
    assert again.err == 4 * "2 of 2 were there already\n"


def test_aligned_methods_find_what_they_find_alone(solve, tmp_path, inputs, monkeypatch):
    """The demo's CSGM is the command's."""
    monkeypatch.setattr(demo, "TASKS", {"inpaint": TASKS["inpaint"]})
    monkeypatch.setattr(demo, "SAMPLES", inputs / "photos")
    monkeypatch.setattr(demo, "load", lambda _: load(inputs / "gen"))
    monkeypatch.setattr(demo, "_STEPS", {"csgm": (3,), "ilo": (2, 1)})
    assert solve("--out {tmp}/demo").code == 0
    line = "inpaint --observed 0.1 --images photos --generator gen --steps 2,1 --out {tmp}/ilo"
    assert solve(line).code == 0
    for name in "ab":
        found, alone = (
            np.asarray(Image.open(tmp_path / folder / "images" / f"{name}.png")).astype(int)
            for folder in ("demo/inpaint-ilo", "ilo")
        )
        assert np.abs(found - alone).max() <= 1


@pytest.mark.slow
def test_the_whole_demo(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ilo_jax.solve", "--out", tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0
    gain = {}
    for task in (name for name, task in TASKS.items() if task.demo is not None):
        csgm, ilo = (
            summary(tmp_path / f"{task}-{method}")["psnr_db"]["mean"] for method in ("csgm", "ilo")
        )
        assert f"{csgm:.2f}" in done.stdout
        assert f"{ilo:.2f}" in done.stdout
        gain[task] = 10 ** ((ilo - csgm) / 10)
    assert min(gain["compress"], gain["denoise"]) > 2
    assert min(gain["superres"], gain["inpaint"]) > 1

"""What the command does to its process, and importing the library does not."""

import os
import subprocess
import sys

import jax
import pytest
from outputs import pictures

from ilo_jax.app.cli import start_quickly
from ilo_jax.app.demo import SAMPLES


def command(*args: object, **options) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", "ilo_jax.solve", *map(str, args)]
    return subprocess.run(line, capture_output=True, text=True, **options)


@pytest.mark.slow
def test_a_process_finds_compiled_programs_and_says_nothing_of_it(solve, tmp_path, inputs):
    line = "invert --images photos/a.png --generator gen --steps 2,2 --out {out}"
    assert solve(line).code == 0
    done = command(*line.replace("{out}", str(tmp_path / "2")).split(), cwd=inputs)
    assert done.returncode == 0
    assert done.stdout.startswith("1 image, PSNR ")
    assert [text for text in done.stderr.splitlines() if "image 1 of 1" not in text] == []
    assert pictures(tmp_path / "2") == pictures(tmp_path / "out")


def test_importing_the_library_leaves_the_process_alone():
    script = """if True:
        import os, warnings, jax
        def state():
            config = [jax.config.values[name] for name in names]
            return dict(os.environ), list(warnings.filters), config
        names = list(jax.config.values)
        before = state()
        import ilo_jax
        assert state() == before
        assert not jax._src.xla_bridge.backends_are_initialized()
    """
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("level", "expected"), [("1", ["CRITICAL", "NOTSET"]), ("0", []), ("2", [])]
)
def test_a_level_of_the_log_that_a_user_has_set_stays(level, expected, monkeypatch):
    told = []
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    update = jax.config.update

    def recorded(name, value):
        told.extend([value] if name == "jax_logging_level" else [])
        update(name, value)

    monkeypatch.setattr(jax.config, "update", recorded)
    start_quickly()
    assert told == expected


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
@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
@pytest.mark.parametrize("task", [["invert", "--images", SAMPLES], []], ids=["invert", "demo"])
def test_a_platform_that_is_not_here_is_one_line(platform, task, tmp_path):
    done = command(*task, "--out", tmp_path / "out", env=os.environ | {"JAX_PLATFORMS": platform})
    last = done.stderr.splitlines()[-1]
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert last.startswith("error: JAX finds no device (")
    assert last.endswith("expected JAX_PLATFORMS to name one that is here")

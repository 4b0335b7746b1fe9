"""What is published: a wheel and an archive that are whole, and run where nothing else is."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: object, **options) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_wheel_runs_in_an_empty_environment(tmp_path):
    run(sys.executable, "-m", "build", "--outdir", tmp_path / "dist", ROOT)
    wheel, archive = sorted((tmp_path / "dist").iterdir(), key=lambda p: p.suffix != ".whl")
    assert "PASSED" in run(sys.executable, "-m", "twine", "check", "--strict", wheel, archive)
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    for needed in ("ilo_jax/py.typed", "ilo_jax/app/samples/radiograph_00.png"):
        assert needed in names
    assert any("pretrained/chest64/generator.json" in name for name in names)
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)
    with tarfile.open(archive) as file:
        assert any(name.endswith("/README.md") for name in file.getnames())

    venv.create(tmp_path / "env", with_pip=True)
    commands = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    outside = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": "", "PATH": str(commands)}}
    run(commands / "python", "-m", "pip", "install", "--quiet", wheel, **outside)
    assert run(commands / "ilo-jax", "--version", **outside)
    where = run(commands / "python", "-c", "import ilo_jax; print(ilo_jax.__path__[0])", **outside)
    sample = Path(where.strip()) / "app" / "samples" / "radiograph_00.png"
    line = f"superres --factor 4 --steps 3,3 --images {sample} --out out"
    assert "1 image, PSNR" in run(commands / "ilo-jax", *line.split(), **outside)
    assert (tmp_path / "out" / "images" / "radiograph_00.png").exists()

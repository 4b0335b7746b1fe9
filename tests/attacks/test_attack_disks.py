"""Disks that are full, read-only or not there: one line, and nothing that was done is lost."""

import errno
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from outputs import pictures
from PIL import Image

looks_at_files = True

LINE = (
    "inpaint --mask mask.png --images photos --generator gen --steps 2,2 --batch-size 1 --out {out}"
)
SWEEP = "sweep " + LINE + " --grid lr=0.1,0.2"
CLASSES = "classify --generator gen --labels 3,4 --radii 0 --steps 1,1 --out {out}"


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (LINE + " --save-variables", errno.ENOSPC),
        pytest.param(LINE + " --save-variables", errno.EROFS, marks=pytest.mark.slow),
        pytest.param(SWEEP, errno.ENOSPC, marks=pytest.mark.slow),
        pytest.param(CLASSES, errno.ENOSPC, marks=pytest.mark.slow),
    ],
)
def test_full_or_read_only_at_any_file(solve, tmp_path, monkeypatch, line, number):
    write = pathlib.Path.write_bytes
    files, done = 0, None
    while done is None or done.code == 2:
        seen = []

        def failing(path, content, seen=seen, allowed=files):
            seen.append(path)
            if len(seen) > allowed:
                raise OSError(number, os.strerror(number), str(path))
            return write(path, content)

        with monkeypatch.context() as patch:
            patch.setattr(pathlib.Path, "write_bytes", failing)
            before = finished(tmp_path / "out")
            done = solve(line)
        if done.code == 2:
            (last,) = [text for text in done.err.splitlines() if text.startswith("error: ")]
            assert "cannot be written" in last
            assert os.strerror(number) in last
            assert "Traceback" not in done.err
        else:
            assert done.code == 0
        assert before.items() <= finished(tmp_path / "out").items()
        assert not list((tmp_path / "out").rglob(".tmp-*"))
        files += 1 if files < 3 else 2  # less than any command writes at once, more than nothing
        assert files < 40


def finished(out):
    return pictures(out) if (out / "images").exists() else {}


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [1, 4])
def test_no_file_may_be_larger(inputs, tmp_path, kilobytes):
    """The system's own limit: what JAX wants to keep fails, too."""
    noisy = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(noisy).save(tmp_path / "a.png")
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({1024 * kilobytes},) * 2); "
        "from ilo_jax.app.cli import run; run()"
    )
    line = f"invert --images {tmp_path}/a.png --generator {inputs}/gen --steps 2,2 --out"
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", program, *line.split(), str(tmp_path / "out")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert len(done.stderr.splitlines()) < 6


@pytest.mark.slow
def test_neither_home_nor_a_folder_for_temporary_files(inputs, tmp_path):
    line = f"-m ilo_jax.solve invert --images {inputs}/photos --generator {inputs}/gen --steps 2,2"
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HOME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR")
    }
    environment |= {"HOME": "/proc/nowhere", "TMPDIR": "/proc/nowhere"}
    done = subprocess.run(
        [sys.executable, *line.split(), "--out", str(tmp_path / "out")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "compiled programs cannot be kept there" in done.stderr
    assert len(pictures(tmp_path / "out")) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "ilo_jax.solve invert --images {inputs}/photos --generator {inputs}/gen --out {disk}/new",
        "convert_weights {golden}/ada_labels.pkl {disk}/new",
    ],
)
def test_a_read_only_disk(inputs, tmp_path, line):
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro tmpfs "$0" && exec "$@"']
    golden = pathlib.Path(__file__).parents[1] / "golden"
    if subprocess.run([*mount, str(tmp_path), "true"], capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a read-only disk")
    words = line.format(inputs=inputs, disk=tmp_path, golden=golden).split()
    done = subprocess.run(
        [*mount, str(tmp_path), sys.executable, "-m", *words],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},  # XLA calls its tuning hints errors
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"error: {tmp_path}/new: cannot be ")
    assert os.strerror(errno.EROFS) in said

"""`--ray`: the bytes of the plain command, whatever dies."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from outputs import pictures, rows, summary
from PIL import Image

from ilo_jax.app.lock import locked

looks_at_files = True

OPTIONS = "--generator gen --steps 2,2 --batch-size 4"
LINE = f"invert --images photos {OPTIONS}"


@pytest.fixture(scope="module")
def ray_there():
    pytest.importorskip("ray", reason="Ray is in ilo_jax[ray]")


@pytest.fixture
def place(inputs, tmp_path, monkeypatch):
    """A folder of eighteen images and a generator, where commands run as processes."""
    shutil.copytree(inputs / "gen", tmp_path / "gen")
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (18, 8, 8, 3), np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "photos" / f"im{i:02d}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    return tmp_path


def start(line: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "ilo_jax.solve", *line.split()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(line: str) -> subprocess.CompletedProcess:
    process = start(line)
    out, err = process.communicate(timeout=580)
    return subprocess.CompletedProcess(line, process.returncode, out, err)


def timeless(out: pathlib.Path) -> list[dict[str, str]]:
    return [row | {"seconds": ""} for row in rows(out)]


def workers(driver: subprocess.Popen) -> list[psutil.Process]:
    """Those of a cluster that solve."""
    found = []
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            if "MapBatches(Solver)" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def wait_for(done, driver: subprocess.Popen) -> None:
    deadline = time.monotonic() + 300
    while not done():
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow
def test_a_worker_and_then_the_driver_are_killed_and_the_bytes_stay(place, ray_there):
    plain = run(f"{LINE} --out plain")
    assert plain.returncode == 0, plain.stderr

    out = place / "out"
    driver = start(f"{LINE} --out out --ray")
    wait_for(lambda: workers(driver), driver)
    workers(driver)[0].kill()
    wait_for(lambda: len(list(out.glob("images/*.png"))) >= 4, driver)
    family = [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]
    driver.kill()
    driver.communicate()
    psutil.wait_procs(family, 60)
    before = {path: path.stat().st_mtime_ns for path in out.glob("images/*.png")}

    again = run(f"{LINE} --out out --ray")
    assert (again.returncode, again.stderr.count("were there already")) == (0, 1), again.stderr
    assert again.stdout == plain.stdout.replace("plain/", "out/")
    assert pictures(out) == pictures(place / "plain")
    assert timeless(out) == timeless(place / "plain")
    kept = [path for path, changed in before.items() if path.stat().st_mtime_ns == changed]
    assert len(kept) >= 4
    names = {path.name for path in (place / "plain").iterdir()}
    assert {path.name for path in out.iterdir()} == names
    assert "ray" not in again.stderr.lower()  # nothing of the engine's own is on the screen


@pytest.mark.slow
@pytest.mark.parametrize("grid", ["lr=0.05,0.2", "lr=0.05,0.1,0.2 --restarts 2"])
def test_a_sweep_is_that_of_the_plain_command(grid, place, ray_there):
    """Two images in a program, or the runs of one in two of them, which are for two workers."""
    (place / "photos" / "im17.png").write_text("hello")
    line = f"sweep {LINE} --grid {grid} --out"
    plain = run(f"{line} plain")
    assert plain.returncode == 1, plain.stderr
    driver = start(f"{line} out --ray")
    wait_for(lambda: workers(driver), driver)
    workers(driver)[0].kill()
    out, err = driver.communicate(timeout=580)
    assert driver.returncode == 1, err
    assert out == plain.stdout.replace("plain/", "out/")
    names = {path.name for path in (place / "plain").iterdir()}
    assert {path.name for path in (place / "out").iterdir()} == names

    def same() -> bool:
        found = ((place / of / "sweep.csv").read_text() for of in ("out", "plain"))
        ours, theirs = (text.replace(f"{place}/", "") for text in found)
        return ours == theirs

    assert same()
    assert (place / "out" / "sweep.png").read_bytes() == (place / "plain/sweep.png").read_bytes()

    # Of two images a row is missing; with the unreadable one that is what is done again.
    table = place / "out" / "sweep.csv"
    rows_ = table.read_text().splitlines(keepends=True)
    table.write_text("".join(rows_[:2] + rows_[3:-9] + rows_[-8:]))
    again = run(f"{line} out --ray")
    assert (again.returncode, again.stderr.count("were there already")) == (1, 1), again.stderr
    assert same()


POISON = """
import os, signal
import jax, numpy as np

def look(x):
    x = np.array(x)
    for image in x.reshape(-1, *x.shape[-3:]):
        if (image < -0.999).all():
            os.kill(os.getpid(), signal.SIGKILL)
        if (abs(image) < 0.01).all():
            np.empty(2**60, np.float32)
        if (image > 0.999).all():
            image[:] = np.nan
    return x

@jax.custom_jvp
def watched(x):
    return jax.pure_callback(look, jax.ShapeDtypeStruct(x.shape, x.dtype), x,
                             vmap_method="sequential")

watched.defjvp(lambda primals, tangents: (watched(*primals), tangents[0]))

def halved(x):
    return watched(x)[..., ::2, ::2, :]
"""


@pytest.mark.slow
def test_images_that_kill_fail_or_cannot_be_read_are_rows_with_a_reason(place, ray_there):
    (place / "poison.py").write_text(POISON)
    for name, grey in (("im02", 0), ("im07", 128), ("im11", 255)):
        Image.new("RGB", (8, 8), (grey,) * 3).save(place / "photos" / f"{name}.png")
    (place / "photos" / "im13.png").write_text("hello")
    bad = {"im02", "im07", "im11", "im13"}
    line = f"custom --function poison:halved --images photos {OPTIONS}"
    done = run(f"{line} --out out --ray")
    assert done.returncode == 1, done.stderr
    reasons = {row["name"]: row["status"] for row in rows(place / "out") if row["status"] != "ok"}
    assert reasons.keys() == bad
    assert reasons["im02"] == "its worker was killed 2 times"
    assert "Unable to allocate 4.00 EiB" in reasons["im07"]
    assert "not finite" in reasons["im11"]
    assert "im13.png" in reasons["im13"]
    assert "4 of 18 images failed" in done.stderr
    assert "what workers said: " in done.stderr
    assert summary(place / "out")["images"] == 14


@pytest.mark.slow
def test_an_address_that_nobody_answers_is_told(place, ray_there):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    began = time.monotonic()
    done = run(f"{LINE} --out out --ray 127.0.0.1:{port}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"error: --ray 127.0.0.1:{port}: Connection refused; expected")
    assert time.monotonic() - began < in_ten_seconds()


@pytest.mark.slow
def test_an_address_behind_which_nothing_is_is_told(place, ray_there):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]  # more than are taken: nobody answers others
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        began = time.monotonic()
        done = run(f"{LINE} --out out --ray 127.0.0.1:{address[1]}")
        for one in waiting:
            one.close()
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"error: --ray 127.0.0.1:{address[1]}: timed out; expected")
    assert time.monotonic() - began < in_ten_seconds()


@pytest.mark.slow
def test_what_answers_and_is_no_cluster_is_told(ray_there):
    from ilo_jax.app.cluster.connect import cluster
    from ilo_jax.errors import InputError

    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InputError, match="nobody answers; expected the address"):
            cluster(address).__enter__()
    assert time.monotonic() - began < in_ten_seconds()


def in_ten_seconds() -> float:
    """Of a machine that has nothing else to do: what importing takes now is measured."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import ilo_jax.app.cli"], check=True)
    subprocess.run([sys.executable, "-c", "import ray.scripts.scripts"], check=True)
    return max(10, 6.5 + 1.5 * (time.monotonic() - began))


_OWN_CLUSTER = """
import os, psutil, subprocess, sys
from ilo_jax.app.cluster.connect import LOCAL, cluster

with cluster(LOCAL) as ray:
    ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listen = [c.laddr for p in ours for c in p.net_connections("inet") if c.status == "LISTEN"]
    loopback = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    print({a.ip for a in listen} <= loopback, 8265 in {a.port for a in listen}, len(listen) > 2)
    address = ray.get_runtime_context().gcs_address
    for token in (os.environ["RAY_AUTH_TOKEN"], "1" * 64):
        asks = subprocess.run(
            [sys.executable, "-c", "from ray.scripts.scripts import healthcheck as h; h()"]
            + ["--address", address],
            env=os.environ | {"RAY_AUTH_TOKEN": token},
            capture_output=True,
        )
        print(asks.returncode == 0)
"""


@pytest.mark.slow
def test_a_cluster_of_our_own_is_on_the_loopback_and_asks_for_its_token(ray_there):
    script = subprocess.run(
        [sys.executable, "-c", _OWN_CLUSTER], capture_output=True, text=True, timeout=300
    )
    assert script.stdout.split() == ["True", "False", "True", "True", "False"], script.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--ray nowhere", "--ray nowhere: expected HOST:PORT, or auto"),
        ("--ray ray://a:1", "--ray ray://a:1: expected HOST:PORT, or auto"),
        ("--ray --video", "--ray: expected without --video"),
        ("--ray --shard 0/2", "--shard: expected without --ray"),
        ("--ray --batch-size auto", "--batch-size auto: expected a number with --ray"),
    ],
)
def test_bad_options_are_told(options, expected, solve, monkeypatch):
    line = f"invert --images photos --generator gen --steps 2,2 --out {{out}} {options}"
    done = solve(line)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(f"error: {expected}")


def test_two_drivers_do_not_share_a_folder(solve, tmp_path):
    with locked(tmp_path / "out"):
        done = solve("invert --images photos --generator gen --steps 2,2 --out {out} --ray")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert f"{tmp_path / 'out'}: in use by process" in done.err


def test_the_plain_command_imports_no_ray():
    script = (
        "import sys, ilo_jax.app.cli; print(any(m.split('.')[0] == 'ray' for m in sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "False\n"

"""A Ray cluster of two nodes, in network namespaces of the test's own; whatever in it dies."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from outputs import pictures, rows
from PIL import Image
from test_ray import LINE, place, ray_there, run, timeless  # noqa: F401  fixtures

pytestmark = pytest.mark.slow

looks_at_files = True

HEAD, OTHER, PORT = "10.77.0.1", "10.77.0.2", 6399


def ip(*words: str) -> str:
    return subprocess.check_output(["ip", *words], text=True, stderr=subprocess.STDOUT)


@pytest.fixture
def nodes(tmp_path, monkeypatch, ray_there):  # noqa: F811
    """The names of two namespaces, with a node in each; processes in them end with the test."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and ip, of Debian's iproute2")
    names = [f"ilo{os.getpid()}a", f"ilo{os.getpid()}b"]
    try:
        ip("netns", "add", names[0])
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.output}")
    ip("netns", "add", names[1])
    ip("link", "add", "v", "netns", names[0], "type", "veth", "peer", "v", "netns", names[1])
    for name, address in zip(names, (HEAD, OTHER), strict=True):
        ip("-n", name, "addr", "add", f"{address}/24", "dev", "v")
        for link in ("lo", "v"):
            ip("-n", name, "link", "set", link, "up")
    for variable, value in {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "0" * 64,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
    }.items():
        monkeypatch.setenv(variable, value)
    try:
        inside(
            *(names[0], "-m", "ray.scripts.scripts", "start", "--head", f"--port={PORT}"),
            *("--num-cpus=1", f"--node-ip-address={HEAD}", "--include-dashboard=false"),
            f"--temp-dir=/tmp/{names[0]}",
        )
        inside(
            *(names[1], "-m", "ray.scripts.scripts", "start", f"--address={HEAD}:{PORT}"),
            *("--num-cpus=1", f"--node-ip-address={OTHER}"),
        )
        yield names
    finally:
        for name in names:
            kill_all(name)
            ip("netns", "del", name)
        shutil.rmtree(f"/tmp/{names[0]}", ignore_errors=True)


def inside(name: str, *words: str) -> None:
    done = subprocess.run(
        ["ip", "netns", "exec", name, sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout


def processes(name: str) -> list[psutil.Process]:
    found = []
    for number in ip("netns", "pids", name).split():
        try:
            found.append(psutil.Process(int(number)))
        except psutil.NoSuchProcess:
            continue
    return found


def kill_all(name: str) -> None:
    """All processes of a namespace, which the test has made."""
    for process in processes(name):
        process.kill()


def began(out: pathlib.Path) -> set[str]:
    """The nodes on which something was begun."""
    notes = out / ".attempts.jsonl"
    lines = notes.read_text().splitlines(keepends=True) if notes.exists() else []
    return {json.loads(line)["node"] for line in lines if line.endswith("\n")}


def drive(node: str, line: str) -> subprocess.Popen:
    """The command on a node of the cluster."""
    words = [sys.executable, "-m", "ilo_jax.solve", *line.split()]
    return subprocess.Popen(
        ["ip", "netns", "exec", node, *words, "--ray", f"{HEAD}:{PORT}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_node_is_lost_and_the_bytes_stay(place, nodes):  # noqa: F811
    line = f"{LINE} --steps 300,300 --batch-size 1"  # the first node must not do all of it
    plain = run(f"{line} --out plain")
    assert plain.returncode == 0, plain.stderr
    driver = drive(nodes[0], f"{line} --out out")
    deadline = time.monotonic() + 400  # both import and compile
    while len(began(place / "out")) < 2:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    kill_all(nodes[1])
    out, err = driver.communicate(timeout=580)
    assert driver.returncode == 0, err
    assert out == plain.stdout.replace("plain/", "out/")
    assert "ray" not in err.lower()  # nothing of the engine's own is on the screen
    assert pictures(place / "out") == pictures(place / "plain")
    assert timeless(place / "out") == timeless(place / "plain")


IMAGES, KILLS = 120, 20


def test_twenty_workers_a_node_and_two_drivers_are_killed(place, nodes):  # noqa: F811
    random = np.random.default_rng(0)
    for i, pixels in enumerate(random.integers(0, 256, (IMAGES, 8, 8, 3), np.uint8)):
        Image.fromarray(pixels).save(place / "photos" / f"im{i:02d}.png")
    line = f"{LINE} --steps 100,100"
    plain = run(f"{line} --out plain")
    assert plain.returncode == 0, plain.stderr

    out = place / "out"
    driver, there = drive(nodes[0], f"{line} --out out"), 0
    deadline = time.monotonic() + 3000
    for kill in range(KILLS):
        while len(list(out.glob("images/*.png"))) <= there or not kill_one(nodes, random):
            assert driver.poll() is None, driver.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        there = len(list(out.glob("images/*.png")))
        if kill == KILLS // 2:  # and what it had begun counts for nobody
            kill_all(nodes[1])
        if kill in (KILLS // 4, 3 * KILLS // 4):
            driver.kill()
            driver.communicate()
            driver = drive(nodes[0], f"{line} --out out")
    driver.communicate(timeout=580)
    # An image that was alone in a batch with two of those workers has a row that says so until now.
    done = drive(nodes[0], f"{line} --out out")
    said, err = done.communicate(timeout=580)
    assert done.returncode == 0, err
    assert said == plain.stdout.replace("plain/", "out/")
    assert pictures(out) == pictures(place / "plain")
    assert timeless(out) == timeless(place / "plain")
    assert len(rows(out)) == len({row["name"] for row in rows(out)}) == IMAGES


def kill_one(names: list[str], random: np.random.Generator) -> bool:
    """One of the workers that solve, on any node; whether there was one."""
    found = []
    for process in (process for name in names for process in processes(name)):
        try:
            if "MapBatches(Solver)" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    if not found:
        return False
    os.kill(found[random.integers(len(found))].pid, signal.SIGKILL)
    return True

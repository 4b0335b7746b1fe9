"""A Ray cluster of two nodes, in network namespaces of the test's own, one of which is lost."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import psutil
import pytest
from outputs import pictures
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


def test_a_node_is_lost_and_the_bytes_stay(place, nodes):  # noqa: F811
    line = f"{LINE} --steps 300,300 --batch-size 1"  # the first node must not do all of it
    plain = run(f"{line} --out plain")
    assert plain.returncode == 0, plain.stderr
    words = [sys.executable, "-m", "ilo_jax.solve", *line.split(), "--out", "out"]
    driver = subprocess.Popen(
        ["ip", "netns", "exec", nodes[0], *words, "--ray", f"{HEAD}:{PORT}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
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

"""The recipe for Slurm, on a Slurm of one node that the test starts."""

import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from outputs import pictures, rows

pytestmark = pytest.mark.slow

RECIPE = pathlib.Path(__file__).parents[1] / "deploy" / "slurm_array.sh"
DAEMONS = ("munged", "slurmctld", "slurmd")
CPUS = 2

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
MailProg=/bin/true
MpiDefault=none
ReturnToService=2
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
SlurmdSpoolDir={root}/spool
StateSaveLocation={root}/state
SchedulerParameters=sched_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture
def slurm(tmp_path):
    """The environment of Slurm's commands."""
    missing = [name for name in (*DAEMONS, "sbatch") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("slurmd starts jobs for root only")
    root = tmp_path / "slurm"
    for folder in (root, root / "state", root / "spool"):
        folder.mkdir(mode=0o700)
    key = root / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    config = root / "slurm.conf"
    names = {"host": socket.gethostname(), "user": getpass.getuser(), "cpus": CPUS}
    config.write_text(CONFIG.format(root=root, ports=free_ports(2), **names))
    env = {**os.environ, "SLURM_CONF": str(config)}
    munge = [f"--key-file={key}", f"--socket={root}/munge.socket", f"--pid-file={root}/munge.pid"]
    munge += [f"--log-file={root}/munge.log", f"--seed-file={root}/munge.seed", "--force"]
    commands = (["munged", "--foreground", *munge], ["slurmctld", "-D", "-i"], ["slurmd", "-D"])
    started = []
    try:
        for command in commands:
            with (root / f"{command[0]}.out").open("w") as log:
                started.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))
            if command[0] == "munged":
                wait_for((root / "munge.socket").exists, root)
        wait_for(lambda: "idle" in said(["sinfo", "--noheader", "--format=%T"], env), root)
        yield env
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)


def wait_for(there: Callable[[], bool], root: pathlib.Path) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline, logs(root)
        time.sleep(0.5)


def logs(root: pathlib.Path) -> str:
    return "\n".join(
        f"{p}: {p.read_text()[-2000:]}" for p in [*root.glob("*.log"), *root.glob("*.out")]
    )


def said(command, env) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_an_array_of_four_is_the_run_of_one_command(slurm, inputs, solve, tmp_path):
    python = pathlib.Path(sys.executable).parent
    env = {**slurm, "PATH": f"{python}:{slurm['PATH']}", "JAX_NUM_CPU_DEVICES": "1"}
    line = f"invert --images {inputs}/many --generator {inputs}/gen --steps 2,2 --reproducible"
    out = tmp_path / "out"
    options = f"--array=0-3 --wait --cpus-per-task=1 --output={tmp_path}/job-%a.log"
    done = subprocess.run(
        ["sbatch", *options.split(), str(RECIPE), "4", *line.split(), "--out", str(out)],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    said_by_jobs = [path.read_text() for path in sorted(tmp_path.glob("job-*.log"))]
    assert done.returncode == 0, (done.stderr, said_by_jobs)
    assert len(said_by_jobs) == 4
    assert solve("summarize {out}").code == 0
    assert solve(line + " --out {tmp}/whole").code == 0
    assert pictures(out) == pictures(tmp_path / "whole")
    assert [row["name"] for row in rows(out)] == list("abcde")

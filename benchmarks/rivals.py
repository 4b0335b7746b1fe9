"""A step of ILO against PyTorch's, in turns, each in a process of its own.

    python -m benchmarks.rivals --torch-python PYTHON --resolution 1024 --batch 1
    python -m benchmarks.rivals --torch-python PYTHON --ilo CHECKOUT --only authors

    python -m benchmarks.rivals --torch-python PYTHON --robust CHECKOUT --loss lpips
    python -m benchmarks.rivals --before CHECKOUT --resolution 256 --batch 4

PYTHON is an interpreter that has PyTorch, CHECKOUT a clone of github.com/giannisdaras/ilo; then the
step of `robust`, CHECKOUT a clone of github.com/yohan-pg/robust-unsupervised, and ours against that
of an earlier commit, CHECKOUT a clone of this repository there. With `--device cuda` PyTorch runs
on a GPU, as ours does where JAX finds one. Every round times a few steps of ours and then of each
rival. A ratio is the median over rounds of rival over ours in the same round; in brackets, the
least and the greatest. On a machine with other work, believe those of the least times and of the
processor's seconds.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

import psutil


def part_of_gpu(share: float) -> dict[str, str]:
    """Settings of a process with JAX that takes so much of a GPU's memory at most, when needed."""
    return {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{share}",
    }


class Worker:
    """A process that compiles its step, and takes steps when asked; without `wait` it is not waited
    for, so that several compile at once. `share` is of a GPU's memory, what JAX may take of it."""

    def __init__(
        self,
        name: str,
        command: list[str],
        folder: str | None = None,
        *,
        wait: bool = True,
        share: float = 0.75,
    ):
        self.name = name
        # Compiling is timed, and several processes may share a GPU.
        settings = {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1", **part_of_gpu(share)}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=os.environ | settings,
        )
        self.peak_gib = 0.0
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until it has compiled."""
        ready = self._read()
        self.compile_s = ready.get("compile_s", ready.get("first_step_s"))

    def step_seconds(self, steps: int) -> float:
        return self.ask(f"{steps}")["step_s"]

    def ask(self, line: str) -> dict:
        """What it answers to a line of input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        answer = self._read()
        self.peak_gib = answer["peak_gib"]
        return answer

    @property
    def processor_seconds(self) -> float:
        """So far, of all its threads."""
        return sum(psutil.Process(self.process.pid).cpu_times()[:2])

    def _read(self) -> dict:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):  # what a library says goes before it
                return json.loads(line)
        sys.exit(f"{self.name}: ended with status {self.process.wait()}")

    def close(self) -> None:
        self.process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("--torch-python")
    one.add_argument("--before", help="an earlier checkout of this repository, instead of PyTorch")
    parser.add_argument("--ilo", help="checkout of the authors' code")
    parser.add_argument("--robust", help="checkout of robust-unsupervised: its step and ours")
    parser.add_argument("--loss", choices=("lpips", "mse"), default="lpips", help="of --robust")
    parser.add_argument("--only", choices=("eager", "compile", "authors"), nargs="+")
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of PyTorch")
    parser.add_argument("--small", action="store_true", help="the sizes of chest64")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2, help="steps a round")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    modes = args.only or ["eager", "compile"] + (["authors"] if args.ilo else [])

    sizes = ["--batch", str(args.batch)]
    if args.small:
        sizes += ["--resolution", "64", "--channels", "128", "128", "128", "64", "32"]
        sizes += ["--w-dim", "64"]
    else:
        sizes += ["--resolution", str(args.resolution)]
    here = pathlib.Path(__file__).parent
    if args.robust:
        method = "robust" if args.loss == "lpips" else "robust-mse"
        public = [str(here / "torch_robust.py"), "--robust", args.robust, "--loss", args.loss]
        rivals = {"public": public}
    else:
        method, extra = "csgm", ["--device", args.device]
        extra += ["--ilo", args.ilo] if args.ilo else []
        rivals = {mode: [str(here / "torch_step.py"), mode, *extra] for mode in modes}
    mine = [sys.executable, "-m", "benchmarks.step", "--serve", "--method", method]
    mine += ["--steps", str(args.steps), *sizes]
    workers = [Worker("ours", mine)]
    if args.before:
        workers.append(Worker("before", mine, args.before))
    else:
        workers += [Worker(n, [args.torch_python, *line, *sizes]) for n, line in rivals.items()]
    seconds: dict[str, list[float]] = {w.name: [] for w in workers}
    processor: dict[str, list[float]] = {w.name: [] for w in workers}
    for i in range(args.rounds):
        for w in workers if i % 2 == 0 else workers[::-1]:
            before = w.processor_seconds
            seconds[w.name].append(w.step_seconds(args.steps))
            processor[w.name].append(w.processor_seconds - before)
    least = {name: min(values) for name, values in seconds.items()}
    print("            step, s     least   ratio [range]", end=" " * 10)
    print("of least   of the processor's   compile, s   peak, GiB")
    for w in workers:
        spread, of_processor = (_ratio(x[w.name], x["ours"]) for x in (seconds, processor))
        print(
            f"{w.name:9} {statistics.median(seconds[w.name]):9.4g} {least[w.name]:9.4g}"
            f"   {spread:22} {least[w.name] / least['ours']:8.2f}   {of_processor:18}"
            f"   {w.compile_s:10.1f}"
            f"   {w.peak_gib:9.2f}"
        )
        w.close()


def _ratio(values: list[float], of: list[float]) -> str:
    ratios = [a / b for a, b in zip(values, of, strict=True)]
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"


if __name__ == "__main__":
    main()

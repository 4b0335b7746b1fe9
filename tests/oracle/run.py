"""The whole comparison with the original code, at full size; minutes, and some gigabytes of disk.

    python tests/oracle/run.py WORK --torch PYTHON [--rosinality DIR] [--ada DIR] [--stylegan3 DIR]

PYTHON is one with PyTorch, the DIRs are checkouts of rosinality/stylegan2-pytorch,
NVlabs/stylegan2-ada-pytorch and NVlabs/stylegan3. Writes checkpoints and images to WORK and
prints a table of the largest absolute differences.
"""

import argparse
import pathlib
import subprocess

from compare import differences

HERE = pathlib.Path(__file__).parent
SIZES = {
    "rosinality": [("", r) for r in (64, 256, 1024)],
    "ada": [("skip", 256), ("skip", 1024), ("labels", 64), ("orig", 256), ("resnet", 256)],
    "stylegan3": [("skip", 256), ("labels", 64)],
    "tensorflow": [
        ("skip", 256),
        ("skip", 1024),
        ("embed", 256),
        ("concat", 256),
        ("orig", 256),
        ("resnet", 256),
        ("grown", 256),
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--torch", required=True)
    for name in ("rosinality", "ada", "stylegan3"):
        parser.add_argument(f"--{name}")
    options = vars(parser.parse_args())
    options["tensorflow"] = options["ada"]
    scripts = {"ada": "nvidia", "stylegan3": "nvidia", "tensorflow": "nvidia_tensorflow"}
    print("| file | size | largest difference | limit |\n|---|---|---|---|")
    for code, sizes in SIZES.items():
        for case, resolution in sizes if options[code] else []:
            out = options["work"] / f"{code}_{case}_{resolution}"
            command = [options["torch"], HERE / f"{scripts.get(code, code)}.py", options[code], out]
            command += ["--resolution", str(resolution)]
            command += ["--case", case, "--full"] if case else []
            subprocess.run(command, check=True, capture_output=True)
            path = out.with_suffix(".pkl" if case else ".pt")
            largest = max(difference for _, difference, _ in differences(path))
            limit = 1e-4 if resolution <= 256 or code == "rosinality" else 5e-4
            print(f"| {code} {case} | {resolution} px | {largest:.1e} | {limit:.0e} |", flush=True)
            assert largest <= limit


if __name__ == "__main__":
    main()

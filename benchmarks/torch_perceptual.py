"""LPIPS of the package lpips, value and gradient; run by `benchmarks.perceptual`, in PyTorch's
environment.

    PYTHON benchmarks/torch_perceptual.py vgg --size 256 --batch 1

Its weights are random: time does not depend on them. Each line on standard input is a number of
evaluations; each answer, seconds of one.
"""
# pyright: reportMissingImports=false

import argparse
import json
import resource
import sys
import time
import warnings

import lpips
import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("network", choices=("vgg", "alex"))
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    args = parser.parse_args()
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its way of asking torchvision for no weights is old
        network = lpips.LPIPS(net=args.network, pnet_rand=True, verbose=False)
    x, y = torch.rand(2, args.batch, 3, args.size, args.size) * 2 - 1
    x.requires_grad_()

    def evaluate() -> None:
        x.grad = None
        network(x, y).sum().backward()

    start = time.perf_counter()
    evaluate()
    print(json.dumps({"first_step_s": time.perf_counter() - start}), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            evaluate()
        seconds = (time.perf_counter() - start) / int(line)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"step_s": seconds, "peak_gib": peak}), flush=True)


if __name__ == "__main__":
    main()

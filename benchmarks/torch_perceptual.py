"""LPIPS of the package lpips, value and gradient; run by `benchmarks.perceptual`, in PyTorch's
environment.

    PYTHON benchmarks/torch_perceptual.py vgg --size 256 --batch 1

Its weights are random: time does not depend on them. Each line on standard input is a number of
evaluations; each answer, seconds of one.
"""
# pyright: reportMissingImports=false

import argparse
import warnings

import lpips
import torch
from torch_step import serve


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

    serve(evaluate, "cpu")


if __name__ == "__main__":
    main()

"""The step of github.com/yohan-pg/robust-unsupervised by its own classes; run by
`benchmarks.rivals`, in an environment with PyTorch, lpips, click, requests and tqdm.

    PYTHON benchmarks/torch_robust.py --robust CHECKOUT --resolution 1024 --loss lpips

Its generator, W+ as variables, its loss at every scale (or, with `--loss mse`, the squared error
alone, which leaves the generator), its optimizer. Weights are random, VGG's too: a step costs the
same. On a CPU what asks for CUDA stays where it is, and torchvision's VGG, which is downloaded, is
stood in for.

Each line on standard input is a number of steps to take; each answer, seconds a step.
"""
# pyright: reportMissingImports=false

import argparse
import functools
import sys
import types

import torch
import torch.nn.functional as F
from torch_step import serve

_VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


def vgg16(**_: object) -> torch.nn.Module:
    """Of torchvision, without its weights."""
    layers: list[torch.nn.Module] = []
    channels = 3
    for width in _VGG16:
        if isinstance(width, int):
            layers += [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.ReLU(inplace=True)]
            channels = width
        else:
            layers.append(torch.nn.MaxPool2d(2))
    return types.SimpleNamespace(features=torch.nn.Sequential(*layers))  # pyright: ignore


def stand_in() -> None:
    """For torchvision, of which only VGG is called, and for moving to a GPU where there is none."""
    for name in ("", ".models", ".transforms", ".transforms.functional", ".utils"):
        sys.modules[f"torchvision{name}"] = types.ModuleType(f"torchvision{name}")
    parts = sys.modules
    parts["torchvision"].models = parts["torchvision.models"]  # pyright: ignore
    parts["torchvision.models"].vgg16 = vgg16  # pyright: ignore
    parts["torchvision.utils"].save_image = parts["torchvision.utils"].make_grid = None  # pyright: ignore
    parts["torchvision.transforms"].functional = parts["torchvision.transforms.functional"]  # pyright: ignore
    if not torch.cuda.is_available():
        torch.Tensor.cuda = torch.nn.Module.cuda = lambda self: self  # pyright: ignore


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--robust", required=True, help="checkout of the public code")
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--loss", choices=("lpips", "mse"), default="lpips")
    args = parser.parse_args()
    torch.manual_seed(0)
    stand_in()
    import lpips

    lpips.LPIPS = functools.partial(lpips.LPIPS, pnet_rand=True)
    sys.path[:0] = [args.robust, f"{args.robust}/stylegan2_ada"]
    import robust_unsupervised as public
    import training.networks as networks

    generator = networks.Generator(512, 0, 512, args.resolution, 3).cuda().eval()
    generator.requires_grad_(requires_grad=False)
    variable = public.WpVariable.sample_from(generator, args.batch)
    optimizer = public.NGD(variable.parameters(), lr=0.02)
    target = torch.rand(args.batch, 3, args.resolution, args.resolution).cuda()
    loss_of = public.MultiscaleLPIPS() if args.loss == "lpips" else None

    def step() -> None:
        image = variable.to_image()
        if loss_of is None:
            loss = F.mse_loss(image, target)
        else:
            loss = loss_of(lambda x: x, image, target).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    serve(step, "cuda" if torch.cuda.is_available() else "cpu")


if __name__ == "__main__":
    main()

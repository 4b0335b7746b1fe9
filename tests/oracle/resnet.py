"""Runs torchvision's ResNet and keeps its logits, to compare with.

    python tests/oracle/resnet.py OUT [--full]

needs PyTorch, torchvision and dill. Writes ResNets with random weights and batch statistics:
OUT/torchvision.pth, a state dict, and OUT/robustness.ckpt, a training state as the library
`robustness` saves it, by dill in the format before PyTorch 1.6, with another mean and standard
deviation of the colours, an optimizer, and a schedule with a function in it. OUT/logits.npz has
images of several sizes, each of whose pixels stands for 16x16, and their logits. The networks
are 2 channels wide; with `--full` they are ResNet-50. `tests/oracle/compare_resnet.py FILE...`
holds the converter against them. The golden files are made by

    python tests/oracle/resnet.py tests/golden/classifiers
"""
# pyright: reportMissingImports=false

import argparse
import pathlib

import dill
import numpy as np
import torch
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGES = {"224": (14, 3), "64": (4, 3), "320": (20, 3), "grey": (6, 1)}  # width / 16, channels


class Small(ResNet):
    def __init__(self):
        super().__init__(Bottleneck, [1, 1, 1, 1], num_classes=7)
        self.inplanes = 2
        self.conv1 = nn.Conv2d(3, 2, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(2)
        self.layer1 = self._make_layer(Bottleneck, 2, 1)
        self.layer2 = self._make_layer(Bottleneck, 4, 2, stride=2)
        self.layer3 = self._make_layer(Bottleneck, 8, 1, stride=2)
        self.layer4 = self._make_layer(Bottleneck, 16, 1, stride=2)
        self.fc = nn.Linear(64, 7)


class Normalizer(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("new_mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("new_std", torch.tensor(std)[:, None, None])

    def forward(self, x):
        return (x.clamp(0, 1) - self.new_mean) / self.new_std


class Attacker(nn.Module):
    def __init__(self, model, mean, std):
        super().__init__()
        self.normalize = Normalizer(mean, std)
        self.model = model


class AttackerModel(nn.Module):
    """Modules by the names that `robustness` gives them."""

    def __init__(self, model, mean, std):
        super().__init__()
        self.normalizer = Normalizer(mean, std)
        self.model = model
        self.attacker = Attacker(model, mean, std)

    def forward(self, x):
        return self.model(self.normalizer(x))


def randomize(model: nn.Module) -> None:
    """Statistics near those of noise, so that no layer is dead; scales and biases of any kind."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.normal_(0, 0.3)
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(16, 3, 14, 14).repeat_interleave(16, 2).repeat_interleave(16, 3))
    for norm in norms:
        norm.running_mean *= torch.empty_like(norm.running_mean).uniform_(0.5, 1.5)
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.5, 1.5)


def logits(model: nn.Module, coarse: np.ndarray) -> np.ndarray:
    image = torch.tensor(coarse.repeat(16, 1).repeat(16, 2))
    x = image.permute(0, 3, 1, 2).expand(-1, 3, -1, -1)
    if x.shape[2:] != (224, 224):
        x = nn.functional.interpolate(x, (224, 224), mode="bicubic", antialias=True)
    with torch.no_grad():
        return model((x + 1) / 2).numpy()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {
        name: rng.uniform(-1.2, 1.2, (2, size, size, channels)).astype(np.float32)
        for name, (size, channels) in IMAGES.items()
    }
    for file, mean, std in (
        ("torchvision.pth", MEAN, STD),
        ("robustness.ckpt", (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)),
    ):
        network = ResNet(Bottleneck, [3, 4, 6, 3]) if options.full else Small()
        randomize(network)
        model = AttackerModel(network.eval(), mean, std)
        for name in IMAGES:
            found[f"{file}:{name}"] = logits(model, found[name])
        if file.endswith(".pth"):
            torch.save(network.state_dict(), options.out / file)
        else:
            save_training_state(model, options.out / file)
    np.savez_compressed(options.out / "logits.npz", allow_pickle=False, **found)


def save_training_state(model: nn.Module, path: pathlib.Path) -> None:
    parallel = nn.DataParallel(model)
    optimizer = torch.optim.SGD(model.model.fc.parameters(), 0.1, momentum=0.9)
    model.model.fc.weight.grad = torch.zeros_like(model.model.fc.weight)
    optimizer.step()
    decay = eval("lambda epoch: 0.1**epoch")  # whose code, in the file, names no path
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, decay)
    state = {
        "model": parallel.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict() | {"function": decay},
        "epoch": 105,
        "amp": None,
    }
    torch.save(state, path, pickle_module=dill, _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()

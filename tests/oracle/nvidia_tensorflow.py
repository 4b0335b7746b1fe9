"""Makes TensorFlow pickles by hand and converts and runs them with NVIDIA's PyTorch code.

    python tests/oracle/nvidia_tensorflow.py CHECKOUT OUT --case skip [--resolution 16] [--full]

needs PyTorch and a checkout of github.com/NVlabs/stylegan2-ada-pytorch; nobody can install the
TensorFlow that wrote such files. Writes OUT.pkl, a tuple of three networks as
`dnnlib.tflib.Network` pickles them, with random weights of which none is trivial, and OUT.npz,
images of the official converter's network. Cases that the converter refuses are brought to it
in another shape: 'concat' (labels in the original StyleGAN2) as a network whose z is longer,
'grown' (configs B to D) as the 'orig' that it is once it has grown up. The golden files are made by

    python tests/oracle/nvidia_tensorflow.py CHECKOUT tests/golden/tf_CASE --case CASE

for every CASE of 'skip', 'embed', 'concat', 'orig', 'resnet', 'grown', and 'orig' with `--alone`.
"""
# pyright: reportMissingImports=false

import argparse
import copy
import pickle
import sys
import types

import numpy as np
import torch
from nvidia import record

CASES = {
    "skip": {"conv_clamp": 2.0},
    "embed": {"label_size": 3, "label_fmaps": 5, "mapping_fmaps": 8, "num_channels": 1},
    "concat": {"label_size": 3, "mapping_fmaps": 8},
    "orig": {"architecture": "orig"},
    "resnet": {"architecture": "resnet"},
    "grown": {},
}


class Network:
    """Pickles as `dnnlib.tflib.network.Network` does."""

    def __init__(self, name, static_kwargs, variables, components=()):
        self.version = 4
        self.name = name
        self.static_kwargs = static_kwargs
        self.components = dict(components)
        self.build_module_src = "raise SystemExit('the code in a checkpoint was run')"
        self.build_func_name = name
        self.variables = list(variables.items())


def build(case: str, resolution: int, full: bool) -> Network:
    rng = np.random.default_rng(0)
    z, w = (512, 512) if full else (7, 9)
    options = {"latent_size": z, "dlatent_size": w, "resolution": resolution} | CASES[case]
    options |= {} if full else {"fmap_base": 64, "fmap_max": 12, "mapping_layers": 3}
    architecture = "orig" if case == "grown" else options.get("architecture", "skip")
    blocks = int(np.log2(resolution)) - 1
    base, most = options.get("fmap_base", 16384), options.get("fmap_max", 512)
    channels = [min(most, base // 2 ** (b + 1)) for b in range(blocks)]

    def normal(*shape, scale=1.0):
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    mapping = {}
    width, labels = z, options.get("label_size", 0)
    if labels:
        width += options.get("label_fmaps", w) if case == "embed" else z
        scope = "LabelEmbed" if case == "embed" else "LabelConcat"
        mapping[f"{scope}/weight"] = normal(labels, width - z)
        if case == "embed":
            mapping["LabelEmbed/bias"] = normal(width - z)
    depth, hidden = (
        options.get("mapping_layers", 8),
        options.get("mapping_fmaps", 512 if full else w),
    )
    for i in range(depth):
        out = w if i == depth - 1 else hidden
        mapping[f"Dense{i}/weight"] = normal(width, out, scale=100)
        mapping[f"Dense{i}/bias"] = normal(out, scale=20)
        width = out
    options.setdefault("mapping_fmaps", hidden)

    synthesis = {}

    def conv(scope, before, after, size):
        synthesis[f"{scope}/weight"] = normal(size, size, before, after)
        synthesis[f"{scope}/bias"] = normal(after, scale=0.2)
        synthesis[f"{scope}/mod_weight"] = normal(w, before)
        synthesis[f"{scope}/mod_bias"] = normal(before, scale=0.2)

    def layer(scope, before, after):
        conv(scope, before, after, 3)
        synthesis[f"{scope}/noise_strength"] = np.float32(0.3 * rng.standard_normal())

    images = options.get("num_channels", 3)
    synthesis["4x4/Const/const"] = normal(1, channels[0], 4, 4)
    layer("4x4/Conv", channels[0], channels[0])
    for b in range(1, blocks):
        scope = f"{4 * 2**b}x{4 * 2**b}"
        layer(f"{scope}/Conv0_up", channels[b - 1], channels[b])
        layer(f"{scope}/Conv1", channels[b], channels[b])
        if architecture == "resnet":
            synthesis[f"{scope}/Skip/weight"] = normal(1, 1, channels[b - 1], channels[b])
    for b in range(blocks):
        if architecture == "skip" or b == blocks - 1 or case == "grown":
            scope = (
                f"ToRGB_lod{blocks - 1 - b}" if case == "grown" else f"{4 * 2**b}x{4 * 2**b}/ToRGB"
            )
            conv(scope, channels[b], images, 1)
    for i in range(2 * blocks - 1):
        size = 4 * 2 ** ((i + 1) // 2)
        synthesis[f"noise{i}"] = normal(1, 1, size, size)
    if case == "grown":
        synthesis["lod"] = np.float32(0)
    parts = {
        "synthesis": Network("G_synthesis", options, synthesis),
        "mapping": Network("G_mapping", options, mapping),
    }
    own = {"lod": np.float32(0), "dlatent_avg": normal(w, scale=0.3)}
    return Network("G_main", options, own, parts)


class Reshaped(torch.nn.Module):
    """The official network for a case that its converter does not know."""

    def __init__(self, generator, z_dim, embedding):
        super().__init__()
        self.generator, self.z_dim, self.embedding = generator, z_dim, embedding
        self.c_dim = len(embedding)

    def forward(self, z, label, **options):
        return self.generator(torch.cat([z, label @ self.embedding], 1), None, **options)


def official(network: Network, case: str, convert) -> torch.nn.Module:
    network = copy.deepcopy(network)
    if case == "grown":
        network.static_kwargs["architecture"] = "orig"
        size = network.static_kwargs["resolution"]
        variables = dict(network.components["synthesis"].variables)
        head = {k: v for k, v in variables.items() if k.startswith("ToRGB_lod0/")}
        variables |= {k.replace("ToRGB_lod0", f"{size}x{size}/ToRGB"): v for k, v in head.items()}
        network.components["synthesis"].variables = list(variables.items())
    if case != "concat":
        return convert(network)
    z_dim = network.static_kwargs["latent_size"]
    network.static_kwargs["latent_size"] = 2 * z_dim
    del network.static_kwargs["label_size"]
    weight = dict(network.components["mapping"].variables)["LabelConcat/weight"]
    return Reshaped(convert(network), z_dim, torch.from_numpy(weight))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout")
    parser.add_argument("out")
    parser.add_argument("--case", choices=CASES, default="skip")
    parser.add_argument("--resolution", type=int, default=16)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--alone", action="store_true", help="no tuple around it")
    options = parser.parse_args()
    sys.path.insert(0, options.checkout)
    import legacy

    network = build(options.case, options.resolution, options.full)
    critic = Network("D_stylegan2", {}, {"4x4/Conv/weight": np.zeros((3, 3, 5, 5), np.float32)})
    module = types.ModuleType("dnnlib.tflib.network")
    module.__dict__["Network"] = Network
    sys.modules[module.__name__] = module
    Network.__module__ = module.__name__
    with open(f"{options.out}.pkl", "wb") as file:
        pickle.dump(network if options.alone else (network, critic, network), file, protocol=3)
    torch.manual_seed(0)
    generator = official(network, options.case, legacy.convert_tf_generator)
    record(generator.eval().requires_grad_(False), options.out)


if __name__ == "__main__":
    main()

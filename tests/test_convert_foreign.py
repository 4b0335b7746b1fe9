"""State dicts in other wrappings are found; those of other networks are no StyleGAN2."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest
import safetensors.numpy
from forge import saved, stylegan2

from convert_weights import container
from convert_weights.__main__ import main
from convert_weights.arrays import tensor
from convert_weights.convert import read_network
from convert_weights.formats import nvidia_torch
from ilo_jax.files.generators import CheckpointError

GOLDEN = pathlib.Path(__file__).parent / "golden"
STATE = stylegan2()
AVERAGE = np.arange(5, dtype=np.float32)
OTHER = {name: array + 1 for name, array in STATE.items()}


def with_prefix(prefix, state=STATE):
    return {prefix + name: array for name, array in state.items()}


@pytest.mark.parametrize(
    "value",
    [
        STATE,
        {"g": OTHER, "d": {"convs.0.0.weight": AVERAGE}, "g_ema": STATE, "g_optim": {"state": {}}},
        {"params": OTHER, "params_ema": STATE},
        {"state_dict": with_prefix("decoder.") | {"encoder.conv1.weight": AVERAGE}, "opts": {}},
        {"state_dict": with_prefix("G.", OTHER) | with_prefix("G_ema.")},
        {"epoch": 3, "anything": with_prefix("_orig_mod.")},
        with_prefix("module."),
        with_prefix("module.generator."),
    ],
)
def test_a_generator_is_found_under_any_key_and_prefix(tmp_path, value):
    path = tmp_path / "file.pt"
    path.write_bytes(saved(value))
    network = read_network(path)
    assert (network.config.channels, network.config.mapping_layers) == ((6, 4), 2)
    np.testing.assert_array_equal(
        network.synthesis["const"], STATE["input.input"][0].transpose(1, 2, 0)
    )
    assert network.w_avg is None


@pytest.mark.parametrize("average", [AVERAGE, AVERAGE[None], np.tile(AVERAGE, (4, 1))])
def test_the_mean_of_w_may_be_repeated(tmp_path, average):
    path = tmp_path / "file.pt"
    path.write_bytes(saved({"state_dict": with_prefix("decoder."), "latent_avg": average}))
    np.testing.assert_array_equal(read_network(path).w_avg, AVERAGE)


def test_safetensors_are_read(tmp_path):
    path = tmp_path / "file.safetensors"
    safetensors.numpy.save_file(with_prefix("generator.") | {"generator.latent_avg": AVERAGE}, path)
    network = read_network(path)
    assert network.config.channels == (6, 4)
    np.testing.assert_array_equal(network.w_avg, AVERAGE)


def without(*names):
    return {name: array for name, array in STATE.items() if name not in names}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (STATE | {"iwt.ll": AVERAGE, "to_rgbs.0.dwt.ll": AVERAGE}, "a SWAGAN generator"),
        (
            STATE | {"convs.0.conv.blur.kernel": np.ones((4, 4), np.float32) / 4},
            r"convs.0.conv.blur.kernel is not that of \[1, 3, 3, 1\]; expected StyleGAN2's",
        ),
        (
            STATE | {"to_rgbs.0.upsample.kernel": np.ones((2, 2), np.float32)},
            r"to_rgbs.0.upsample.kernel is not that of \[1, 3, 3, 1\]",
        ),
        (
            STATE | {"style.1.weight": np.ones((5, 9), np.float32)},
            "style.1.weight reads 9 numbers where w has 5: a conditional network; expected one",
        ),
        (stylegan2(colours=4), "a generator of images of 4 channels; expected 1 .* or 3"),
        (stylegan2(colours=2), "a generator of images of 2 channels; expected 1 .* or 3"),
        (
            STATE | {"input.input": np.ones((1, 6, 4, 2), np.float32)},
            r"images that are not square: its constant has shape \[6, 4, 2\]; expected \[any, 4, 4",
        ),
        (STATE | {"attention.weight": AVERAGE}, "unknown 'attention.weight'; found 'conv1.activ"),
        (STATE | {"convs.0.extra": AVERAGE}, "unknown 'convs.0.extra'; found"),
        (without("conv1.activate.bias", "to_rgbs.0.bias"), "missing 'conv1.activate.bias', 'to_r"),
        (without("to_rgb1.bias", "style.2.bias"), "missing 'to_rgb1.bias', 'style.2.bias'; found"),
        ({"g_ema": {"nested": STATE}}, "holds no StyleGAN2 generator; .*; found 'g_ema'$"),
        (
            {f"layer{i}.weight": AVERAGE for i in range(9)},
            "; found 'layer0.weight', 'layer1.weight', 'layer2.weight', 'layer3.weight' and 5 more",
        ),
        (
            {"g_ema": STATE, "latent_avg": np.arange(10, dtype=np.float32).reshape(2, 5)},
            "latent_avg has rows that differ; expected one mean of W",
        ),
        (
            STATE | {"conv1.activate.bias": np.arange(6)},
            "array conv1.activate.bias is of type int64; expected float32",
        ),
        (stylegan2(mapping=65), "a mapping network of 65 layers; expected at most 64"),
        (stylegan2(widths=(1,) * 11), r"a generator of 21 layers; expected 3 .* to 19 \(2048 px\)"),
        (
            STATE | {"conv1.activate.bias": np.full(6, np.nan, np.float32)},
            "array conv1.activate.bias has values that are not finite",
        ),
    ],
)
def test_other_networks_are_refused_by_what_is_other(tmp_path, value, message):
    path = tmp_path / "file.pt"
    path.write_bytes(saved(value))
    with pytest.raises(CheckpointError, match=message) as caught:
        read_network(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


NO_IMAGES = {
    "grey and alpha": (stylegan2(colours=2), "a generator of images of 2 channels; expected 1"),
    "colour and alpha": (stylegan2(colours=4), "a generator of images of 4 channels; expected 1"),
    "no square": (
        STATE | {"input.input": np.ones((1, 6, 4, 2), np.float32)},
        "a generator of images that are not square: its constant has shape [6, 4, 2]; expected",
    ),
}


@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_the_loop_has_no_images_of_is_refused_at_the_door(kind, tmp_path, capsys):
    state, message = NO_IMAGES[kind]
    path = tmp_path / "file.pt"
    path.write_bytes(saved({"g_ema": state}))
    preview = ["--preview", str(tmp_path / "p.png")]
    assert main([str(path), str(tmp_path / "out"), *preview]) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert f"{path}: {message}" in told.err
    assert [p.name for p in tmp_path.iterdir()] == ["file.pt"]


def test_damaged_safetensors_are_refused_in_one_line(tmp_path):
    path = tmp_path / "file.safetensors"
    content = safetensors.numpy.save(STATE)
    for damaged, message in [
        (content[:-1], r"a truncated or damaged safetensors file \("),
        ((2**40).to_bytes(8, "little") + content[8:], "a header of 1099511627776 bytes; expected"),
        (content[:40], r"a truncated or damaged safetensors file \("),
    ]:
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=message):
            read_network(path)


def state_of_modules(module, prefix=""):
    """What `state_dict()` of pickled modules would give."""
    own = {name: tensor(value) for part in module._tensors for name, value in part.items()}
    found = {prefix + name: np.array(array) for name, array in own.items()}
    for name in module._modules:
        found |= state_of_modules(module[name], f"{prefix}{name}.")
    return found


@pytest.mark.parametrize("name", ["ada_skip", "ada_labels", "ada_resnet", "ada_alone"])
def test_state_dicts_of_nvidias_networks_need_no_classes(name, tmp_path):
    """The same as the pickle with its classes, but for the bound, which is not in it."""
    source = GOLDEN / f"{name}.pkl"
    value, _ = container.read(source)
    module = nvidia_torch.module(value["G_ema"] if isinstance(value, dict) else value)
    assert module is not None
    state = state_of_modules(module)
    path = tmp_path / "file.pt"
    path.write_bytes(saved({"g_ema": with_prefix("module.", state), "step": 3}))
    found, expected = read_network(path), read_network(source)
    assert found.config == dataclasses.replace(expected.config, conv_clamp=256.0)
    for one, other in (
        (found.mapping, expected.mapping),
        (found.synthesis, expected.synthesis),
        ((found.noises, found.w_avg), (expected.noises, expected.w_avg)),
    ):
        jax.tree.map(np.testing.assert_array_equal, one, other)
    odd = {"synthesis.b8.conv0.resample_filter": np.ones((4, 4), np.float32) / 16}
    for changed, message in (
        (state | odd, r"b8.conv0.resample_filter is not that of \[1, 3, 3, 1\]"),
        (state | {"synthesis.b4.attention": AVERAGE}, "unknown 'synthesis.b4.attention'"),
        ({k: v for k, v in state.items() if "affine.bias" not in k}, "missing 'synthesis.b4"),
    ):
        path.write_bytes(saved(changed))
        with pytest.raises(CheckpointError, match=message):
            read_network(path)

"""Folders of networks from anybody: what they ask for is refused in one line, before it is made."""

import gc
import json
import logging
import os
import pathlib
import resource
import shutil
import time

import numpy as np
import pytest

from ilo_jax import classifiers
from ilo_jax.files import generators
from ilo_jax.files.checkpoint import Checkpoints
from ilo_jax.files.generators import CheckpointError
from ilo_jax.files.orbax_arrays import own_checkpointer

ROOT = pathlib.Path(generators.__file__).parents[1]
GENERATOR = ROOT / "stylegan2" / "pretrained" / "chest64"
CLASSIFIER = ROOT / "classifiers" / "pretrained" / "digits"
ZOO = Checkpoints("animal", ROOT / "stylegan2" / "pretrained", "python -m again")


@pytest.fixture
def folder(tmp_path):
    """The embedded generator again, with its arrays elsewhere."""
    path = tmp_path / "folder"
    path.mkdir()
    shutil.copy(GENERATOR / "generator.json", path)
    (path / "arrays").symlink_to(GENERATOR / "arrays")
    return path


def refused(load, folder, message):
    started = time.process_time()
    with pytest.raises(CheckpointError, match=message) as caught:
        load(folder)
    assert time.process_time() - started < 5
    assert str(caught.value).startswith(f"{folder}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


CONFIG = [
    ({"channels": [8] * 40}, r"channels is 40 numbers; expected 1 to 10\); convert the weights"),
    ({"channels": [10**12]}, "channels is 1000000000000; expected an integer from 1 to 4096"),
    ({"channels": [[8]]}, "channels is a list; expected an integer"),
    ({"channels": "wide"}, "channels is a str; expected an integer"),
    ({"mapping_layers": 10**8}, "mapping_layers is 100000000; expected an integer from 1 to 64"),
    ({"z_dim": 0}, "z_dim is 0; expected an integer from 1 to 4096"),
    ({"w_dim": 64.0}, "w_dim is 64.0; expected an integer"),
    ({"label_dim": 3, "label_width": -1}, "label_width is -1; expected an integer"),
    ({"conv_clamp": float("nan")}, "conv_clamp is no number from 0 to 16777216; expected one"),
    ({"conv_clamp": float("inf")}, "conv_clamp is no number from 0"),
    ({"conv_clamp": 10**12}, "conv_clamp is no number from 0"),
    ({"conv_clamp": "256"}, "conv_clamp is no number from 0"),
    ({"architecture": ["skip"]}, "architecture is unknown; expected skip, orig or resnet"),
    ({"joint_normalization": 1}, "joint_normalization is no truth value"),
    ({"depth": 3}, "config is damaged; convert the weights again"),
    ({"channels": [2048] * 10}, "[0-9]+ parameters; expected at most 134217728; convert the"),
    ({"channels": [512] * 9}, "config asks for [0-9]+ parameters, and the arrays' files have 38"),
    ({"channels": [128, 128]}, "radii are at other layers than 1 to 3"),
    ({"mapping_layers": 7}, "array 'mapping.params.dense_7.bias' is none of the config's; convert"),
    ({"w_dim": 32}, r"array .* is float32\[64\]; expected float32\[32\]; convert the weights"),
]


@pytest.mark.parametrize(("change", "message"), CONFIG)
def test_a_config_is_checked_before_anything_is_built(folder, change, message):
    description = json.loads((GENERATOR / "generator.json").read_text())
    description["config"] |= change
    (folder / "generator.json").write_text(json.dumps(description))
    refused(generators.load, folder, message)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"batch": float("inf")}, "batch is no integer from 0 to 4096"),
        ({"radii": {"1": float("inf")}}, "radii are no numbers from 0 up"),
        ({"radii": {"10": 1}}, "radii are at other layers than 1 to 9"),
        ({"growth": -1}, "growth is no number from 0 up"),
        ({"scarce": 2}, "scarce is no number from 0 to 1"),
        ({"residual": 0}, "residual is no number above 0"),
        ({"grey": "yes"}, "grey is no truth value"),
        ({"colour": 1}, "config is damaged"),
        ({"notice": "one\nmore"}, "notice is no line of text"),
        ({"licence": {}}, "licence is no line of text"),
        ([], "config is damaged"),
    ],
)
def test_facts_are_checked(folder, facts, message):
    description = json.loads((GENERATOR / "generator.json").read_text()) | {"facts": facts}
    (folder / "generator.json").write_text(json.dumps(description))
    refused(generators.load, folder, message)


def test_a_description_is_a_small_file(folder):
    path = folder / "generator.json"
    for content in ("[" * 100_000, '{"format": 1' + "0" * 5000 + "}", " " * 2**21 + "{}"):
        path.write_text(content)
        refused(
            generators.load,
            folder,
            "not a generator; expected a folder or .safetensors file",
        )
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(
        generators.load,
        folder,
        "not a generator; expected a folder or .safetensors file",
    )


@pytest.mark.parametrize("name", ["_METADATA", "d/more", "manifest.ocdbt"])
def test_arrays_are_in_regular_files(tmp_path, name):
    folder = tmp_path / "folder"
    shutil.copytree(CLASSIFIER, folder)
    path = folder / "arrays" / name
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")
    refused(classifiers.load, folder, f"arrays are damaged: {path.name} is not a file of orbax's")


def test_damaged_arrays_are_one_line_and_no_other_is_heard(tmp_path, capfd):
    folder = tmp_path / "folder"
    shutil.copytree(CLASSIFIER, folder)
    for path in folder.glob("arrays/ocdbt.process_0/d/*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(classifiers.load, folder, "arrays are missing or damaged; convert the weights again")
    gc.collect()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"network": "convnet", "resolution": 10**9}, "resolution is 1000000000; expected"),
        ({"network": "convnet", "resolution": 2}, "resolution is 2; expected 3 widths or fewer"),
        ({"network": "convnet", "widths": [8] * 99}, "widths is 99 numbers; expected 1 to 10"),
        ({"network": "convnet", "classes": True}, "classes is a bool; expected an integer"),
        ({"network": "resnet", "stage_sizes": [10**8]}, "stage_sizes is 100000000; expected"),
        ({"network": "resnet", "stage_sizes": [90, 90]}, "together, is 180; expected an integer"),
        ({"network": "resnet", "width": 10**12}, "width is 1000000000000; expected an integer"),
        ({"network": ["resnet"]}, "config is damaged; convert the weights again"),
        ({"network": "resnet"}, "config asks for 25530478 parameters, and the arrays' files have"),
    ],
)
def test_the_config_of_a_classifier_is_checked(tmp_path, config, message):
    folder = tmp_path / "folder"
    shutil.copytree(CLASSIFIER, folder)
    (folder / "classifier.json").write_text(json.dumps({"format": 1, "config": config}))
    refused(classifiers.load, folder, message)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_named(tmp_path, value):
    arrays = {
        "proxy": {"std": np.array([1, value], np.float32)},
        "noises": (np.ones(3, np.float32),),
    }
    ZOO.save(tmp_path / "folder", {}, arrays, {})
    with pytest.raises(
        CheckpointError, match=r"array proxy.std has values that are not finite; conv"
    ):
        ZOO.arrays(tmp_path / "folder", arrays)


def test_a_name_that_stands_for_two_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for load, name in [(generators.load, "chest64"), (classifiers.load, "digits")]:
        pathlib.Path(name).mkdir()
        with pytest.raises(
            CheckpointError, match=f"^{name}: an embedded .*; expected ./{name} for"
        ):
            load(name)
        with pytest.raises(
            CheckpointError, match=r"not a (generator|classifier); expected a folder"
        ):
            load(f"./{name}")
    for name in ("", "..", "x" * 1000, "a\0b"):
        with pytest.raises(CheckpointError, match="not a generator; expected a folder"):
            generators.load(name)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, capfd):
    arrays = {"a": np.random.default_rng(0).random(10**6)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, hard))
    try:
        with pytest.raises(
            CheckpointError, match=r"folder: cannot be written \(File too large\); ex"
        ):
            ZOO.save(tmp_path / "folder", {}, arrays, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []
    assert capfd.readouterr() == ("", "")


def test_a_name_that_cannot_be_written_is_one_line(tmp_path):
    for path in (tmp_path / ("x" * 300), "a\0b", "/dev/null/folder", "/proc/folder"):
        with pytest.raises(CheckpointError, match=r"cannot be written \(") as caught:
            ZOO.save(path, {}, {"a": np.zeros(2, np.float32)}, {})
        assert "\n" not in str(caught.value)


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    for _ in range(20):  # orbax fails before its folders are there, if others make them
        with pytest.raises(CheckpointError, match=r"cannot be written \(Found empty item"):
            ZOO.save(tmp_path / "folder", {}, {}, {})
        assert not list(tmp_path.iterdir())


def test_orbax_may_log_again_afterwards():
    level = logging.getLogger("absl").level
    with own_checkpointer():
        pass
    assert logging.getLogger("absl").level == level

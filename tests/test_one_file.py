"""Generators in one file: the same as in a folder, and what is damaged is refused."""

import json

import jax
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from convert_weights.__main__ import main
from ilo_jax import classifiers
from ilo_jax.classifiers.network import Network
from ilo_jax.classifiers.network import save as save_classifier
from ilo_jax.files.generators import CheckpointError, card_of, load, save
from ilo_jax.priors import Facts

FACTS = Facts(radii=((1, 3.0),), notice="Research only.")
ABOUT = {"source": "x.pt", "sha256": "0" * 64}


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "g.safetensors"
    save(path, load("chest64").generator, ABOUT, FACTS, "# A card\n")
    return path.read_bytes()


@pytest.fixture
def file(content, tmp_path):
    (tmp_path / "g.safetensors").write_bytes(content)
    return tmp_path / "g.safetensors"


def assert_same(one, other):
    assert one.facts == other.facts
    jax.tree.map(np.testing.assert_array_equal, one.generator, other.generator)


def test_a_file_and_a_folder_hold_the_same(file, tmp_path, capsys):
    """There and back by the command, to the same bytes."""
    folder, again = tmp_path / "g", tmp_path / "again.safetensors"
    assert main([str(file), str(folder), "--notice", "Mine.", "--radii", "5,4"]) == 0
    report = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (report["source"], report["radii"]) == ("x.pt", "5 at layer 1, 4 at layer 3")
    assert (folder / "MODEL_CARD.md").read_text() == "# A card\n"
    assert load(folder).facts.notice == "Mine."
    back = ["--notice", FACTS.notice, "--radii", "3"]
    assert main([str(folder), str(again), *back]) == 0
    assert again.read_bytes() == file.read_bytes()
    assert_same(load(again), load(folder).with_facts(notice=FACTS.notice, radii=FACTS.radii))
    assert card_of(folder) == card_of(file) == (ABOUT, "# A card\n")


def test_an_embedded_generator_is_exported_with_its_card(tmp_path):
    assert main(["chest64", str(tmp_path / "chest.safetensors")]) == 0
    assert_same(load(tmp_path / "chest.safetensors"), load("chest64"))
    with safetensors.safe_open(tmp_path / "chest.safetensors", "numpy") as opened:
        told = json.loads(opened.metadata()["ilo_jax"])
    assert "## Attribution" in told["card"]
    assert told["facts"]["licence"].startswith("CC BY 4.0")


def rewritten(change):
    def damage(path):
        with safetensors.safe_open(path, "numpy") as opened:
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            told = json.loads(opened.metadata()["ilo_jax"])
        metadata = change(arrays, told)
        metadata = {"ilo_jax": json.dumps(told)} if metadata is None else metadata
        path.write_bytes(safetensors.numpy.save(arrays, metadata))

    return damage


def truncate(path):
    path.write_bytes(path.read_bytes()[:-4])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)


W_AVG = np.zeros(64, np.float32)
BAD = {
    "truncated": (truncate, r"truncated or damaged \("),
    "a bit": (flip, "arrays have another SHA-256 than was written; convert the weights again"),
    "text": (lambda p: p.write_text("hello"), "not a generator; expected a folder or"),
    "empty": (lambda p: p.write_bytes(b""), "not a generator; expected a folder or"),
    "another's": (rewritten(lambda a, t: {"format": "pt"}), "not a generator; expected"),
    "no JSON": (rewritten(lambda a, t: {"ilo_jax": "{"}), r"truncated or damaged \("),
    "nested": (rewritten(lambda a, t: {"ilo_jax": "[" * 10**5}), r"truncated or damaged \("),
    "a list": (rewritten(lambda a, t: {"ilo_jax": "[1]"}), "not a generator; expected"),
    "a classifier": (rewritten(lambda a, t: t.update(kind="classifier")), "not a generator"),
    "format": (rewritten(lambda a, t: t.update(format=2)), "format 2; expected 1; convert"),
    "config": (rewritten(lambda a, t: t.update(config=3)), "config is damaged; convert"),
    "missing": (rewritten(lambda a, t: a.update(y=a.pop("w_avg"))), "array w_avg is missing"),
    "more": (rewritten(lambda a, t: a.update(x=W_AVG)), "array 'x' is none of the config's"),
    "shape": (
        rewritten(lambda a, t: a.update(w_avg=W_AVG[:3])),
        r"array w_avg is F32\[3\]; expected F32\[64\]",
    ),
    "type": (
        rewritten(lambda a, t: a.update(w_avg=W_AVG.astype(int))),
        r"array w_avg is I64\[64\]",
    ),
    "not finite": (rewritten(lambda a, t: a.update(w_avg=W_AVG * np.nan)), "w_avg has values that"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_in_one_line(kind, file):
    damage, message = BAD[kind]
    damage(file)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(file)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_file_that_is_there_is_not_written_over(file, tmp_path, capsys):
    assert main(["chest64", str(file)]) == 2
    assert "exists already; expected a new folder or file" in capsys.readouterr().err
    (tmp_path / "plain").touch()
    assert main(["chest64", str(tmp_path / "plain" / "x.safetensors")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_classifier_is_no_generator(tmp_path):
    digits = classifiers.load("digits")
    assert isinstance(digits, Network)
    save_classifier(tmp_path / "c.safetensors", digits, {})
    found = classifiers.load(str(tmp_path / "c.safetensors"))
    jax.tree.map(np.testing.assert_array_equal, found, digits)
    with pytest.raises(CheckpointError, match="not a generator"):
        load(tmp_path / "c.safetensors")

"""What converted generators draw, and how files that cannot be converted are refused."""

import functools
import io
import pathlib
import pickle
import shutil
import signal
import tracemalloc
import zipfile

import numpy as np
import pytest
from oracle.compare import differences
from PIL import Image

from convert_weights import convert
from convert_weights.__main__ import main
from convert_weights.convert import read_network
from convert_weights.stopping import stoppable
from ilo_jax.errors import InputError
from ilo_jax.files.generators import CheckpointError, load
from ilo_jax.priors import NO_FACTS, Facts

numerics_elsewhere = True

GOLDEN = pathlib.Path(__file__).parent / "golden"
FILES = sorted(p for p in GOLDEN.iterdir() if p.suffix in (".pt", ".pkl"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_images_equal_those_of_the_code_that_wrote_the_file(path):
    for call, difference, scale in differences(path):
        assert difference <= 2e-5, call
        assert 0.1 < scale < 10


def test_sizes_are_read_off_the_file():
    labels = read_network(GOLDEN / "ada_labels.pkl").config
    assert (labels.z_dim, labels.w_dim, labels.label_dim, labels.label_width) == (7, 9, 3, 5)
    assert labels.mapping_widths == (8, 8, 9)
    assert (labels.channels, labels.image_channels, labels.resolution) == ((12, 12, 8), 1, 16)
    assert read_network(GOLDEN / "ada_resnet.pkl").config.architecture == "resnet"
    assert read_network(GOLDEN / "ada_skip.pkl").config.conv_clamp == 2.0
    assert read_network(GOLDEN / "sg3_labels.pkl").config.conv_clamp == 256
    assert read_network(GOLDEN / "tf_concat.pkl").config.joint_normalization


def test_command_reports_and_writes_a_generator_and_its_preview(tmp_path, capsys):
    source, out, preview = GOLDEN / "ada_labels.pkl", tmp_path / "out", tmp_path / "p.png"
    assert main([str(source), str(out), "--preview", str(preview)]) == 0
    report = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert report["labels"] == "3"
    assert report["w_avg"] == "from the file"
    assert report["format"] == "NVIDIA's PyTorch pickle"
    prior = load(out)
    assert prior.generator.config == read_network(source).config
    assert prior.facts == NO_FACTS
    with Image.open(preview) as image:
        assert image.size == (8 * 16, 4 * 16)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "p.png"]

    assert main([str(source), str(out)]) == 2
    assert "exists already; expected a new folder" in capsys.readouterr().err


def test_what_a_generator_says_of_itself_is_kept(tmp_path, capsys):
    source, out = str(GOLDEN / "ada_labels.pkl"), str(tmp_path / "out")
    told = ["--notice", "Not of people.", "--licence", "CC0", "--grey", "--growth", "10"]
    told += ["--residual", "0.02", "--scarce", "0.1", "--batch", "8"]
    assert main([source, out, "--radii", "300,0.5", *told]) == 0
    report = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert report["radii"] == "300 at layer 1, 0.5 at layer 3"
    assert (report["notice"], report["licence"]) == ("Not of people.", "CC0")
    assert load(out).facts == Facts(
        radii=((1, 300.0), (3, 0.5)),
        growth=10.0,
        scarce=0.1,
        residual=0.02,
        grey=True,
        notice="Not of people.",
        licence="CC0",
        batch=8,
    )

    assert main([source, str(tmp_path / "more"), "--radii", "3,2,1"]) == 2
    assert "3 radii; expected at most 2, one for each usual cut" in capsys.readouterr().err
    for wrong in ("x", "1,-2", "inf", ""):
        with pytest.raises(SystemExit):
            main([source, str(tmp_path / "more"), "--radii", wrong])
        assert "--radii: invalid radii value" in capsys.readouterr().err
    for option in ("growth", "scarce", "residual"):
        assert main([source, str(tmp_path / "more"), f"--{option}", "-1"]) == 2
        assert f"{option} is no number" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_preview_is_refused_before_the_work_is_done(tmp_path, capsys):
    arguments = [str(FILES[0]), str(tmp_path / "out"), "--preview", str(tmp_path / "no" / "p.png")]
    assert main(arguments) == 2
    assert "expected a file in a folder that exists" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def _refused(tmp_path, content, message):
    path = tmp_path / "file.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_network(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


class _Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *args):
        self._reduced = function, args

    def __reduce__(self):
        return self._reduced


def _reconstruct_persistent_obj(meta):
    raise AssertionError(f"{meta['class_name']}: the code in a checkpoint was run")


def _module(name, **modules):
    """Pickles as a module of NVIDIA's does."""
    meta = {"class_name": name, "module_src": "raise SystemExit", "state": {"_modules": modules}}
    return _Call(_reconstruct_persistent_obj, meta)


def _pickled(value):
    """Names our stand-in as NVIDIA's function."""
    content = pickle.dumps(value, 2)
    return content.replace(f"c{__name__}\n".encode(), b"ctorch_utils.persistence\n")


def _network(name, **state):
    """A pickle of `(net,)` with a network as TensorFlow StyleGANs pickle it."""
    body = pickle.dumps({"build_func_name": name, "static_kwargs": {}, "variables": []} | state, 2)
    opcodes = body[2:-1]  # without PROTO and STOP
    return b"\x80\x02cdnnlib.tflib.network\nNetwork\n)\x81" + opcodes + b"b\x85."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"cannot be read \(empty\)"),
        (b"<!DOCTYPE html>", "neither a pickle nor a zip archive nor safetensors; expected"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "neither a pickle nor a zip archive"),
        (b"\x80\x04\x95", "not a pickle, or a truncated or damaged one"),
        (b"PK\x03\x04" + bytes(100), "truncated or damaged zip archive"),
        (pickle.dumps([1, 2]), "holds no StyleGAN2 generator; expected one of: rosinality's"),
        (pickle.dumps({"state_dict": {}}), "holds no StyleGAN2 generator"),
        (pickle.dumps(2**70), "holds no StyleGAN2 generator"),
        (_network("G_style", components={}), "networks 'G_style'; expected a StyleGAN2 generator"),
        (_pickled({"G_ema": None, "D": _module("Discriminator")}), "a discriminator without a"),
        (_pickled(_module("Discriminator", b4=_module("B"))), "a discriminator without mapping"),
        (
            _pickled(
                _module(
                    "Generator", mapping=_module("M"), synthesis=_module("S", input=_module("I"))
                )
            ),
            "a StyleGAN3 generator; expected StyleGAN2",
        ),
        (_network("D_stylegan2"), "networks 'D_stylegan2'; expected a StyleGAN2 generator"),
        (b"\x80\x02\x82\x01.", "opcode EXT1, which no checkpoint needs"),
        (b"\x80\x05\x97.", "opcode NEXT_BUFFER, which no checkpoint needs"),
        (b"\x80\x02K\x01Q.", "opcode BINPERSID, which no checkpoint needs"),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path, content, message):
    _refused(tmp_path, content, message)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_no_code_of_a_file_is_run(tmp_path, protocol):
    trap = tmp_path / "trap"
    value = {
        "g_ema": _Call(pathlib.Path.touch, trap),
        "x": _Call(exec, f"open({str(trap)!r}, 'w')"),
    }
    _refused(tmp_path, pickle.dumps(value, protocol), "holds no StyleGAN2 generator")
    assert not trap.exists()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="No such file or directory"):
        read_network(tmp_path / "none.pt")
    with pytest.raises(InputError, match="it is a folder"):
        read_network(tmp_path)


@pytest.mark.parametrize("name", ["rosinality.pt", "ada_skip.pkl", "tf_skip.pkl"])
def test_values_that_are_not_finite_are_refused(tmp_path, name):
    content = (GOLDEN / name).read_bytes()
    network = read_network(GOLDEN / name)
    assert network.w_avg is not None
    values = np.float32(network.w_avg).tobytes()
    start = content.index(values)
    broken = content[:start] + np.float32(np.nan).tobytes() + content[start + 4 :]
    if name.endswith(".pt"):
        _refused(tmp_path, broken, "entry .* is damaged")  # by the archive's checksum
    else:
        _refused(tmp_path, broken, "values that are not finite")


def _rezipped(change, compression=zipfile.ZIP_STORED):
    """`rosinality.pt` with entries changed by `change(name, content)`."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(GOLDEN / "rosinality.pt") as old,
        zipfile.ZipFile(target, "w", compression) as new,
    ):
        for entry in old.namelist():
            name, content = change(entry, old.read(entry))
            new.writestr(name, content)
    return target.getvalue()


def test_zip_archives_are_told_from_bombs(tmp_path):
    _refused(
        tmp_path, _rezipped(lambda n, c: (n, c), zipfile.ZIP_DEFLATED), "a compressed zip archive"
    )
    _refused(
        tmp_path, _rezipped(lambda n, c: (n.replace("data.pkl", "x"), c)), "without a data.pkl"
    )
    _refused(tmp_path, _rezipped(lambda n, c: (n.replace("data/0", "y"), c)), "entry .*data/0")
    short = _rezipped(lambda n, c: (n, c[:-4] if "/data/" in n else c))
    _refused(tmp_path, short, "a storage of .* bytes: truncated or damaged")
    big = _rezipped(lambda n, c: (n, b"big" if n.endswith("byteorder") else c))
    _refused(tmp_path, big, "big-endian")


def test_names_in_an_archive_are_no_paths(tmp_path):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    path = folder / "file.pt"
    extra = _rezipped(lambda n, c: (f"../{n}" if n.endswith(".format_version") else n, c))
    path.write_bytes(extra)
    read_network(path)
    assert [p.name for p in tmp_path.rglob("*")] == ["a", "b", "file.pt"]


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x96" + (2**40).to_bytes(8, "little") + b".",  # a bytearray of a tebibyte
        b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b".",  # bytes
        b"\x80\x02]r\xff\xff\xff\xff.",  # the last of 2**32 places of the memo
        b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".",  # tuples in tuples
        b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"K\x01s.",  # as a key
        b"\x80\x02)" + b"q\x00h\x00\x86" * 200 + b".",  # 2**200 leaves
        b"\x80\x02\x8b" + (2**31 - 1).to_bytes(4, "little") + b".",  # an integer of 2 GiB
    ],
)
def test_sizes_are_checked_before_memory_is_taken(tmp_path, content):
    tracemalloc.start()
    try:
        _refused(tmp_path, content, "not a pickle|holds no StyleGAN2")
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


def test_a_tensor_must_lie_in_its_storage(tmp_path):
    for old, new in [
        (b"K\x0cK\x0a\x86", b"K\x7fK\x7f\x86"),
        (b"K\x0aK\x01\x86", b"K\x7fK\x7f\x86"),
    ]:

        def change(name, content, old=old, new=new):
            return name, content.replace(old, new) if name.endswith("data.pkl") else content

        _refused(tmp_path, _rezipped(change), "does not lie in its storage")


def test_arrays_must_go_with_each_other(tmp_path):
    def change(name, content):
        return name, content.replace(b"convs.0.conv.weight", b"convs.0.conv.heavyy")

    told = "missing 'convs.0.conv.weight'; unknown 'convs.0.conv.heavyy'; found 'conv1.activate.b"
    _refused(tmp_path, _rezipped(change), told)

    def shape(name, content):
        return name, content.replace(b"to_rgbs.0.bias", b"to_rgbs.9.bias")

    _refused(tmp_path, _rezipped(shape), "missing 'to_rgbs.0.bias'; unknown 'to_rgbs.9.bias'")


def test_a_half_made_folder_is_not_left(tmp_path, monkeypatch, capsys):
    shutil.copy(GOLDEN / "ada_labels.pkl", tmp_path / "in.pkl")

    def fail(*args, **kwargs):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("ilo_jax.files.checkpoint.write_arrays", fail)
    assert main([str(tmp_path / "in.pkl"), str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err == "interrupted: a folder is written whole or not at all\n"
    assert [p.name for p in tmp_path.iterdir()] == ["in.pkl"]


def test_a_preview_that_fails_leaves_the_folder(tmp_path, monkeypatch, capsys):
    def fail(path, generator):
        raise InputError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr("convert_weights.command.write_preview", fail)
    few = functools.partial(convert.to_generator, samples=2**6)
    monkeypatch.setattr(convert, "to_generator", few)
    source, out, preview = GOLDEN / "ada_labels.pkl", tmp_path / "out", tmp_path / "p.png"
    assert main([str(source), str(out), "--preview", str(preview)]) == 1
    told = f"error: {preview}: cannot be written (No space left on device); {out} is written\n"
    assert capsys.readouterr().err == told
    assert load(out).facts == NO_FACTS


def test_a_command_that_is_stopped_says_so_in_one_line(capsys):
    for number, code, told in [
        (signal.SIGINT, 130, "interrupted: a folder is written whole or not at all\n"),
        (signal.SIGTERM, 143, "terminated: a folder is written whole or not at all\n"),
    ]:
        before = signal.getsignal(number)
        assert stoppable(lambda number=number: signal.raise_signal(number) or 0) == code
        assert capsys.readouterr().err == told
        assert signal.getsignal(number) == before

"""Files that are no images, or damaged ones."""

import contextlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_images import GREY, RGB, SHAPE, pillow

from ilo_jax.errors import InputError
from ilo_jax.files import decode
from ilo_jax.files.images import read_exact, read_image, read_mask


def save_text(path: Path) -> None:
    path.write_text("this is not a picture\n" * 100)


def save_empty(path: Path) -> None:
    path.write_bytes(b"")


def save_eps(path: Path) -> None:
    pillow(RGB).save(path, format="EPS")


def save_mp4(path: Path) -> None:
    """Begins as HEIC does, and is not taken for one."""
    path.write_bytes(b"\0\0\0\x1cftypisom\0\0\2\0isomiso2avc1mp41" + bytes(400))


def save_truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    pillow(noise).save(path)
    path.write_bytes(path.read_bytes()[:6000])


def save_nothing(path: Path) -> None:
    pass


def save_folder(path: Path) -> None:
    path.mkdir()


def save_fifo(path: Path) -> None:
    os.mkfifo(path)


def save_loop(path: Path) -> None:
    path.symlink_to(path)


def save_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def save_large_integers(path: Path) -> None:
    pillow(GREY.astype(np.int32) * 100_000).save(path, format="TIFF")


def save_negative_floats(path: Path) -> None:
    pillow(GREY.astype(np.float32) - 100).save(path, format="TIFF")


def save_nan(path: Path) -> None:
    pillow(np.full((8, 8), np.nan, np.float32)).save(path, format="TIFF")


BAD_FILES = {
    "text": (save_text, "not an image"),
    "empty": (save_empty, "not an image"),
    "eps": (save_eps, "not an image"),
    "mp4": (save_mp4, "not an image"),
    "truncated": (save_truncated, "cannot be read"),
    "missing": (save_nothing, "No such file"),
    "folder": (save_folder, "it is a folder"),
    "fifo": (save_fifo, "it is a FIFO"),
    "link loop": (save_loop, "Too many levels of symbolic links"),
    "device": (save_device, "it is a device"),
    "large integers": (save_large_integers, "0..65535"),
    "negative floats": (save_negative_floats, r"\[0, 1\] or \[0, 255\]"),
    "nan": (save_nan, "values from nan"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("read", [read_image, read_exact, lambda p, s: read_mask(p, s[:2])])
def test_a_bad_file_is_refused_in_one_line(kind, read, tmp_path):
    save, expected = BAD_FILES[kind]
    path = tmp_path / "x.png"
    save(path)
    with pytest.raises(InputError, match=expected) as caught:
        read(path, SHAPE)
    assert str(path) in str(caught.value)
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pillows", [40, 10], ids=["warning", "error"])
def test_a_decompression_bomb_is_refused(pillows, tmp_path, monkeypatch):
    pillow(RGB).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows)
    monkeypatch.setattr(decode, "MOST_PIXELS", 63)
    with pytest.raises(InputError, match="too large; expected at most 63 pixels"):
        read_image(tmp_path / "x.png", SHAPE)


def test_a_picture_that_pillow_warns_of_is_read(tmp_path, monkeypatch):
    pillow(RGB).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    image, note = read_image(tmp_path / "x.png", SHAPE)
    np.testing.assert_allclose(image, RGB / 127.5 - 1, atol=1e-6)
    assert note is None


def test_a_file_is_not_read_for_ever(tmp_path, monkeypatch):
    """A GIF after whose picture nothing says where the next one begins."""
    monkeypatch.setattr(decode, "_MOST_READS", 1000)
    pillow(GREY).save(tmp_path / "x.gif")
    content = (tmp_path / "x.gif").read_bytes()
    assert content.endswith(b";")
    (tmp_path / "x.gif").write_bytes(content[:-1] + bytes(2000))
    with pytest.raises(InputError, match=r"x.gif: cannot be read \(more than 1000 parts\)"):
        read_image(tmp_path / "x.gif", SHAPE)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    pillow(GREY).save(tmp_path / "x.bmp")
    os.truncate(tmp_path / "x.bmp", 2**31)
    with pytest.raises(InputError, match=r"x.bmp: too large \(2147483648 bytes\); expected"):
        read_image(tmp_path / "x.bmp", SHAPE)


def test_samples_have_a_limit_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "_MOST_BYTES", 1_000_000)
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((400, 400, 3)), photometric="rgb")
    with pytest.raises(InputError, match=r"too large \(3 MB of samples\); expected at most 1 MB"):
        read_image(tmp_path / "x.tif", SHAPE)


def test_nothing_of_what_libraries_say_is_shown(tmp_path, caplog, capfd):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, GREY, extratags=[(65000, "H", 1, 7, True)])
    tag, damaged = (struct.pack("<HHI", 65000, kind, 1) for kind in (3, 99))
    content = path.read_bytes()
    assert content.count(tag) == 1
    path.write_bytes(content.replace(tag, damaged))
    note = read_image(path, SHAPE)[1]
    assert note is not None
    assert note.startswith("x.tif: doubtful file (")
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("named", [5, 32946])  # LZW, Deflate
def test_nothing_of_what_libtiff_writes_is_shown(named, tmp_path, capfd):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, RGB, photometric="rgb")
    plain, packed = (struct.pack("<HHIHH", 259, 3, 1, kind, 0) for kind in (1, named))
    content = path.read_bytes()
    assert content.count(plain) == 1
    path.write_bytes(content.replace(plain, packed))
    with pytest.raises(InputError, match=r"x.tif: cannot be read \("):
        read_image(path, SHAPE)
    assert capfd.readouterr() == ("", "")
    os.write(2, b"heard again")
    assert capfd.readouterr().err == "heard again"


@given(data=st.data(), suffix=st.sampled_from(["png", "jpg", "tif", "gif", "webp", "bmp"]))
def test_a_damaged_file_is_read_or_refused_but_nothing_else(data, suffix, tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / f"x.{suffix}"
    pillow(RGB).save(path)
    content = bytearray(path.read_bytes())
    stop = data.draw(st.integers(0, len(content)))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[:stop])
    with contextlib.suppress(InputError):
        image, _ = read_image(path, SHAPE)
        assert image.shape == SHAPE
        assert np.abs(image).max() <= 1

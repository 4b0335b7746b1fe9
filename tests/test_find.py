"""Which files a user means."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilo_jax.errors import InputError
from ilo_jax.files.find import file_of, find_images, natural_key


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_find_images_in_files_folders_and_globs(tmp_path):
    touch(tmp_path, "f/x10.png", "f/x2.JPG", "f/.hidden.png", "f/notes.txt", "f/deep/y.png")
    touch(tmp_path, "g/z1.png", "g/z2.tif", "loose.dat", "odd[1].png")
    f, g = str(tmp_path / "f"), str(tmp_path / "g" / "*.png")
    names = [p.name for p in find_images([g, f, f, str(tmp_path / "f" / ".." / "f" / "x2.JPG")])]
    assert names == ["x2.JPG", "x10.png", "z1.png"]
    assert [p.name for p in find_images([str(tmp_path / "loose.dat")])] == ["loose.dat"]
    assert [p.name for p in find_images([str(tmp_path / "odd[1].png")])] == ["odd[1].png"]
    assert [p.name for p in find_images([str(tmp_path / "f" / "**" / "y*")])] == ["y.png"]


def test_what_is_not_read_is_told(tmp_path):
    touch(tmp_path, "x.png", "x.txt", "y.AVIF", "z.jfif", "k.npy", "deep/w.png", ".hidden/v.png")
    said: list[str] = []

    def names(**options) -> list[str]:
        return [p.name for p in find_images([str(tmp_path)], say=said.append, **options)]

    assert names() == ["x.png", "y.AVIF", "z.jfif"]
    assert names(recursive=True) == ["w.png", "x.png", "y.AVIF", "z.jfif"]
    assert said == [f"{tmp_path}: 2 not read, by their extension: k.npy, x.txt"] * 2
    (tmp_path / "x.txt").unlink()
    assert names(measured=True) == ["k.npy", "x.png", "y.AVIF", "z.jfif"]
    assert len(said) == 2


def test_a_file_of_a_name_is_the_only_one(tmp_path):
    touch(tmp_path, "x.png", "x.txt", "z10.npy", "y.npy", "y.PNG")
    assert file_of(tmp_path, "x").name == "x.png"
    assert file_of(tmp_path, None).name == "x.png"
    for name, there in (("z", "none"), ("y", "y.npy, y.PNG|y.PNG, y.npy")):
        with pytest.raises(InputError, match=f"files named {name}: ({there}); expected one for"):
            file_of(tmp_path, name)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["nowhere.png"], "nowhere.png: does not exist; expected"),
        ([""], "'': does not exist; expected"),
        (["empty"], "empty: no images; expected"),
        (["none-*.png"], r"none-\*.png: matches no file; expected"),
        (["emp*"], "emp.*: matches no file; expected"),
        (["a/x.png", "b"], "a/x.png and b/x.jpg: .*expected file names that differ"),
        (
            ["long"],
            f"long/{'x' * 251}.png: a name of 251 bytes before the extension; expected at most",
        ),
        (["breaks"], r"'breaks/a\\nb.png': a line break in a file name"),
        (
            ["dots/...png"],
            r"dots/\.\.\.png: no name before the extension; expected one",
        ),
        (["one/..png"], r"one/\.\.png: no name before the extension"),
        (["case"], "case/Y.png and case/y.tif: .*expected file names that differ"),
    ],
)
def test_find_images_refuses(paths, expected, tmp_path, monkeypatch):
    touch(tmp_path, "breaks/a\nb.png", "one/..png", "dots/...png")
    touch(tmp_path, f"long/{'x' * 251}.png")
    touch(tmp_path, "empty/notes.txt", "a/x.png", "b/x.jpg", "case/Y.png", "case/y.tif")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^{expected}"):
        find_images(paths)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_find_images_refuses_an_unreadable_folder(tmp_path):
    tmp_path.chmod(0o300)
    with pytest.raises(InputError, match="cannot be read"):
        find_images([str(tmp_path)])


@given(st.lists(st.integers(0, 10**6)))
def test_natural_order_is_numeric(numbers):
    names = sorted((f"im{n}.png" for n in numbers), key=natural_key)
    assert names == [f"im{n}.png" for n in sorted(numbers)]

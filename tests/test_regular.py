"""Only regular files are opened, and nothing is waited for."""

import os
import socket

import pytest

from ilo_jax.errors import InputError
from ilo_jax.files.regular import open_regular, read_regular


def test_a_file_and_a_link_to_it_are_read(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link") == b"abc"
    assert read_regular(str(tmp_path / "file"), limit=3) == b"abc"
    with open_regular(tmp_path / "file") as file:
        assert file.read(2) == b"ab"


def test_a_file_beyond_the_limit_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"abcd")
    with pytest.raises(InputError, match=r"file: too large \(4 bytes\); expected at most 3 bytes"):
        read_regular(tmp_path / "file", limit=3)


def test_a_file_that_says_it_is_empty_is_held_to_the_limit():
    with pytest.raises(InputError, match="/proc/self/status: too large; expected at most 3 bytes"):
        read_regular("/proc/self/status", limit=3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("missing", "No such file"),
        ("folder", "it is a folder"),
        ("fifo", "it is a FIFO"),
        ("link-to-fifo", "it is a FIFO"),
        ("socket", "it is a socket"),
        ("loop", "Too many levels of symbolic links"),
        ("/dev/zero", "it is a device"),
        ("null\0", "null"),
        ("a" * 300, "File name too long"),
    ],
)
def test_anything_else_is_one_line_at_once(name, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder")
    os.mkfifo("fifo")
    os.symlink("fifo", "link-to-fifo")
    os.symlink("loop", "loop")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(InputError, match=rf"cannot be read \(.*{expected}.*; expected a reg"):
            open_regular(name)

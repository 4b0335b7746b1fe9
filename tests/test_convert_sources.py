"""Downloads, from a server on loopback."""

import functools
import http.server
import os
import pathlib
import shutil
import subprocess
import sys
import threading
from typing import ClassVar

import numpy as np
import pytest

from convert_weights import convert, download, sources
from convert_weights.__main__ import main
from ilo_jax.files.generators import CheckpointError, load

GOLDEN = pathlib.Path(__file__).parent / "golden"


WHOLE = b"\x80" + np.random.default_rng(0).bytes(300_000)
BROUGHT = 2**16


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, counts requests, and breaks off answers for `broken.pt`, of which it gives
    the rest where a version is told."""

    breaks = 0
    brings = BROUGHT
    tag: str | None = None
    requests: ClassVar[list[str]] = []
    ranges: ClassVar[list[str | None]] = []

    def do_GET(self):
        _Handler.requests.append(self.path)
        if self.path != "/broken.pt":
            return super().do_GET()
        wanted = self.headers.get("Range")
        _Handler.ranges.append(wanted)
        start = 0
        if wanted is not None and self.headers["If-Range"] == _Handler.tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(WHOLE) - 1}/{len(WHOLE)}")
        else:
            self.send_response(200)
        if _Handler.tag is not None:
            self.send_header("ETag", _Handler.tag)
        self.send_header("Content-Length", str(len(WHOLE) - start))
        self.end_headers()
        rest = WHOLE[start:]
        if _Handler.breaks:
            _Handler.breaks -= 1
            rest = rest[: _Handler.brings]
        self.wfile.write(rest)

    def end_headers(self):
        if "/resolve/" in self.path:  # as the hub has it
            self.send_header("ETag", '"of a file"')
            self.send_header("X-Repo-Commit", "0" * 40)
        super().end_headers()

    def log_message(self, format, *args):
        pass


@pytest.fixture
def address(tmp_path, monkeypatch):
    monkeypatch.setenv("ILO_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    shutil.copy(GOLDEN / "rosinality_legacy.pt", folder / "genuine.pt")
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder))
    ) as server:
        _Handler.requests.clear()
        _Handler.ranges.clear()
        _Handler.breaks, _Handler.brings, _Handler.tag = 0, BROUGHT, None
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_what_was_downloaded_is_kept(address):
    first = sources.locate(f"{address}/genuine.pt")
    assert first.read_bytes() == (GOLDEN / "rosinality_legacy.pt").read_bytes()
    assert sources.locate(f"{address}/genuine.pt") == first
    assert _Handler.requests == ["/genuine.pt"]


def test_what_was_damaged_in_the_cache_is_downloaded_again(address):
    path = sources.locate(f"{address}/genuine.pt")
    path.write_bytes(path.read_bytes()[:100])
    assert sources.locate(f"{address}/genuine.pt").stat().st_size > 100
    assert len(_Handler.requests) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n<!DOCTYPE html><title>Sign in</title>", "gives a web page; expected the checkpoint"),
        (b"<html>Google Drive - Quota exceeded</html>", "a web page, of a quota that is exceeded"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "gives a Git LFS pointer"),
        (b'{"error":\n "Invalid token"}', """gives JSON, '{"error": "Invalid token"}'; expected"""),
        ("Nicht gefunden ü 404".encode(), "gives text, 'Nicht gefunden ü 404'; expected"),
        (b"", "gives an empty file; expected"),
    ],
)
def test_what_is_served_in_place_of_a_file_is_not_kept(address, tmp_path, content, message):
    (tmp_path / "served" / "page.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        sources.locate(f"{address}/page.pt")
    assert "\n" not in str(caught.value)
    assert list(sources.cache_folder().iterdir()) == []


def test_a_download_that_breaks_off_leaves_nothing_where_no_version_is_told(address):
    _Handler.breaks = 1
    with pytest.raises(CheckpointError, match="cannot be downloaded") as caught:
        sources.locate(f"{address}/broken.pt")
    assert "\n" not in str(caught.value)
    assert list(sources.cache_folder().iterdir()) == []
    assert sources.locate(f"{address}/broken.pt").read_bytes() == WHOLE


def test_a_download_that_breaks_off_goes_on_where_it_stopped(address):
    _Handler.breaks, _Handler.tag = 2, '"first"'
    path = sources.locate(f"{address}/broken.pt")
    assert path.read_bytes() == WHOLE
    assert _Handler.ranges == [None, f"bytes={BROUGHT}-", f"bytes={2 * BROUGHT}-"]
    assert sorted(sources.cache_folder().iterdir()) == [path, path.with_name(f"{path.name}.sha256")]


@pytest.mark.parametrize("changed", [False, True])
def test_a_later_call_goes_on_unless_the_file_has_changed(address, changed):
    _Handler.breaks, _Handler.tag = 1, '"first"'
    sources.locate(f"{address}/genuine.pt")  # makes the cache
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(download, "_BROKEN", ())  # as where the network is gone
        with pytest.raises(CheckpointError, match=f"{BROUGHT} of {len(WHOLE)} bytes are kept, and"):
            sources.locate(f"{address}/broken.pt")
    if changed:
        _Handler.tag = '"second"'
        [part] = sources.cache_folder().glob("*.part")
        part.write_bytes(bytes(BROUGHT))
    assert sources.locate(f"{address}/broken.pt").read_bytes() == WHOLE
    assert _Handler.ranges == [None, f"bytes={BROUGHT}-"]


def test_a_part_that_is_longer_than_the_file_is_begun_again(address):
    _Handler.breaks, _Handler.tag = 1, '"first"'
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(download, "_BROKEN", ())
        with pytest.raises(CheckpointError):
            sources.locate(f"{address}/broken.pt")
    [part] = sources.cache_folder().glob("*.part")
    part.write_bytes(bytes(len(WHOLE)))  # that many, but others
    _Handler.tag = None
    assert sources.locate(f"{address}/broken.pt").read_bytes() == WHOLE


FROM_HUB = """
import sys
from convert_weights.sources import locate
from ilo_jax.errors import InputError
for source in sys.argv[1:]:
    try:
        print(locate(source).read_bytes() == open("genuine.pt", "rb").read())
    except InputError as error:
        print(error)
"""


@pytest.mark.slow
def test_files_of_the_hub(address, tmp_path):
    """In a process of its own: the library reads its endpoint when it is imported."""
    pytest.importorskip("huggingface_hub", reason="reads the hub: pip install 'ilo_jax[hub]'")
    folder = tmp_path / "served" / "owner" / "name" / "resolve" / "main"
    folder.mkdir(parents=True)
    shutil.copy(GOLDEN / "rosinality_legacy.pt", folder / "genuine.pt")
    files = ["owner/name/genuine.pt", "owner/name@main/genuine.pt", "owner/name/none.pt", "owner"]
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", FROM_HUB, *(f"hf://{file}" for file in files)],
        cwd=tmp_path / "served",
        env={**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hub")},
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert found[:2] == ["True", "True"]
    assert found[2].startswith("hf://owner/name/none.pt: cannot be downloaded (")
    assert found[3:] == ["hf://owner: expected hf://owner/name/file"]


def test_names_stand_for_addresses(address, monkeypatch, tmp_path, capsys):
    known = {"genuine": sources.Source(f"{address}/genuine.pt", 8)}
    monkeypatch.setattr(sources, "NETWORKS", known)
    monkeypatch.setattr(convert, "NETWORKS", known)
    few = functools.partial(convert.to_generator, samples=2**10)
    monkeypatch.setattr(convert, "to_generator", few)
    assert main(["genuine", str(tmp_path / "out")]) == 0
    report = capsys.readouterr().out
    assert "source        genuine\n" in report
    assert "licence       NVIDIA Source Code License (non-commercial)\n" in report
    assert load(tmp_path / "out").facts.licence == known["genuine"].licence


@pytest.mark.parametrize("path", ["none.pt", ""])
def test_what_cannot_be_downloaded_is_refused_in_one_line(address, path, capsys, tmp_path):
    code = main([f"{address}/{path}", str(tmp_path / "out")])
    error = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert error.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(CheckpointError, match=r"http://127\.0\.0\.1:9/x: cannot be downloaded"):
        download.download("http://127.0.0.1:9/x", tmp_path)


def test_well_known_networks_have_distinct_secure_addresses():
    urls = [source.url for source in sources.NETWORKS.values()]
    assert len(set(urls)) == len(urls)
    assert all(url.startswith("https://") for url in urls)


def test_the_page_lists_the_networks():
    page = (pathlib.Path(__file__).parents[1] / "docs" / "checkpoints.md").read_text()
    for name, source in sources.NETWORKS.items():
        assert f"| `{name}` | {source.resolution} px | <{source.url}> |" in page

"""Downloads, from a server on loopback."""

import functools
import http.server
import pathlib
import shutil
import threading
from typing import ClassVar

import pytest

from convert_weights import convert, sources
from convert_weights.__main__ import main
from ilo_jax.files.generators import CheckpointError, load

GOLDEN = pathlib.Path(__file__).parent / "golden"


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, counts requests, and breaks off the first answers for `broken.pt`."""

    breaks = 0
    requests: ClassVar[list[str]] = []

    def do_GET(self):
        _Handler.requests.append(self.path)
        if self.path == "/broken.pt" and _Handler.breaks:
            _Handler.breaks -= 1
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(bytes(1000))
        else:
            super().do_GET()

    def log_message(self, format, *args):
        pass


@pytest.fixture
def address(tmp_path, monkeypatch):
    monkeypatch.setenv("ILO_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    shutil.copy(GOLDEN / "rosinality_legacy.pt", folder / "genuine.pt")
    shutil.copy(GOLDEN / "rosinality_legacy.pt", folder / "broken.pt")
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder))
    ) as server:
        _Handler.requests.clear()
        thread = threading.Thread(target=server.serve_forever)
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
    ],
)
def test_what_is_served_in_place_of_a_file_is_not_kept(address, tmp_path, content, message):
    (tmp_path / "served" / "page.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        sources.locate(f"{address}/page.pt")
    assert "\n" not in str(caught.value)
    assert list(sources.cache_folder().iterdir()) == []


def test_a_download_that_breaks_off_leaves_nothing_and_can_be_redone(address):
    _Handler.breaks = 1
    with pytest.raises(CheckpointError, match="cannot be downloaded") as caught:
        sources.locate(f"{address}/broken.pt")
    assert "\n" not in str(caught.value)
    assert list(sources.cache_folder().iterdir()) == []
    assert sources.locate(f"{address}/broken.pt").stat().st_size > 1000


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
        sources.download("http://127.0.0.1:9/x", tmp_path)


def test_well_known_networks_have_distinct_secure_addresses():
    urls = [source.url for source in sources.NETWORKS.values()]
    assert len(set(urls)) == len(urls)
    assert all(url.startswith("https://") for url in urls)


def test_the_page_lists_the_networks():
    page = (pathlib.Path(__file__).parents[1] / "docs" / "checkpoints.md").read_text()
    for name, source in sources.NETWORKS.items():
        assert f"| `{name}` | {source.resolution} px | <{source.url}> |" in page

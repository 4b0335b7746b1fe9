"""Images in tables and object stores: an S3 server of the test's own, on the loopback."""

import io
import json
import pathlib
import socket
import tarfile
import time
import urllib.request

import numpy as np
import pytest
from outputs import pictures, rows, summary
from PIL import Image
from test_ray import place, ray_there, run  # noqa: F401  fixtures

from ilo_jax.app.cluster import parts
from ilo_jax.app.cluster.parts import Parts
from ilo_jax.app.cluster.sources import Source, sources_of
from ilo_jax.app.cluster.stages import name_of
from ilo_jax.app.cluster.stores import locked_url
from ilo_jax.app.cluster.work import Done
from ilo_jax.app.metrics import NOT_FINITE, Row, statistics
from ilo_jax.errors import InputError

looks_at_files = True

OPTIONS = "--generator gen --steps 2,2 --batch-size 4"


@pytest.fixture(scope="module")
def arrow():
    pytest.importorskip("pyarrow", reason="pyarrow is in ilo_jax[ray]")


@pytest.fixture
def bucket(monkeypatch, arrow):
    """A file system with the bucket `bucket`."""
    server = pytest.importorskip("moto.server", reason="moto is in ilo_jax[slow]")
    s3fs = pytest.importorskip("s3fs", reason="s3fs is in ilo_jax[ray]")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "anybody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()  # its buckets outlive a server
    system = s3fs.S3FileSystem()
    system.mkdir("bucket")
    yield system
    s3fs.S3FileSystem.clear_instance_cache()
    running.stop()


@pytest.fixture
def google(monkeypatch, arrow):
    """A file system of Google's kind with the bucket `bucket`."""
    server = pytest.importorskip(
        "gcp_storage_emulator.server", reason="gcp-storage-emulator is in ilo_jax[slow]"
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    # What it asks for, another kind of bucket, the emulator does not know.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    gcsfs = pytest.importorskip("gcsfs", reason="gcsfs is in ilo_jax[slow]")
    running = server.create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    running.start()
    gcsfs.GCSFileSystem.clear_instance_cache()
    yield gcsfs.GCSFileSystem()
    gcsfs.GCSFileSystem.clear_instance_cache()
    running.stop()


def png(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "png")
    return content.getvalue()


def table(file, columns: dict) -> None:
    import pyarrow as pa  # pyright: ignore[reportMissingImports]
    from pyarrow import parquet  # pyright: ignore[reportMissingImports]

    parquet.write_table(pa.table(columns), file)


def tar(path: pathlib.Path, files: dict[str, bytes]) -> str:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return str(path)


def test_a_tar_has_its_images_by_key(tmp_path):
    files = {"x/a.png": b"1", "x/a.json": b"{}", "b.mask.png": b"m", "b.png": b"2", "c.png": b"3"}
    url = tar(tmp_path / "images.tar", files)
    first, second = Source(url).works(2)
    assert (first.files, first.contents) == (("x_a.png", "b.png"), (b"1", b"2"))
    assert (second.files, second.contents, second.masks) == (("c.png",), (b"3",), None)
    assert list(Source(url).works(2)) == [first, second]
    with pytest.raises(InputError, match=r"x/a has .png, .json; expected one image and one mask"):
        list(Source(url, masks=True).works(2))
    one = tar(tmp_path / "one.tar", {"b.mask.png": b"m", "b.png": b"2"})
    (work,) = Source(one, masks=True).works(2)
    assert (work.contents, work.masks) == ((b"2",), (b"m",))


def test_a_table_has_its_images_in_columns(tmp_path, arrow):
    path = str(tmp_path / "images.parquet")
    table(path, {"key": ["a", "b/c", "d"], "bytes": [b"1", b"2", b"3"], "mask": [b"m"] * 3})
    first, second = Source(path, masks=True).works(2)
    assert [name_of(file) for file in first.files] == ["a", "b_c"]
    assert (first.contents, first.masks) == ((b"1", b"2"), (b"m", b"m"))
    assert second.contents == (b"3",)
    assert sources_of([f"{tmp_path}/*.parquet"], False, False, False)[0].url.endswith(path)


def test_tables_that_are_not_what_is_expected_are_told(tmp_path, arrow):
    path = str(tmp_path / "images.parquet")
    table(path, {"id": ["a"], "bytes": [b"1"]})
    with pytest.raises(InputError, match="columns id, bytes; expected key, measurement"):
        sources_of([path], True, False, False)
    with pytest.raises(InputError, match="is not there; expected a table or a folder"):
        sources_of([str(tmp_path / "other.parquet")], False, False, False)
    with pytest.raises(InputError, match="matches nothing"):
        sources_of([str(tmp_path / "*.tar")], False, False, False)
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(InputError, match=r"text.parquet: .*; expected an address"):
        sources_of([str(tmp_path / "text.parquet")], False, False, False)


def test_parts_are_there_once_and_known_by_their_batch(tmp_path, arrow):
    values = [20.0, 22.5, 31.0]
    found = Parts(str(tmp_path), 7)
    found.begin({"task": "invert", "seed": 7})
    good = [Row(f"x{i}", v, None, 0.1, 1.0, f"in{i}") for i, v in enumerate(values)]
    failed = Row("x3", None, None, None, None, "in3", NOT_FINITE)
    done = Done(
        (*good[:2], failed),
        {"images/x0.png": b"zero", "images/x1.png": b"one", "spread/x1.png": b"s"},
        b"x0,1,10,0.5\nx1,1,10,0.25\n",
        key="first",
        device="cpu",
    )
    for _ in range(2):
        found.write(done)
    found.write(Done((good[2],), {"images/x2.png": b"two"}, key="second", device="other"))
    assert found.known("first") == {"x0": "in0", "x1": "in1"}
    assert found.known("third") == {}
    told, statuses = found.summarize({"seed": 7})
    assert statuses == {"ok": 3, NOT_FINITE: 1}
    assert told["psnr_db"] == pytest.approx(statistics(values))
    assert told["ssim"] == {"mean": None, "std": None}
    assert json.loads((tmp_path / "summary.json").read_text())["images"] == 3
    rows_ = read(tmp_path / "part-first.parquet")
    assert [row["image"] for row in rows_] == [b"zero", b"one", None]
    assert rows_[1]["files"] == [{"path": "spread/x1.png", "content": b"s"}]
    assert (rows_[1]["history"], rows_[1]["seed"]) == ("x1,1,10,0.25\n", 7)
    with pytest.raises(InputError, match="holds a run with seed 7; expected seed 8"):
        found.begin({"task": "invert", "seed": 8})


def test_names_that_look_alike_keep_their_own(tmp_path, arrow):
    found = Parts(str(tmp_path), 7)
    names = ("1", "a", "a,b", 'line\n"two"')
    files = {f"images/{name}.png": name.encode() for name in names}
    files |= {"samples/a/1.png": b"of a", "samples/1/1.png": b"of 1"}
    history = b'1,1,10,0.5,1\na,1,10,0.5,2\n"a,b",1,10,0.5,3\n"line\n""two""",1,10,0.5,4\n'
    rows = tuple(Row(name, 20.0, None, 0.1, 1.0, "in") for name in names)
    found.write(Done(rows, files, history, key="first", device="cpu"))
    stored = {row["key"]: row for row in read(tmp_path / "part-first.parquet")}
    assert {name: row["image"] for name, row in stored.items()} == {n: n.encode() for n in names}
    assert stored["1"]["files"] == [{"path": "samples/1/1.png", "content": b"of 1"}]
    assert stored["a"]["files"] == [{"path": "samples/a/1.png", "content": b"of a"}]
    assert "".join(stored[name]["history"] for name in names).encode() == history


def test_statistics_of_exact_images_are_infinite():
    found = parts._Sum()
    found.add(iter([1.0, float("inf")]))
    assert found.statistics() == statistics([1.0, float("inf")])


def read(file) -> list[dict]:
    from pyarrow import parquet  # pyright: ignore[reportMissingImports]

    return parquet.read_table(file).to_pylist()


@pytest.mark.slow
def test_tables_in_and_out_of_a_store_are_the_run_over_files(place, ray_there, bucket):  # noqa: F811
    names = sorted(path.stem for path in (place / "photos").iterdir())
    (place / "photos" / "im03.png").write_text("hello")
    contents = [(place / "photos" / f"{name}.png").read_bytes() for name in names]
    for part, chosen in (("one", slice(0, 8)), ("two", slice(8, 18))):
        with bucket.open(f"bucket/in/{part}.parquet", "wb") as file:
            table(file, {"key": names[chosen], "bytes": contents[chosen]})
    line = f"invert {OPTIONS}"
    done = run(f"{line} --images s3://bucket/in/*.parquet --out s3://bucket/out --ray")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("17 images, PSNR ")
    found = {}
    for path in bucket.find("bucket/out"):
        if path.endswith(".parquet"):
            with bucket.open(path) as file:
                found |= {row["key"]: row for row in read(file)}
    assert sorted(found) == names
    assert found["im03"]["status"].startswith("im03.bin: ")
    assert {row["device"] for row in found.values()} == {"cpu"}
    assert not bucket.exists("bucket/out/.lock")

    # Files in a store, into a folder: the same bytes, wherever the batches begin.
    for name, content in zip(names[:8], contents, strict=False):
        bucket.pipe_file(f"bucket/files/{name}.png", content)
    done = run(f"{line} --images s3://bucket/files --out out --ray")
    assert done.returncode == 1, done.stderr
    there = pictures(place / "out")
    assert there == {f"{n}.png": found[n]["image"] for n in names[:8] if n != "im03"}
    assert len(rows(place / "out")) == 8
    assert summary(place / "out")["images"] == 7

    # Again: what is there stays, but for the part whose image failed.
    tags = {
        path: bucket.info(path)["ETag"] for path in bucket.find("bucket/out") if ".parq" in path
    }
    again = run(f"{line} --images s3://bucket/in/*.parquet --out s3://bucket/out --ray")
    assert (again.returncode, again.stderr.count("were there already")) == (1, 1)
    bucket.invalidate_cache()
    changed = {path for path, tag in tags.items() if bucket.info(path)["ETag"] != tag}
    assert len(tags) == 5
    assert len(changed) <= 1


@pytest.mark.slow
def test_files_in_and_parts_out_of_a_bucket_of_google(place, ray_there, google):  # noqa: F811
    files = sorted((place / "photos").iterdir())
    for file in files[6:]:
        file.unlink()
    for file in files[:6]:
        google.pipe_file(f"bucket/files/{file.name}", file.read_bytes())
    plain = run(f"invert {OPTIONS} --images photos --out plain")
    assert plain.returncode == 0, plain.stderr
    line = f"invert {OPTIONS} --images gs://bucket/files --out gs://bucket/out --ray"
    done = run(line)
    assert done.returncode == 0, done.stderr
    google.invalidate_cache()
    found = {}
    for path in google.find("bucket/out"):
        if path.endswith(".parquet"):
            with google.open(path) as file:
                found |= {f"{row['key']}.png": row["image"] for row in read(file)}
    assert found == pictures(place / "plain")
    again = run(line)
    assert (again.returncode, again.stderr.count("6 of 6 were there already")) == (0, 1)
    refused = run(f"invert {OPTIONS} --images gs://bucket/out --out other --ray")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert refused.stderr.startswith("error: gs://bucket/out: no images; expected files in .png")


@pytest.mark.slow
def test_what_a_store_answers_is_told_in_one_line(bucket, monkeypatch):
    for url, said in (("in/*.parquet", "matches nothing"), ("in", "is not there")):
        with pytest.raises(InputError, match=f": {said}; expected "):
            sources_of([f"s3://nowhere/{url}"], False, False, False)
    with pytest.raises(InputError, match=r"s3://nowhere/out: "), locked_url("s3://nowhere/out"):
        pass
    with (
        locked_url("s3://bucket/out"),
        pytest.raises(InputError, match=r"s3://bucket/out: in use by process"),
        locked_url("s3://bucket/out"),
    ):
        pass
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    type(bucket).clear_instance_cache()
    began = time.monotonic()
    with pytest.raises(InputError, match="expected an address that can be reached, and cred"):
        sources_of(["s3://bucket/in"], False, False, False)
    assert time.monotonic() - began < 10

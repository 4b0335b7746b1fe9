"""`--video` of one file: GIF, MP4, in and out."""

import io
import subprocess
import sys

import numpy as np
import pytest
from outputs import interrupt_second_batch, pictures, rows
from PIL import Image

from ilo_jax.app.animation import encode
from ilo_jax.errors import InputError
from ilo_jax.files import film
from ilo_jax.files.film import unpack
from ilo_jax.files.images import read_image

looks_at_files = True

LINE = (
    "invert --video --images {tmp}/clip.gif --generator gen --method csgm --steps 9 --frame-steps 9"
)
NAMES = ["clip_0001", "clip_0002", "clip_0003"]


def frames(count: int = 3, side: int = 8) -> list[Image.Image]:
    """Of 255 colours at most, so that a GIF has them as they are."""
    ramp = np.arange(side * side, dtype=np.uint8).reshape(side, side)
    levels = [np.roll(ramp, 5 * i, 0) for i in range(count)]
    return [Image.fromarray(np.stack([x, 255 - x, x // 2], -1)) for x in levels]


def gif(count: int = 3, side: int = 8, **options) -> bytes:
    first, *others = frames(count, side)
    content = io.BytesIO()
    first.save(content, "GIF", save_all=True, append_images=others, **{"duration": 40} | options)
    return content.getvalue()


def played(path) -> list[tuple[np.ndarray, int]]:
    with Image.open(path) as file:
        found = []
        for i in range(file.n_frames):  # pyright: ignore[reportAttributeAccessIssue]
            file.seek(i)
            found.append((np.asarray(file.convert("RGB")), file.info["duration"]))
    return found


def test_frames_of_a_gif_are_its_pixels(tmp_path):
    path = tmp_path / "clip.gif"
    path.write_bytes(gif())
    found = unpack(path, tmp_path)
    assert ([file.stem for file in found.frames], found.rate) == (NAMES, 25)
    for file, expected in zip(found.frames, frames(), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(file)), np.asarray(expected))
    path.write_bytes(gif(duration=0))
    assert unpack(path, tmp_path).rate == 10


def test_what_is_transparent_in_a_gif_is_white(tmp_path):
    first = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    second = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    path = tmp_path / "clip.gif"
    first.save(path, save_all=True, append_images=[second])
    found = [read_image(file, (8, 8, 3))[0] for file in unpack(path, tmp_path).frames]
    assert [x[0, 0].tolist() for x in found] == [[1, 1, 1], [1, -1, -1]]


BAD = {
    "one.gif": (gif(1), "1 frame; expected a film, of at least 2"),
    "cut.gif": (gif()[:-40], "not a whole GIF film; expected one that is not cut off"),
    "text.gif": (b"hello;", "not an image; expected a GIF film"),
    "large.gif": (gif().replace(b"\x08\0\x08\0", b"\xf8\x11\xf8\x11", 1), "4600x4600, too large"),
    "short.gif": (gif()[:-40] + b";", "expected a GIF film"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_films_are_refused_in_one_line(solve, tmp_path, name):
    content, expected = BAD[name]
    (tmp_path / name).write_bytes(content)
    done = solve(LINE.replace("clip.gif", name) + " --out {out}")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.count(name) == 1
    assert expected in done.err
    assert not (tmp_path / "out").exists()


def test_a_film_has_an_end(tmp_path, monkeypatch):
    path = tmp_path / "clip.gif"
    path.write_bytes(gif(5))
    with monkeypatch.context() as patch:
        patch.setattr(film, "MOST_FRAMES", 4)
        with pytest.raises(InputError, match="too long; expected at most 4 frames"):
            unpack(path, tmp_path)
    monkeypatch.setattr(film, "_MOST_PIXELS_OF_ALL", 4 * 64)
    with pytest.raises(InputError, match="256 pixels in all of them"):
        unpack(path, tmp_path)


def test_a_film_stands_alone(solve, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    line = "invert --images {tmp}/a.mp4 --generator gen --out {out}"
    assert "a.mp4: a film; expected --video with it" in solve(line).err
    beside = solve(line.replace("a.mp4", "a.mp4 photos") + " --video")
    assert "a.mp4: a film; expected no other --images beside it" in beside.err


def test_one_line_says_how_to_get_what_reads_mp4(solve, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    (tmp_path / "a.mp4").write_bytes(b"")
    done = solve(LINE.replace("clip.gif", "a.mp4") + " --out {out}")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.endswith(
        "a.mp4: MP4, which needs the library imageio-ffmpeg: pip install 'ilo_jax[video]'\n"
    )


def test_a_gif_goes_in_and_comes_out(solve, tmp_path, monkeypatch):
    (tmp_path / "clip.gif").write_bytes(gif())
    with monkeypatch.context() as patch:
        interrupt_second_batch(patch)
        assert solve(LINE + " --out {out}").code == 130
    assert list(pictures(tmp_path / "out")) == ["clip_0001.png"]
    done = solve(LINE + " --out {out}")
    assert (done.code, done.err.split("\n")[0]) == (0, "1 of 3 were there already")
    assert [row["name"] for row in rows(tmp_path / "out")] == NAMES
    film = played(tmp_path / "out" / "video.gif")
    shown = [frame for frame, duration in film for _ in range(duration // 40)]
    assert len(film) > 1  # equal neighbours are one frame that stays longer
    for frame, name in zip(shown, NAMES, strict=True):
        result = np.asarray(Image.open(tmp_path / "out" / "images" / f"{name}.png"))
        np.testing.assert_array_equal(frame[16::32, 16::32], result)


@pytest.fixture
def ffmpeg() -> str:
    package = pytest.importorskip("imageio_ffmpeg", reason="needs pip install 'ilo_jax[video]'")
    return package.get_ffmpeg_exe()


@pytest.mark.slow
def test_an_mp4_goes_in_and_comes_out(solve, tmp_path, ffmpeg):
    levels = (0, 128, 255)
    given = [np.full((8, 8, 3), level, np.uint8) for level in levels]
    (tmp_path / "clip.mp4").write_bytes(encode(given, "mp4", 30000 / 1001, held=0))
    found = unpack(tmp_path / "clip.mp4", tmp_path)
    assert [file.stem for file in found.frames] == NAMES
    assert found.rate == pytest.approx(30000 / 1001, rel=1e-4)
    means = [np.asarray(Image.open(file)).mean() for file in found.frames]
    np.testing.assert_allclose(means, levels, atol=3)
    assert solve(LINE.replace("clip.gif", "clip.mp4") + " --out {out}").code == 0
    again = unpack(tmp_path / "out" / "video.mp4", tmp_path)
    assert again.rate == pytest.approx(found.rate, rel=1e-4)
    for file, name in zip(again.frames, ["video" + name[4:] for name in NAMES], strict=True):
        result = np.asarray(Image.open(tmp_path / "out" / "images" / f"clip{name[5:]}.png"))
        assert np.abs(np.asarray(Image.open(file)).mean() - result.mean()) < 8


@pytest.mark.slow
def test_bad_mp4s_are_refused_in_one_line(tmp_path, ffmpeg):
    path, whole = tmp_path / "clip.mp4", tmp_path / "whole.mp4"
    content = encode([np.asarray(frame) for frame in frames(20)], "mp4", held=0)
    whole.write_bytes(content)
    line = [ffmpeg, "-v", "error", "-i", whole, "-c", "copy", "-movflags", "faststart", path]
    subprocess.run(line, check=True)
    bad = {
        b"": "expected an MP4 film",
        content[:-200]: "cannot be read",
        path.read_bytes()[:-2000]: "cannot be read",  # its head is whole
        f"#EXTM3U\n#EXTINF:1,\n{whole}\n#EXT-X-ENDLIST\n".encode(): "cannot be read",
        f"ffconcat version 1.0\nfile {whole}\n".encode(): "cannot be read",
        encode([np.zeros((8, 8, 3), np.uint8)], "mp4", held=0): "1 frame; expected a film",
        content.replace(b"avc1", b"zzz1"): "cannot be read",  # a codec that nobody knows
    }
    for stored, expected in bad.items():
        path.write_bytes(stored)
        with pytest.raises(InputError, match=expected) as caught:
            unpack(path, tmp_path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)

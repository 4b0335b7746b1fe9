"""A run that is looked at: `--animate` and `--tensorboard`."""

import io
import json
import subprocess

import numpy as np
import pytest
from outputs import rows, table
from PIL import Image

from ilo_jax.app.animation import encode

looks_at_files = True

LINE = (
    "inpaint --observed 0.4 --images photos --generator gen --steps 12,10 --samples 2 --out {out}"
)


def frames_of(path) -> list[np.ndarray]:
    with Image.open(path) as file:
        found = []
        for i in range(file.n_frames):  # pyright: ignore[reportAttributeAccessIssue]
            file.seek(i)
            found.append(np.asarray(file.convert("RGB")))
    return found


def test_an_animation_ends_with_the_result(solve, tmp_path):
    assert solve(LINE + " --animate webp").code == 0
    for name in "ab":
        frames = frames_of(tmp_path / "out" / "animations" / f"{name}.webp")
        assert len(frames) == 4  # after 10, 20 and 22 steps, and the result
        assert frames[0].shape == (256, 256, 3)
        result = np.asarray(Image.open(tmp_path / "out" / "images" / f"{name}.png"))
        np.testing.assert_array_equal(frames[-1][16::32, 16::32], result)
        distance = [np.abs(frame.astype(int) - frames[-1]).mean() for frame in frames]
        assert distance[0] > distance[2]
    assert json.loads((tmp_path / "out" / "run.json").read_text())["animate"] == "webp"


def test_a_gif_of_a_grey_image_keeps_its_greys():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    frames = [np.roll(ramp, 5 * i, 0) for i in range(3)]
    found = frames_of(io.BytesIO(encode(frames, "gif")))
    assert len(found) == 3
    for frame, given in zip(found, frames, strict=True):
        np.testing.assert_array_equal(frame[8::16, 8::16], given.repeat(3, -1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--animate --auto", "--auto with --animate: expected one of them"),
        ("--animate png", "no animate 'png'; expected gif, webp, mp4"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(solve, options, message):
    done = solve(f"invert --images photos --generator gen --out {{out}} {options}")
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.slow
def test_an_mp4_plays(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="needs pip install 'ilo_jax[video]'")
    frames = [np.full((9, 7, 3), level, np.uint8) for level in (0, 128, 255)]
    (tmp_path / "a.mp4").write_bytes(encode(frames, "mp4"))
    line = [ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", tmp_path / "a.mp4"]
    raw = subprocess.run([*line, "-f", "rawvideo", "-pix_fmt", "gray", "-"], stdout=-1, check=True)
    found = np.frombuffer(raw.stdout, np.uint8).reshape(-1, 262, 204)  # 9x7, 29 times, made even
    levels = found.mean((1, 2))
    np.testing.assert_allclose(levels, [0, 128, *[255] * (len(levels) - 2)], atol=4)
    assert len(levels) == 23


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of the reader
def test_tensorboard_reads_what_a_run_writes(solve, tmp_path):
    pytest.importorskip("tensorboardX", reason="needs pip install 'ilo_jax[tensorboard]'")
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs TensorBoard"
    )
    assert solve(LINE + " --tensorboard").code == 0
    out = tmp_path / "out"
    found = accumulator.EventAccumulator(str(out / "tensorboard"))
    found.Reload()
    for row in rows(out):
        (event,) = found.Scalars(f"psnr_db/{row['name']}")
        assert event.value == pytest.approx(float(row["psnr_db"]), rel=1e-5)
        assert event.step == 22
    for name in "ab":
        for restart in ("1", "2"):
            history = [
                r
                for r in table(out / "history.csv")
                if (r["name"], r["restart"]) == (name, restart)
            ]
            for curve in ("loss", "error"):
                events = found.Scalars(f"{curve}/{name}/{restart}")
                assert [event.step for event in events] == [int(r["step"]) for r in history]
                values = [float(r[curve]) for r in history]
                np.testing.assert_allclose([event.value for event in events], values, rtol=1e-5)
        (image,) = found.Images(f"image/{name}")
        assert (image.width, image.height) == (8, 8)

"""`--animate`: how an image comes to be, as a file that plays."""

import io
import itertools
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ilo_jax.app.extras import need

FORMATS = ("gif", "webp", "mp4")

_SMALLEST = 256  # side, in pixels: smaller images are magnified
_SECOND = 10  # frames
_HELD = 2  # seconds that the last frame stays longer


def check_format(format: str) -> None:
    """Raises `InputError` where what it needs is not installed."""
    if format == "mp4":
        need("imageio_ffmpeg", "video", "--animate mp4")


def encode(
    frames: Sequence[np.ndarray], format: str, rate: float = _SECOND, held: float = _HELD
) -> bytes:
    """The file of some frames, uint8 `[H, W, 1 or 3]` each, magnified where they are small.

    Args:
      format: one of `FORMATS`.
      rate: frames a second.
      held: seconds that the last one stays longer.
    """
    factor = max(1, -(-_SMALLEST // max(frames[0].shape[:2])))
    large = (_magnified(frame, factor) for frame in frames)
    if format == "mp4":
        return _mp4(large, rate, round(held * rate))
    pictures = (Image.fromarray(frame) for frame in large)
    milliseconds = [round(1000 / rate)] * len(frames)
    milliseconds[-1] += round(1000 * held)
    options = {"lossless": True} if format == "webp" else {"optimize": False}
    file = io.BytesIO()
    next(pictures).save(
        file,
        format,
        save_all=True,
        append_images=pictures,
        duration=milliseconds,
        loop=0,
        **options,
    )
    return file.getvalue()


def _magnified(frame: np.ndarray, factor: int) -> np.ndarray:
    """In three channels."""
    large = frame.repeat(factor, 0).repeat(factor, 1)
    return np.ascontiguousarray(np.broadcast_to(large, (*large.shape[:2], 3)))


def _mp4(frames: Iterator[np.ndarray], rate: float, again: int) -> bytes:
    """H.264, of sides made even by their last row and column; the last frame comes `again`."""
    import imageio_ffmpeg  # pyright: ignore[reportMissingImports]

    first = next(frames)
    height, width = (n + n % 2 for n in first.shape[:2])
    given = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {rate:.6f} -i -"
    wanted = "-c:v libx264 -crf 18 -pix_fmt yuv420p -fflags +bitexact"
    with tempfile.TemporaryDirectory() as folder:
        path, raw = Path(folder) / "animation.mp4", Path(folder) / "raw"
        even = b""
        with raw.open("wb") as file:
            for frame in itertools.chain([first], frames):
                rows, columns = height - frame.shape[0], width - frame.shape[1]
                even = np.pad(frame, ((0, rows), (0, columns), (0, 0)), mode="edge").tobytes()
                file.write(even)
            for _ in range(again):
                file.write(even)
        # The package's own writer forks, which a process with JAX's threads must not.
        line = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *given.split(), *wanted.split()]
        with raw.open("rb") as file:
            subprocess.run([*line, path], stdin=file, check=True)
        return path.read_bytes()

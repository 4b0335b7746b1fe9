"""`--animate`: how an image comes to be, as a file that plays."""

import io
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ilo_jax.app.extras import need

FORMATS = ("gif", "webp", "mp4")

_SMALLEST = 256  # side, in pixels: smaller images are magnified
_SECOND = 10  # frames
_HELD = 2  # seconds that the last frame stays


def check_format(format: str) -> None:
    """Raises `InputError` where what it needs is not installed."""
    if format == "mp4":
        need("imageio_ffmpeg", "video", "--animate mp4")


def encode(frames: Sequence[np.ndarray], format: str) -> bytes:
    """The file of some frames, uint8 `[H, W, 1 or 3]` each; the last one is held.

    Args:
      format: one of `FORMATS`.
    """
    factor = max(1, -(-_SMALLEST // max(frames[0].shape[:2])))
    large = [np.kron(frame, np.ones((factor, factor, 1), np.uint8)) for frame in frames]
    if format == "mp4":
        return _mp4(large)
    pictures = [Image.fromarray(np.broadcast_to(x, (*x.shape[:2], 3)).copy()) for x in large]
    milliseconds = [1000 // _SECOND] * (len(pictures) - 1) + [1000 * _HELD]
    options = {"lossless": True} if format == "webp" else {"optimize": False}
    file = io.BytesIO()
    pictures[0].save(
        file,
        format,
        save_all=True,
        append_images=pictures[1:],
        duration=milliseconds,
        loop=0,
        **options,
    )
    return file.getvalue()


def _mp4(frames: Sequence[np.ndarray]) -> bytes:
    """H.264, of sides made even by their last row and column."""
    import imageio_ffmpeg  # pyright: ignore[reportMissingImports]

    height, width = (n + n % 2 for n in frames[0].shape[:2])
    held = [*frames, *[frames[-1]] * (_HELD * _SECOND)]
    raw = []
    for frame in held:
        rows, columns = height - frame.shape[0], width - frame.shape[1]
        even = np.pad(frame, ((0, rows), (0, columns), (0, 0)), mode="edge")
        raw.append(np.broadcast_to(even, (height, width, 3)).tobytes())
    given = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {_SECOND} -i -"
    wanted = "-c:v libx264 -crf 18 -pix_fmt yuv420p -fflags +bitexact"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "animation.mp4"
        # The package's own writer forks, which a process with JAX's threads must not.
        line = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *given.split(), *wanted.split()]
        subprocess.run([*line, path], input=b"".join(raw), check=True)
        return path.read_bytes()

"""The frames of a film as image files: GIF by Pillow, MP4 by FFmpeg (`ilo_jax[video]`)."""

import dataclasses
import re
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ilo_jax.errors import InputError, one_line
from ilo_jax.files.atomic import write_atomically
from ilo_jax.files.images import encode_png
from ilo_jax.files.libraries import of_extra
from ilo_jax.files.regular import open_regular, read_regular

FORMATS = ("gif", "mp4")

MOST_FRAMES = 1000
_MOST_PIXELS = 2**24  # of a frame
_MOST_PIXELS_OF_ALL = 500_000_000  # so that the unpacked frames fit onto any disk
_MOST_FILE_BYTES = 2**30
_USUAL_RATE = 10.0  # of a GIF that says nothing, as browsers play it


@dataclasses.dataclass(frozen=True)
class Film:
    """Unpacked.

    Attributes:
      frames: files, in order: `NAME_0001.png` and so on.
      rate: frames a second, on average.
      format: one of `FORMATS`.
    """

    frames: list[Path]
    rate: float
    format: str


def format_of(path: Path | str) -> str | None:
    """One of `FORMATS`, by the extension; None for all others."""
    suffix = Path(path).suffix.lower().removeprefix(".")
    return suffix if suffix in FORMATS else None


def unpack(path: Path | str, folder: Path) -> Film:
    """Writes the frames of a film into a folder, as PNG.

    Raises:
      InputError: not a film of its format, damaged or cut off, of one frame, too large, or FFmpeg
        is not there.
    """
    format = format_of(path)
    assert format is not None
    frames, seconds, pixels = list[Path](), 0.0, 0
    try:
        for picture, duration in _READERS[format](path):
            pixels += picture.width * picture.height
            if len(frames) == MOST_FRAMES or pixels > _MOST_PIXELS_OF_ALL:
                raise InputError(
                    f"too long; expected at most {MOST_FRAMES} frames and {_MOST_PIXELS_OF_ALL} "
                    "pixels in all of them"
                )
            frames.append(folder / f"{Path(path).stem}_{len(frames) + 1:04}.png")
            write_atomically(frames[-1], encode_png(picture))
            seconds += duration
    except InputError as error:
        told = str(error)
        raise InputError(told if told.startswith(str(path)) else f"{path}: {told}") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not an image; expected a GIF film") from error
    except Exception as error:  # on damaged files decoders raise whatever they run into
        reason = one_line(error) or type(error).__name__
        raise InputError(
            f"{path}: cannot be read ({reason}); expected a {format.upper()} film"
        ) from error
    if len(frames) < 2:
        raise InputError(f"{path}: {len(frames)} frame; expected a film, of at least 2")
    return Film(frames, len(frames) / seconds if seconds else _USUAL_RATE, format)


def _of_gif(path: Path | str) -> Iterator[tuple[Image.Image, float]]:
    """Frames as they are shown, and the seconds of each."""
    if not read_regular(path, _MOST_FILE_BYTES).rstrip(b"\0").endswith(b";"):  # its last block
        raise InputError("not a whole GIF film; expected one that is not cut off")
    with warnings.catch_warnings(), open_regular(path) as file:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `_check` refuses
        with Image.open(file, formats=("GIF",)) as image:
            _check(image.width, image.height)
            while True:
                mode = "RGBA" if image.has_transparency_data else "RGB"
                yield image.convert(mode), image.info.get("duration", 0) / 1000
                try:
                    image.seek(image.tell() + 1)
                except EOFError:
                    return


def _of_mp4(path: Path | str) -> Iterator[tuple[Image.Image, float]]:
    """Also the frames of the other files that QuickTime's container is for."""
    with of_extra("MP4", "imageio-ffmpeg", "video"):
        import imageio_ffmpeg  # pyright: ignore[reportMissingImports]
    open_regular(path, _MOST_FILE_BYTES).close()
    # One container, by name: a playlist would have FFmpeg open other files, and addresses.
    given = f"-v error -nostdin -xerror -max_pixels {_MOST_PIXELS} -protocol_whitelist file -f mov"
    line = [imageio_ffmpeg.get_ffmpeg_exe(), *given.split(), "-i", f"file:{path}"]
    line += ["-map", "0:v:0", "-fps_mode", "passthrough"]
    header = _head([*line, "-frames:v", "1", "-pix_fmt", "yuv444p", "-f", "yuv4mpegpipe", "-"])
    found = re.match(rb"YUV4MPEG2 W(\d+) H(\d+) F(\d+):(\d+) ", header)
    assert found is not None, header
    width, height, *rate = map(int, found.groups())
    _check(width, height)
    raw = f"-s {width}x{height} -frames:v {MOST_FRAMES + 1} -pix_fmt rgb24 -f rawvideo -"
    for frame in _pieces([*line, *raw.split()], 3 * width * height):
        pixels = np.frombuffer(frame, np.uint8).reshape(height, width, 3)
        yield Image.fromarray(pixels), float(1 / Fraction(*rate))


_READERS = {"gif": _of_gif, "mp4": _of_mp4}


def _head(line: list[str]) -> bytes:
    for piece in _pieces(line, 48):
        return piece
    raise InputError("no frames; expected an MP4 film")


def _pieces(line: list[str], size: int) -> Iterator[bytes]:
    """What a program writes, in pieces of a size; raises `InputError` where it fails."""
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        assert process.stdout is not None
        try:
            while len(piece := process.stdout.read(size)) == size:
                yield piece
            failed = process.wait() != 0
        finally:
            process.kill()  # where no more is wanted
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines()
    if failed or said:
        said = [re.sub(r"^(\[.*?\] )+", "", text) for text in said]  # without names of its parts
        reason = one_line("; ".join(said[:2])) or f"FFmpeg's exit code {process.returncode}"
        raise InputError(f"cannot be read ({reason}); expected an MP4 film")


def _check(width: int, height: int) -> None:
    if width * height > _MOST_PIXELS:
        raise InputError(
            f"{width}x{height}, too large; expected frames of at most {_MOST_PIXELS} pixels"
        )

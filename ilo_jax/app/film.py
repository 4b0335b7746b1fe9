"""`--video` of one file: its frames go in, and the frames of the results come out as one, too."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ilo_jax.app.animation import encode
from ilo_jax.app.results import Results
from ilo_jax.errors import InputError
from ilo_jax.files.atomic import write_atomically
from ilo_jax.files.film import Film, format_of, unpack
from ilo_jax.files.images import to_uint8


@contextmanager
def film_of(images: Sequence[str], video: bool) -> Iterator[Film | None]:
    """The film that is asked for, unpacked while the context lasts; None where images are.

    Args:
      images, video: as the command line has them.

    Raises:
      InputError: it cannot be read, or is not the only input.
    """
    films = [name for name in images if format_of(name) and Path(name).is_file()]
    for name in films:
        if format_of(name) == "mp4" and not video:
            raise InputError(f"{name}: a film; expected --video with it")
        if format_of(name) == "mp4" and len(images) > 1:
            raise InputError(f"{name}: a film; expected no other --images beside it")
    if not video or not films or len(images) > 1:  # a GIF is an image, too: its first frame
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="ilo_jax_") as folder:
        yield unpack(films[0], Path(folder))


def write_film(results: Results, film: Film) -> None:
    """Writes `OUT/video.gif` or `OUT/video.mp4`, of all frames that have a result.

    Raises:
      InputError: it cannot be written.
    """
    finished = results.finished()
    names = [file.stem for file in film.frames if file.stem in finished]
    images = [to_uint8(results.image(name)) for name in names]
    content = encode(images, film.format, film.rate, held=0)
    write_atomically(results.out / f"video.{film.format}", content)

"""Whatever is read from a file, by whatever reader: a damaged file is one line, nothing in it is
executed, and nothing is written."""

import functools
import io
import os
import pathlib
import pickle
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import nibabel
import numpy as np
import pydicom
import pytest
import safetensors.numpy
import scipy.sparse
import tifffile
from forge import stylegan2
from PIL import Image
from small import MLP

from convert_weights.convert import read_network
from ilo_jax import ops
from ilo_jax.app.measurements import read_measurement
from ilo_jax.app.options import read_kernel
from ilo_jax.app.settings import Settings
from ilo_jax.errors import InputError
from ilo_jax.files import images, masks
from ilo_jax.files.film import unpack
from ilo_jax.files.jpeg import compression_of
from ilo_jax.files.variables import load_variables

looks_at_files = True

SIZE, SHAPE = (8, 8), (8, 8, 3)
GOLDEN = pathlib.Path(__file__).parent / "golden"
SCANS = pathlib.Path(pydicom.__file__).parent / "data" / "test_files"
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, SHAPE, np.uint8)
OBSERVED = RANDOM.uniform(size=SIZE) < 0.5
K_SPACE = RANDOM.normal(size=(2, *SIZE)) + 1j * RANDOM.normal(size=(2, *SIZE))
MEASURED = Settings("mri", {"mask": "zeros"}, "ilo", 0, measured=True)


class Kind(NamedTuple):
    """What reads a file, and what writes a good one."""

    read: Callable[[pathlib.Path], object]
    write: Callable[[io.BytesIO], object]


def picture(path: pathlib.Path) -> np.ndarray:
    return images.read_image(path, SHAPE)[0]


def pillow(format: str, **options: Any) -> Callable[[io.BytesIO], None]:
    return lambda file: Image.fromarray(PIXELS).save(file, format, **options)


def film(path: pathlib.Path) -> Any:
    (path.parent / "frames").mkdir(exist_ok=True)
    return unpack(path.rename(path.with_suffix(".gif")), path.parent / "frames")


def hdf5(**arrays: np.ndarray) -> Callable[[io.BytesIO], None]:
    def write(file: io.BytesIO) -> None:
        import h5py

        with h5py.File(file, "w") as opened:
            for name, array in arrays.items():
                opened.create_dataset(name, data=array, compression="gzip")

    return write


def k_space(path: pathlib.Path) -> Any:
    maps = np.ones((2, *SIZE, 1))
    operator = ops.masked_mri(SHAPE, np.ones((*SIZE, 1)), maps)
    return read_measurement(path, operator, MEASURED)


def variables(file: io.BytesIO) -> None:
    np.savez(file, inputs=np.zeros(6, np.float32), image=np.zeros((4, 4, 1)), error=0)


def copy_of(path: pathlib.Path) -> Callable[[io.BytesIO], int]:
    return lambda file: file.write(path.read_bytes())


NIFTI = nibabel.Nifti1Image(np.arange(216, dtype=np.int16).reshape(6, 6, 6), np.eye(4))
CHECKPOINTS = {
    "rosinality's": copy_of(GOLDEN / "rosinality.pt"),
    "NVIDIA's": copy_of(GOLDEN / "ada_skip.pkl"),
    "safetensors": lambda file: file.write(safetensors.numpy.save(stylegan2())),
}
KINDS = {
    **{name: Kind(picture, pillow(name)) for name in ("PNG", "JPEG", "WEBP", "BMP", "JPEG2000")},
    "TIFF": Kind(picture, lambda file: tifffile.imwrite(file, PIXELS.astype(np.uint16))),
    "Deflate in TIFF": Kind(
        picture, lambda file: tifffile.imwrite(file, PIXELS[..., 0] / 255, compression="zlib")
    ),
    "DICOM": Kind(picture, copy_of(SCANS / "MR_small.dcm")),
    "NIfTI": Kind(picture, lambda file: file.write(NIFTI.to_bytes())),
    "film": Kind(film, pillow("GIF", save_all=True, append_images=[Image.fromarray(255 - PIXELS)])),
    "JPEG tables": Kind(compression_of, pillow("JPEG")),
    "kernel": Kind(lambda path: read_kernel(str(path)), pillow("PNG")),
    "mask": Kind(lambda path: masks.read_mask(path, SHAPE), lambda file: np.save(file, OBSERVED)),
    "alpha": Kind(lambda path: masks.read_alpha(path, SHAPE), lambda f: np.savez(f, x=OBSERVED)),
    "sampling": Kind(lambda path: masks.read_sampling(path, SHAPE), hdf5(mask=OBSERVED[0])),
    "maps": Kind(lambda path: masks.read_maps(path, SHAPE), hdf5(maps=K_SPACE)),
    "matrix": Kind(masks.read_matrix, lambda file: np.savez_compressed(file, A=np.eye(5, 192))),
    "sparse matrix": Kind(
        masks.read_matrix, lambda file: scipy.sparse.save_npz(file, scipy.sparse.eye(5, 192))
    ),
    "k-space": Kind(k_space, hdf5(kspace=K_SPACE)),
    "variables": Kind(lambda path: load_variables(path, MLP), variables),
    **{name: Kind(read_network, write) for name, write in CHECKPOINTS.items()},
}


class Bomb:
    """What a pickle would run."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"<!DOCTYPE html>\n" * 99,
    "pickle": lambda _: pickle.dumps([Bomb()]),
    "a third": lambda content: content[: len(content) // 3],
    "its first bytes": lambda content: content[:9],
}


@functools.cache
def content_of(name: str) -> bytes:
    file = io.BytesIO()
    KINDS[name].write(file)
    return file.getvalue()


seen: list[str] = []
EXECUTES = (
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.mkdir",
    "pickle.",
    "socket",
)


def watch(event: str, args: tuple) -> None:
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if writes or event.startswith(EXECUTES):
        seen.append(f"{event} {args}")


sys.addaudithook(watch)  # stays, as all of them do


def refused(name: str, path: pathlib.Path) -> bool:
    """Whether a file is; all else that may go wrong is raised."""
    own = (str(path.parent / "frames"), os.devnull, os.environ["JAX_COMPILATION_CACHE_DIR"])
    seen.clear()
    try:
        KINDS[name].read(path)
    except InputError as error:
        said = str(error)
        assert path.stem in said
        assert name in CHECKPOINTS or "expected" in said
        assert "\n" not in said
        assert len(said) < 700
        return True
    finally:
        assert not [event for event in seen if not any(folder in event for folder in own)]
        assert not os.listdir()
    return False


@pytest.fixture
def path(tmp_path, monkeypatch) -> pathlib.Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "files").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "files" / "damaged"


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_one_line(name, path):
    path.write_bytes(content_of(name))
    assert not refused(name, path)
    for kind, damage in DAMAGE.items():
        if (name, kind) == ("JPEG tables", "a third"):
            continue  # they are at its beginning
        path.write_bytes(damage(content_of(name)))
        assert refused(name, path), kind


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_bytes_that_change_are_one_line_or_a_file(name, path):
    random = np.random.default_rng(0)
    for _ in range(60):
        content = bytearray(content_of(name))
        for _ in range(3):
            content[random.integers(min(len(content), 1000))] = random.integers(256)
        path.write_bytes(content)
        refused(name, path)


ODD = {
    "complex": np.ones(SIZE) * 1j,
    "infinite": np.full(SIZE, np.inf),
    "beyond float32": np.full(SIZE, 1e300),
    "of another rank": np.ones((1, 1, 1, *SIZE)),
    "one number": np.float32(1),
    "nothing": np.ones((0, *SIZE)),
    "texts": np.full(SIZE, "a"),
    "times": np.zeros(SIZE, "M8[s]"),
    "raw bytes": np.zeros(SIZE, "V4"),
    "records": np.zeros(SIZE, "f4,i4"),
    "objects": np.full(SIZE, None),
    "a program": np.array([Bomb()]),
}
COMPLEX = ("maps", "k-space")


@pytest.mark.parametrize("name", ["mask", "alpha", "sampling", "matrix", "variables", *COMPLEX])
@pytest.mark.parametrize("save", [np.save, np.savez], ids=["npy", "npz"])
def test_arrays_of_other_types_and_ranks_are_one_line(name, save, path):
    for kind, array in ODD.items():
        if kind == "complex" and name in COMPLEX:
            continue
        content = io.BytesIO()
        save(content, array, allow_pickle=True)
        path.write_bytes(content.getvalue())
        assert refused(name, path), kind

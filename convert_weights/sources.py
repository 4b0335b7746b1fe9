"""Where checkpoints are: a path, an address, the hub, or the name of a well-known network."""

import dataclasses
import os
import pathlib

import pooch

from convert_weights.download import download
from ilo_jax.files.checkpoint import CheckpointError

HUB = "hf://"

_ADA = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained"
_SOURCE_NETS = f"{_ADA}/transfer-learning-source-nets"
_TENSORFLOW = "https://nvlabs-fi-cdn.nvidia.com/stylegan2/networks"
_DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="
_NC = "NVIDIA Source Code License (non-commercial)"
_UNSTATED = "MIT code; the weights' is not stated; FFHQ itself is CC BY-NC-SA 4.0"


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a network is from.

    Attributes:
      url: official address.
      resolution: height and width of its images.
      licence: under which its authors give it away.
    """

    url: str
    resolution: int
    licence: str = _NC


NETWORKS = {
    "ffhq-1024": Source(f"{_ADA}/ffhq.pkl", 1024),
    "ffhq-512": Source(f"{_SOURCE_NETS}/ffhq-res512-mirror-stylegan2-noaug.pkl", 512),
    "ffhq-256": Source(f"{_SOURCE_NETS}/ffhq-res256-mirror-paper256-noaug.pkl", 256),
    "metfaces-1024": Source(f"{_ADA}/metfaces.pkl", 1024),
    "afhq-cat-512": Source(f"{_ADA}/afhqcat.pkl", 512),
    "afhq-dog-512": Source(f"{_ADA}/afhqdog.pkl", 512),
    "afhq-wild-512": Source(f"{_ADA}/afhqwild.pkl", 512),
    "brecahad-512": Source(f"{_ADA}/brecahad.pkl", 512),
    "cifar10-32": Source(f"{_ADA}/cifar10.pkl", 32),
    "ffhq-1024-tf": Source(f"{_TENSORFLOW}/stylegan2-ffhq-config-f.pkl", 1024),
    "lsun-car-512": Source(f"{_TENSORFLOW}/stylegan2-car-config-f.pkl", 512),
    "lsun-cat-256": Source(f"{_TENSORFLOW}/stylegan2-cat-config-f.pkl", 256),
    "lsun-church-256": Source(f"{_TENSORFLOW}/stylegan2-church-config-f.pkl", 256),
    "lsun-horse-256": Source(f"{_TENSORFLOW}/stylegan2-horse-config-f.pkl", 256),
    "ffhq-256-rosinality": Source(f"{_DRIVE}1PQutd-JboOCOZqmd95XWxWrO8gGEvRcO", 256, _UNSTATED),
    "ffhq-1024-ilo": Source(f"{_DRIVE}1JCBiKY_yUixTa6F1eflABL88T4cii2GR", 1024, _UNSTATED),
}


def cache_folder() -> pathlib.Path:
    """Where downloads are kept: `$ILO_JAX_CACHE`, or the system's folder for caches."""
    return pathlib.Path(os.environ.get("ILO_JAX_CACHE") or pooch.os_cache("ilo_jax"))


def locate(source: str) -> pathlib.Path:
    """The file that `source` stands for: a path, a name in `NETWORKS`, an address, or
    `hf://owner/name[@revision]/file`, of the Hugging Face Hub.

    Raises:
      CheckpointError: it cannot be downloaded, or what is there is no checkpoint.
    """
    if source in NETWORKS and not pathlib.Path(source).exists():
        return download(NETWORKS[source].url, cache_folder())
    if source.startswith(("http://", "https://")):
        return download(source, cache_folder())
    if source.startswith(HUB):
        return _from_hub(source)
    return pathlib.Path(source)


def _from_hub(source: str) -> pathlib.Path:
    """By the hub's library, with its cache, its token (`HF_TOKEN`) and its endpoint
    (`HF_ENDPOINT`); what broke off goes on there, too."""
    owner, _, rest = source.removeprefix(HUB).partition("/")
    name, _, file = rest.partition("/")
    name, _, revision = name.partition("@")
    if not (owner and name and file):
        raise CheckpointError(f"{source}: expected {HUB}owner/name/file")
    try:
        from huggingface_hub import hf_hub_download  # pyright: ignore[reportMissingImports]
        from huggingface_hub.errors import HfHubHTTPError  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise CheckpointError(
            f"{source}: needs the library huggingface_hub: pip install 'ilo_jax[hub]'"
        ) from error
    try:
        return pathlib.Path(hf_hub_download(f"{owner}/{name}", file, revision=revision or None))
    except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{source}: cannot be downloaded ({_first_line(error)}); expected a file of the hub "
            "that you may read; one that you have got otherwise can be given by its path"
        ) from error


def _first_line(error: Exception) -> str:
    """The libraries of the hub say what is wrong before anything else."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__

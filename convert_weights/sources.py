"""Well-known networks by name, and their download into a cache."""

import dataclasses
import os
import pathlib

import pooch
import requests

from ilo_jax.files.checkpoint import CheckpointError

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
    """The file that `source` stands for: a path, a name in `NETWORKS`, or an address.

    What is downloaded is kept with its SHA-256 beside it, and downloaded again if it is no
    longer that; a download that breaks off leaves nothing, nor does a page in the file's place.

    Raises:
      CheckpointError: it cannot be downloaded, or what is there is no checkpoint.
    """
    if source in NETWORKS and not pathlib.Path(source).exists():
        return download(NETWORKS[source].url, cache_folder())
    if source.startswith(("http://", "https://")):
        return download(source, cache_folder())
    return pathlib.Path(source)


def _served_instead(path: pathlib.Path) -> str | None:
    """What a server has given in place of a file, by how it begins; None for what may be one."""
    with path.open("rb") as file:
        begins = file.read(2**16).lstrip().lower()
    if begins.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer"
    if begins.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, of a quota that is exceeded" if b"quota" in begins else "a web page"
    return None


def download(url: str, folder: pathlib.Path) -> pathlib.Path:
    """See `locate`."""
    name = pooch.utils.unique_file_name(url)[:200]  # starts with a hash of the address
    path, known = folder / name, folder / f"{name}.sha256"
    try:
        if path.exists() and known.exists() and pooch.file_hash(path) == known.read_text():
            return path
        path.unlink(missing_ok=True)
        pooch.retrieve(
            url,
            known_hash=None,
            fname=name,
            path=folder,
            progressbar=True,
        )
        served = _served_instead(path)
        if served is not None:
            path.unlink()
            raise CheckpointError(
                f"{url}: gives {served}; expected the checkpoint itself: get it in a browser and "
                "give its path"
            )
        known.write_text(pooch.file_hash(path))
    except (requests.RequestException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{url}: cannot be downloaded ({reason}); expected an address that answers; "
            "a file that you have got otherwise can be given by its path"
        ) from error
    return path

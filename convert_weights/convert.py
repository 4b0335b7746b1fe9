"""From a file to a generator, and to a folder that `ilo_jax.stylegan2.load` reads."""

import hashlib
import pathlib

import jax
import jax.numpy as jnp

from convert_weights import container
from convert_weights.formats import FORMATS
from convert_weights.network import Network
from ilo_jax.stylegan2 import (
    CheckpointError,
    Generator,
    derive,
    fit_mapping_proxy,
    sample_noises,
    save,
)

PROXY_SAMPLES = 2**20
SEED = 0  # of the proxy's fit, and of noise maps that a file lacks


def read_network(source: str | pathlib.Path) -> Network:
    """Reads a checkpoint file without running any of it.

    Raises:
      CheckpointError: it cannot be read, is damaged, or is of no format known here.
    """
    path = pathlib.Path(source)
    try:
        value = container.read(path)
        for form in FORMATS:
            if (network := form.read(value)) is not None:
                return network
        names = ", ".join(form.NAME for form in FORMATS)
        raise CheckpointError(f"holds no StyleGAN2 generator; expected one of: {names}")
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def to_generator(network: Network, samples: int = PROXY_SAMPLES) -> Generator:
    """Adds what a file may lack: the mapping proxy's fit, `w_avg`, noise maps."""
    k_fit, k_noise = jax.random.split(jax.random.key(SEED))
    mapping, synthesis = jax.tree.map(jnp.asarray, (network.mapping, network.synthesis))
    proxy, w_mean = fit_mapping_proxy(mapping, network.config, k_fit, samples)
    noises = network.noises or sample_noises(k_noise, network.config)
    return Generator(
        config=network.config,
        mapping=mapping,
        synthesis=derive(synthesis),
        w_avg=w_mean if network.w_avg is None else jnp.asarray(network.w_avg),
        noises=tuple(jnp.asarray(n) for n in noises),
        proxy=proxy,
    )


def convert(source: str | pathlib.Path, out: str | pathlib.Path) -> dict:
    """Reads `source` and writes the folder `out`, whole or not at all.

    Returns:
      What `generator.json` says of the origin.

    Raises:
      CheckpointError: `source` cannot be used, or `out` exists.
    """
    source, out = pathlib.Path(source), pathlib.Path(out)
    if out.exists():
        raise CheckpointError(f"{out}: exists already; expected a new folder")
    network = read_network(source)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    about = {
        "source": source.name,
        "sha256": digest,
        "format": network.format,
        "w_avg": "mean of the proxy's fit" if network.w_avg is None else "from the file",
        "noises": f"drawn with seed {SEED}" if network.noises is None else "from the file",
        "proxy": f"fitted to {PROXY_SAMPLES} draws, seed {SEED}",
    }
    save(out, to_generator(network), about)
    return about

"""From a file to a generator, and to a folder that `ilo_jax.load` reads."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convert_weights import container
from convert_weights.formats import FORMATS
from convert_weights.limits import proxy_draws, shortly
from convert_weights.network import Network
from convert_weights.sources import NETWORKS, locate
from ilo_jax.errors import InputError
from ilo_jax.files.generators import CheckpointError, card_of, is_generator, load, save
from ilo_jax.priors import NO_FACTS, Facts
from ilo_jax.stylegan2 import Generator, StyleGAN2, derive, fit_mapping_proxy, sample_noises

PROXY_SAMPLES = 2**20
SEED = 0  # of the proxy's fit, and of noise maps that a file lacks


def read_network(source: str | pathlib.Path) -> Network:
    """Reads a checkpoint file without running any of it.

    Raises:
      CheckpointError: it cannot be read, is damaged, or is of no format known here.
    """
    path = pathlib.Path(source)
    try:
        value, budget = container.read(path)
        for form in FORMATS:
            if (network := form.read(value, budget)) is not None:
                return network
        names = ", ".join(form.NAME for form in FORMATS)
        found = (
            shortly([key for key in value if isinstance(key, str)]) if type(value) is dict else ""
        )
        raise CheckpointError(
            f"holds no StyleGAN2 generator; expected one of: {names}"
            + (f"; found {found}" if found else "")
        )
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def to_generator(network: Network, samples: int = PROXY_SAMPLES) -> Generator:
    """Adds what a file may lack: the mapping proxy's fit, `w_avg`, noise maps.

    Raises:
      CheckpointError: the mapping network's output is not finite.
    """
    k_fit, k_noise = jax.random.split(jax.random.key(SEED))
    mapping, synthesis = jax.tree.map(jnp.asarray, (network.mapping, network.synthesis))
    samples = proxy_draws(_size(mapping), samples)
    proxy, w_mean = fit_mapping_proxy(mapping, network.config, k_fit, samples)
    if not np.isfinite([proxy.mean, proxy.std, w_mean]).all():
        raise CheckpointError("the mapping network's output is not finite; the weights are damaged")
    noises = network.noises or sample_noises(k_noise, network.config)
    return Generator(
        config=network.config,
        mapping=mapping,
        synthesis=derive(synthesis),
        w_avg=w_mean if network.w_avg is None else jnp.asarray(network.w_avg),
        noises=tuple(jnp.asarray(n) for n in noises),
        proxy=proxy,
    )


def convert(
    source: str | pathlib.Path,
    out: str | pathlib.Path,
    *,
    radii: Sequence[float] = (),
    **told: Any,
) -> tuple[Generator, dict]:
    """Reads `source` and writes the folder `out`, or one file if its name ends in `.safetensors`,
    whole or not at all.

    Args:
      source: path, name of a well-known network, or address; or a generator that was converted
        already, whose facts are kept but for those that are told.
      radii: l1 radii that suit deviations at the usual cuts, in order.
      told: other fields of `Facts`; the licence by default what is known of a well-known network.

    Returns:
      The generator, and a report: what was found, by name.

    Raises:
      CheckpointError: `source` cannot be used, or `out` exists.
      InputError: `source` is no file, or a fact out of range or not for this generator.
    """
    facts = Facts(**told)  # before the work is done
    if os.path.lexists(out):
        raise CheckpointError(f"{out}: exists already; expected a new folder or file")
    path = locate(str(source))
    if is_generator(path):
        return _again(path, out, radii, told)
    downloaded = path != pathlib.Path(source)
    network = read_network(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        generator = to_generator(network)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    draws = proxy_draws(_size(network.mapping), PROXY_SAMPLES)
    about = {
        "source": str(source) if downloaded else path.name,
        "sha256": digest,
        "format": network.format,
        "w_avg": "mean of the proxy's fit" if network.w_avg is None else "from the file",
        "noises": f"drawn with seed {SEED}" if network.noises is None else "from the file",
        "proxy": f"fitted to {draws} draws, seed {SEED}",
    }
    if downloaded and source in NETWORKS:
        about["licence"] = NETWORKS[str(source)].licence
    licence = facts.licence or about.get("licence", "")
    facts = dataclasses.replace(facts, radii=_by_cut(generator, radii), licence=licence)
    save(out, generator, about, facts)
    return generator, about | _told(facts) | _sizes(generator, out)


def _again(
    path: pathlib.Path, out: str | pathlib.Path, radii: Sequence[float], told: dict[str, Any]
) -> tuple[Generator, dict]:
    """Of a generator that was converted already: to a folder, to a file, with other facts."""
    prior, (about, card) = load(path), card_of(path)
    changed = {k: v for k, v in told.items() if v != getattr(NO_FACTS, k)}
    if radii:
        changed["radii"] = _by_cut(prior.generator, radii)
    facts = dataclasses.replace(prior.facts, **changed)
    save(out, prior.generator, about, facts, card)
    return prior.generator, about | _told(facts) | _sizes(prior.generator, out)


def _by_cut(generator: Generator, radii: Sequence[float]) -> tuple[tuple[int, float], ...]:
    cuts = StyleGAN2(generator).usual_cuts
    if len(radii) > len(cuts):
        raise InputError(
            f"{len(radii)} radii; expected at most {len(cuts)}, one for each usual cut of the "
            f"generator: {', '.join(map(str, cuts))}"
        )
    return tuple(zip(cuts, radii, strict=False))


def _told(facts: Facts) -> dict[str, Any]:
    told = facts.told
    if facts.radii:
        told["radii"] = ", ".join(f"{radius:g} at layer {cut}" for cut, radius in facts.radii)
    return told


def _sizes(generator: Generator, out: str | pathlib.Path) -> dict:
    config, out = generator.config, pathlib.Path(out)
    parameters = _size((generator.mapping, generator.synthesis["params"]))
    files = [out, *out.rglob("*")] if out.is_dir() else [out]
    written = sum(file.stat().st_size for file in files if file.is_file())
    return {
        "resolution": f"{config.resolution} px, {config.image_channels} image channels",
        "channels": " ".join(str(n) for n in config.channels) + ", from 4 px up",
        "architecture": config.architecture,
        "z, w": f"{config.z_dim}, {config.w_dim} wide",
        "mapping": f"{config.mapping_layers} layers, {config.mapping_widths[0]} wide",
        "labels": config.label_dim,
        "conv_clamp": config.conv_clamp,
        "parameters": f"{parameters:,}",
        "written": f"{written / 2**20:.1f} MiB",
    }


def _size(arrays: Any) -> int:
    return sum(a.size for a in jax.tree.leaves(arrays))

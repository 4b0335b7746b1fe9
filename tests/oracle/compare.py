"""Holds converted generators against recorded images of the code that wrote them.

    python tests/oracle/compare.py FILE...

reads each FILE's .npz beside it, as the scripts in this folder write them, and prints the
largest absolute difference.
"""

import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

from convert_weights.convert import read_network, to_generator
from convert_weights.network import Network
from ilo_jax.stylegan2 import Generator, MappingProxy, derive, map_latents, synthesize


@jax.jit
def draw(generator, z, psi, cutoff, label, noises):
    return synthesize(generator, map_latents(generator, z, psi, cutoff, label), noises)


def generator_of(network: Network) -> Generator:
    """As it is converted, but for the proxy, which takes no part in drawing; it is fitted only
    where the file lacks what comes of that, too."""
    if network.w_avg is None or network.noises is None:
        return to_generator(network, samples=2**10)
    width = network.config.w_dim
    return Generator(
        config=network.config,
        mapping=network.mapping,
        synthesis=derive(network.synthesis),
        w_avg=jnp.asarray(network.w_avg),
        noises=tuple(map(jnp.asarray, network.noises)),
        proxy=MappingProxy(jnp.zeros(width), jnp.ones(width)),
    )


def differences(checkpoint: pathlib.Path) -> list[tuple[dict, float, float]]:
    """For each recorded call: the call, the largest absolute difference, the image's scale."""
    recorded = np.load(checkpoint.with_suffix(".npz"))
    generator = generator_of(read_network(checkpoint))
    label = jnp.asarray(recorded["label"]) if "label" in recorded else None
    found = []
    for i, call in enumerate(json.loads(str(recorded["calls"]))):
        match call["noise"]:
            case "const":
                noises = generator.noises
            case "none":
                noises = tuple(jnp.zeros_like(n) for n in generator.noises)
            case "random":
                noises = tuple(
                    jnp.asarray(recorded[f"noise_{j}"]) for j in range(len(generator.noises))
                )
            case other:
                raise ValueError(f"noise mode {other}")
        cutoff = generator.config.num_latents if call["cutoff"] is None else call["cutoff"]
        z = jnp.asarray(recorded["z"])
        drawn = draw(generator, z, call["psi"], cutoff, label, noises)
        image = recorded[f"image_{i}"]
        difference = np.abs(np.asarray(drawn) - image).max()
        found.append((call, float(difference), float(np.abs(image).max())))
    return found


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        for call, difference, scale in differences(pathlib.Path(argument)):
            print(f"{argument} {call}: {difference:.2e} of {scale:.2f}")

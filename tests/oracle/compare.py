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
from ilo_jax.stylegan2 import map_latents, synthesize


def differences(checkpoint: pathlib.Path) -> list[tuple[dict, float, float]]:
    """For each recorded call: the call, the largest absolute difference, the image's scale."""
    recorded = np.load(checkpoint.with_suffix(".npz"))
    generator = to_generator(read_network(checkpoint), samples=2**10)
    draw = jax.jit(synthesize)
    label = jnp.asarray(recorded["label"]) if "label" in recorded else None
    found = []
    for i, call in enumerate(json.loads(str(recorded["calls"]))):
        latents = map_latents(
            generator, jnp.asarray(recorded["z"]), call["psi"], call["cutoff"], label
        )
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
        image = recorded[f"image_{i}"]
        difference = np.abs(np.asarray(draw(generator, latents, noises)) - image).max()
        found.append((call, float(difference), float(np.abs(image).max())))
    return found


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        for call, difference, scale in differences(pathlib.Path(argument)):
            print(f"{argument} {call}: {difference:.2e} of {scale:.2f}")

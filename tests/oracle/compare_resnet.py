"""Holds converted ResNets against recorded logits of torchvision's.

    python tests/oracle/compare_resnet.py FILE...

reads the `logits.npz` beside each FILE, as `tests/oracle/resnet.py` writes it, and prints the
largest absolute difference.
"""

import pathlib
import sys

import jax
import numpy as np

from convert_weights.classifier import read_classifier


def differences(checkpoint: pathlib.Path) -> dict[str, tuple[float, float]]:
    """For each recorded image: the largest absolute difference of a logit, and by how much the
    logits of the two images differ at most."""
    recorded = np.load(checkpoint.with_name("logits.npz"))
    network = read_classifier(checkpoint)
    classify = jax.jit(lambda network, image: network(image))
    found = {}
    for key in recorded:
        file, _, name = key.partition(":")
        if file == checkpoint.name:
            image = recorded[name].repeat(16, 1).repeat(16, 2)
            difference = np.abs(classify(network, image) - recorded[key]).max()
            found[name] = float(difference), float(np.abs(np.diff(recorded[key], axis=0)).max())
    return found


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        for name, (difference, scale) in differences(pathlib.Path(argument)).items():
            print(f"{argument} {name}: {difference:.1e}; images differ by {scale:.2f}")

"""Section 3 for a generator: Lipschitz constants by cut, and the bounds that they give.

python -m ilo_jax.theory
"""

import argparse
import functools
import math
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from ilo_jax import load, theory
from ilo_jax.errors import InputError
from ilo_jax.files.generators import EMBEDDED_DEFAULT, CheckpointError
from ilo_jax.stylegan2 import Inputs, StyleGAN2


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--generator", default=EMBEDDED_DEFAULT, help="a checkpoint")
    parser.add_argument("--samples", type=int, default=8, help="latents at which is measured")
    parser.add_argument("--gamma", type=float, default=0.5, help="S-REC's")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        prior = load(args.generator)
        constants, bounds = report(prior, args.samples, args.gamma, jax.random.key(args.seed))
    except (CheckpointError, InputError) as error:
        sys.exit(f"error: {error}")
    console = Console(highlight=False)
    console.print(constants)
    console.print(bounds)


def report(prior: StyleGAN2, samples: int, gamma: float, key: jax.Array) -> tuple[Table, Table]:
    """Constants and bounds, a row a cut; Remark 3's parameters, which need `k <= p`."""
    k, n = math.prod(latents_shape(prior)), math.prod(prior.image_shape)
    r1 = math.sqrt(k)  # the norm of a standard normal vector
    k_latents, k_norms = jax.random.split(key)
    inputs = draw_latents(prior, k_latents, samples)
    free = latents_alone(prior)
    norms = theory.generator_norms(prior, inputs, k_norms, free)
    L = float(jnp.max(norms))
    constants = _table(
        f"Lipschitz constants, from below: largest (median) of {samples}",
        ("cut", "features", "p", "L1 >=", "L2 >=", "L1 L2 >="),
    )
    constants.add_row("none", "-", "-", "-", "-", f"L: {_spread(norms)}")
    bounds = _table(
        f"Bounds with constants 1: k = {k}, n = {n}, r1 = {r1:.1f}, gamma = {gamma}",
        ("cut", "delta", "r2", "CSGM", "on z^p", "ILO", "circulant", "error +"),
    )
    for cut in prior.usual_cuts:
        found = theory.cut_norms(prior, cut, inputs, k_norms, free)
        L1, L2 = float(jnp.max(found.g1)), float(jnp.max(found.g2))
        state = jax.eval_shape(
            functools.partial(theory.g1, prior, cut), jax.tree.map(lambda leaf: leaf[0], inputs)
        )
        p = sum(leaf.size for leaf in jax.tree.leaves(state))
        shape = "x".join(map(str, state.features.shape))
        spreads = _spread(found.g1), _spread(found.g2)
        constants.add_row(str(cut), shape, str(p), *spreads, f"{L1 * L2:.1f}")
        if k <= p:
            numbers = bounds_at(k, p, n, L, L1, L2, r1, gamma)
            bounds.add_row(str(cut), *(f"{number:.2g}" for number in numbers))
        else:
            bounds.add_row(str(cut), *["-"] * len(Bounds._fields))
    return constants, bounds


def draw_latents(prior: StyleGAN2, key: jax.Array, count: int) -> Inputs:
    """Inputs, leaves `[count, ...]`, with random latents and the generator's own noise maps.

    Raises:
      InputError: none are asked for.
    """
    if count < 1:
        raise InputError(f"samples {count}: expected 1 or more")
    latents = jax.random.normal(key, (count, *latents_shape(prior)), jnp.float32)
    return jax.vmap(lambda z: prior.inputs(z, prior.generator.noises))(latents)


def latents_shape(prior: StyleGAN2) -> tuple[int, int]:
    """`(L, d)`, of the mapping proxy's latents."""
    config = prior.generator.config
    return config.num_latents, config.w_dim


def latents_alone(prior: StyleGAN2) -> Inputs:
    """Masks of the latents: the theory has no noise maps."""
    free = prior.free(0, prior.depth)
    return free._replace(noises=jax.tree.map(np.zeros_like, free.noises))


class Bounds(NamedTuple):
    """Of one cut, with Remark 3's delta and K; measurements for S-REC's gamma."""

    delta: float
    r2: float
    csgm: float
    csgm_intermediate: float
    ilo: float
    circulant: float
    additive_error: float


def bounds_at(
    k: int, p: int, n: int, L: float, L1: float, L2: float, r1: float, gamma: float
) -> Bounds:
    """All bounds of Section 3 for `k <= p`, with constants 1; arguments as in `theory.bounds`."""
    delta, K = theory.scaling(k, p)
    r2 = theory.deviation_radius(L2, delta, K)
    return Bounds(
        delta,
        r2,
        theory.csgm_measurements(k, L, r1, delta, gamma),
        theory.csgm_intermediate_measurements(k, p, L1, L2, r1, r2, delta, gamma),
        theory.ilo_measurements(k, p, L1, L2, r1, delta, gamma, K),
        theory.circulant_measurements(k, p, n, L1, L2, r1, delta, gamma, K),
        theory.additive_error(p, delta, gamma, K),
    )


def _spread(norms: jax.Array) -> str:
    return f"{jnp.max(norms):.2f} ({jnp.median(norms):.2f})"


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right")
    return table


if __name__ == "__main__":
    main()

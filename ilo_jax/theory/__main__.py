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
from rich.console import Console
from rich.table import Table

from ilo_jax import theory
from ilo_jax.errors import InputError
from ilo_jax.stylegan2 import EMBEDDED_DEFAULT, CheckpointError, Generator, load


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--generator", default=EMBEDDED_DEFAULT, help="a checkpoint")
    parser.add_argument("--samples", type=int, default=8, help="latents at which is measured")
    parser.add_argument("--gamma", type=float, default=0.5, help="S-REC's")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        generator = load(args.generator)
        constants, bounds = report(generator, args.samples, args.gamma, jax.random.key(args.seed))
    except (CheckpointError, InputError) as error:
        sys.exit(f"error: {error}")
    console = Console(highlight=False)
    console.print(constants)
    console.print(bounds)


def report(generator: Generator, samples: int, gamma: float, key: jax.Array) -> tuple[Table, Table]:
    """Constants and bounds, a row a cut; Remark 3's parameters, which need `k <= p`."""
    config = generator.config
    k, n = config.num_latents * config.w_dim, math.prod(config.image_shape)
    r1 = math.sqrt(k)  # the norm of a standard normal vector
    k_latents, k_norms = jax.random.split(key)
    latents = theory.draw_latents(generator, k_latents, samples)
    norms = theory.generator_norms(generator, latents, k_norms)
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
    for cut in map(config.block_start, range(1, config.num_blocks)):
        found = theory.cut_norms(generator, cut, latents, k_norms)
        L1, L2 = float(jnp.max(found.g1)), float(jnp.max(found.g2))
        state = jax.eval_shape(functools.partial(theory.g1, generator, cut), latents[0])
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

"""More than one machine."""

import argparse

from ilo_jax.app import arguments


def add_machines(parser: argparse.ArgumentParser, whole: bool = True) -> None:
    """More than one machine. Args: whole: whether results may be Parquet, in a store, too."""
    machines = parser.add_argument_group("many machines")
    machines.add_argument(
        "--shard",
        type=arguments.shard,
        metavar="I/N",
        help="part I, from 0, of N, for array jobs: results in OUT/shards/I-of-N, which `summarize "
        "OUT` brings together",
    )
    machines.add_argument(
        "--ray",
        nargs="?",
        const="local",
        metavar="HOST:PORT",
        help="a worker on each device of a Ray cluster, or of this machine if none is named; nodes "
        f"may come and go; --images {'and --out ' if whole else ''}may be in object stores, images "
        "in Parquet or tars",
    )
    if not whole:
        return
    machines.add_argument(
        "--parquet",
        action="store_true",
        default=False,
        help="with --ray: results as Parquet, as they are in an object store",
    )

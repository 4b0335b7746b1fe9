"""How much is computed twice where workers are taken away: by simulation.

    python -m benchmarks.preemption

A worker is lost after a time that is drawn from an exponential distribution; the batch that it
had is done again from its beginning. Printed is the work over what would do without losses, less
one, by the losses an hour and the minutes that a batch takes.
"""

import argparse

import numpy as np


def wasted(rng: np.random.Generator, losses_an_hour: float, minutes: float, batches: int) -> float:
    """Work done over work needed, less one."""
    hours, done = minutes / 60, 0.0
    for _ in range(batches):
        while (alive := rng.exponential(1 / losses_an_hour)) < hours:
            done += alive
        done += hours
    return done / (batches * hours) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--losses", type=float, nargs="+", default=[0.1, 0.5, 2, 10])
    parser.add_argument("--minutes", type=float, nargs="+", default=[0.5, 2, 10, 30])
    parser.add_argument("--batches", type=int, default=20_000)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    print("losses an hour | " + " | ".join(f"{m:g} min a batch" for m in args.minutes))
    for losses in args.losses:
        found = [wasted(rng, losses, minutes, args.batches) for minutes in args.minutes]
        print(f"{losses:g} | " + " | ".join(f"{100 * part:.1f} %" for part in found))


if __name__ == "__main__":
    main()

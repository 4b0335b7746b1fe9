"""One side of `benchmarks.rebuilt`, which starts it: the house before the rebuilding or after it,
whichever `ilo_jax` is on the path.

    PYTHONPATH=CHECKOUT python benchmarks/rebuilt_side.py {old,new} JOB

JOB is what `quality` or `speed` is asked, in JSON; so is the answer.
"""
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import json
import statistics
import sys
import time
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

import ilo_jax
from ilo_jax import stylegan2


class House(Protocol):
    """What both sides can do."""

    shape: tuple[int, int, int]

    def operator(self, task: str, options: dict[str, Any]) -> Any:
        """The task's, of one key."""
        ...

    def solve(self, operator: Any, y: jax.Array, method: str, steps: Any, radii: Any) -> list:
        """Images `[B, H, W, C]` after each round."""
        ...


class Old:
    """`solve`, a plan and its schedule."""

    def __init__(self, generator: str, resolution: int | None = None):
        self.generator = random(resolution) if resolution else stylegan2.load(generator)
        self.shape = self.generator.config.image_shape

    def operator(self, task: str, options: dict[str, Any]) -> Any:
        from ilo_jax.ops import TASKS

        self.sna = TASKS[task].sna
        return TASKS[task].build(jax.random.key(0), self.shape, **options)

    def solve(self, operator: Any, y: jax.Array, method: str, steps: Any, radii: Any) -> list:
        from ilo_jax.solve import METHODS, solve

        plan = METHODS[method].plan(self.generator.config, steps, radii=radii, sna=self.sna)
        key, losses = jax.random.key(1), plan.losses
        found = solve(self.generator, operator, y, key, plan.schedule, plan.hyper, losses=losses)
        return [solution.image for solution in found]


class New:
    """`reconstruct` and a method."""

    def __init__(self, generator: str, resolution: int | None = None):
        self.prior = ilo_jax.load(generator)
        if resolution:
            self.prior = stylegan2.StyleGAN2(random(resolution))
        self.shape = self.prior.image_shape

    def operator(self, task: str, options: dict[str, Any]) -> Any:
        from ilo_jax.app.tasks import TASKS

        return TASKS[task].build(jax.random.key(0), self.shape, **options)

    def solve(self, operator: Any, y: jax.Array, method: str, steps: Any, radii: Any) -> list:
        from ilo_jax.solve import PRESETS

        chosen = {} if radii is None else {"radii": radii}
        made = PRESETS[method].make(self.prior, steps=steps, **chosen)
        found = ilo_jax.reconstruct(self.prior, operator, y, jax.random.key(1), made)
        return [solution.image for solution in found.rounds]


def random(resolution: int) -> Any:
    """Config-f with random weights."""
    config = stylegan2.config_f(resolution)
    return jax.jit(stylegan2.random_generator, static_argnums=0)(config, jax.random.key(0))


def quality(
    house: type[Old] | type[New],
    generator: str,
    data: str,
    images: int,
    task: str,
    options: dict[str, Any],
    methods: dict[str, tuple],
) -> dict:
    """PSNR of the images, `[rounds, images]`, by method."""
    side: House = house(generator)
    pixels = np.load(data)["test"][:images].astype(np.float32) / 127.5 - 1
    truth = jnp.asarray(np.repeat(pixels[..., None], 3, -1))
    operator = side.operator(task, options)
    y = jax.jit(lambda x: operator.measure(jax.random.key(5), x))(truth)

    def psnr(image: jax.Array) -> list[float]:
        error = jnp.mean((jnp.clip(image, -1, 1) - truth) ** 2, (1, 2, 3))
        return (10 * jnp.log10(4 / error)).tolist()

    return {
        name: [psnr(image) for image in side.solve(operator, y, name, steps, radii)]
        for name, (steps, radii) in methods.items()
    }


def speed(
    house: type[Old] | type[New],
    generator: str,
    resolution: int | None,
    batch: int,
    steps: int,
    repeats: int,
) -> dict:
    """Seconds to compile, of the clock and of the processor, which are those of a first run over
    those of a later one, and milliseconds of a step in the later ones."""
    side: House = house(generator, resolution)
    operator = side.operator("invert", {})
    y = jax.random.uniform(jax.random.key(3), (batch, *side.shape), minval=-1)

    def run() -> np.ndarray:
        before = np.array([time.perf_counter(), time.process_time()])
        jax.block_until_ready(side.solve(operator, y, "ilo", (steps,) * 4, (300.0, 100.0, 30.0)))
        return np.array([time.perf_counter(), time.process_time()]) - before

    first, *later = [run() for _ in range(repeats + 1)]
    clock, processor = (statistics.median(seconds) for seconds in zip(*later, strict=True))
    return {
        "compile, s": first[0] - clock,
        "compile, processor's s": first[1] - processor,
        "step, ms": 1e3 * clock / (4 * steps),
        "step, processor's ms": 1e3 * processor / (4 * steps),
    }


def main() -> None:
    house, job = {"old": Old, "new": New}[sys.argv[1]], json.loads(sys.argv[2])
    answer = {"quality": quality, "speed": speed}[job.pop("what")](house, **job)
    print(json.dumps({"package": ilo_jax.__file__, "found": answer}))


if __name__ == "__main__":
    main()

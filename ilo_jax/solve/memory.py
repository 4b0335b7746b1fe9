"""How many images at a time fit into the memory of the devices, and whether they did not."""

import os
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops import Operator
from ilo_jax.solve.loop import solve
from ilo_jax.solve.methods import Plan
from ilo_jax.solve.schedule import Round, Schedule
from ilo_jax.stylegan2 import Generator

_OF_DEVICE, _OF_MACHINE = 0.9, 0.5
"""Parts of the memory that may be used: some is left for fragments and copies, and of a machine's
more, since a process that takes too much is not told so, but killed."""

_MOST = 512
"""Images a device: more at a time gain nothing, and an interruption loses them."""


def images_that_fit(generator: Generator, operator: Operator, plan: Plan, restarts: int) -> int:
    """Images in a batch over all local devices, at least one; an estimate.

    The memory of a device (where devices have none of their own, their part of the machine's), less
    a copy of what all images share, over what one image needs: `bytes_of_image`. At most `_MOST`.
    """
    devices = jax.local_devices()
    room = _usable_memory()
    shared = jax.tree.leaves((generator, operator, plan.losses))
    room -= sum(leaf.nbytes for leaf in shared if isinstance(leaf, jax.Array))
    each = bytes_of_image(generator, operator, plan, restarts)
    count = max(1, int(len(devices) * min(room / each, _MOST)))
    return count - count % len(devices) if count > len(devices) else count


def bytes_of_image(generator: Generator, operator: Operator, plan: Plan, restarts: int) -> int:
    """What one image with its restarts takes on a device: temporary memory and results of the
    compiled program of one step, in the round that differentiates most layers.

    Raises:
      InputError: the platform does not tell.
    """
    rounds = plan.schedule.rounds
    first = min(range(len(rounds)), key=lambda i: rounds[i].cut.layer)
    schedule = Schedule((Round(rounds[first].cut, 1),), plan.schedule.search)
    hyper = jax.tree.map(lambda leaf: leaf[first : first + 1], plan.hyper)

    def batch(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((restarts, *x.shape), x.dtype)

    key = jax.eval_shape(lambda: jax.random.key(0))
    image = jax.ShapeDtypeStruct(generator.config.image_shape, jnp.float32)
    measurement = jax.tree.map(batch, jax.eval_shape(operator.measure, key, image))
    reference = batch(image) if "reference" in plan.losses else None

    @jax.jit
    def step(generator, operator, losses, measurement, key, reference):
        return solve(
            generator,
            operator,
            measurement,
            key,
            schedule,
            hyper,
            losses=losses,
            reference=reference,
        )[-1]

    lowered = step.lower(generator, operator, plan.losses, measurement, key, reference)
    memory = lowered.compile().memory_analysis()
    if memory is None:
        platform = jax.default_backend()
        raise InputError(f"--batch-size auto: {platform} does not tell; expected a number")
    return memory.temp_size_in_bytes + memory.output_size_in_bytes


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device's error says that memory did not suffice."""
    return "RESOURCE_EXHAUSTED" in str(error) or "Out of memory" in str(error)


def halve(size: int, what: str, first: Path, say: Callable[[str], None], remedies: str) -> int:
    """The size to go on with after a batch of `size`, the file `first` in front, did not fit; `say`
    gets a line.

    Args:
      what: an element of the batch, singular.
      remedies: what helps beside a device with more memory, should a single one not fit.

    Raises:
      InputError: it was a single one.
    """
    if size == 1:
        raise InputError(
            f"{first}: out of memory with one {what} at a time; expected a device with more "
            f"memory, {remedies}"
        )
    say(f"out of memory with {size} {what}s at a time; going on with {size // 2}")
    return size // 2


def _usable_memory() -> float:
    """Bytes, of one of the local devices."""
    devices = jax.local_devices()
    stats = devices[0].memory_stats()
    if stats:
        return _OF_DEVICE * stats["bytes_limit"]
    return _OF_MACHINE * _machine_memory() / len(devices)


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

"""How many images at a time fit into the memory of the devices, and whether they did not."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp

from ilo_jax.errors import InputError
from ilo_jax.ops import Operator
from ilo_jax.priors import Prior
from ilo_jax.solve import Method, init, steps
from ilo_jax.solve.reconstruct import CHUNK

_OF_DEVICE, _OF_MACHINE = 0.9, 0.5
"""Parts of the memory that may be used: some is left for fragments and copies, and of a machine's
more, since a process that takes too much is not told so, but killed."""

_MOST = 512
"""Images a device: more at a time gain nothing, and an interruption loses them."""


def images_that_fit(prior: Prior, operator: Operator, method: Method, restarts: int) -> int:
    """Images at a time on a device, at least one; an estimate.

    The memory of a device (where devices have none of their own, their part of the machine's), less
    a copy of what all images share, over what one image needs: `bytes_of_image`. At most `_MOST`.
    """
    shared = jax.tree.leaves((prior, operator, method))
    room = _usable_memory() - sum(jnp.asarray(leaf).nbytes for leaf in shared)
    each = bytes_of_image(prior, operator, method, restarts)
    return max(1, int(min(room / each, _MOST)))


def bytes_of_image(prior: Prior, operator: Operator, method: Method, restarts: int) -> int:
    """What one image with its restarts takes on a device: what is known of it, its search, and
    temporary memory and results of the compiled program of its steps.

    Raises:
      InputError: the platform does not tell.
    """

    def batch(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((restarts, *x.shape), x.dtype)

    key = jax.eval_shape(lambda: jax.random.key(0))
    image = jax.ShapeDtypeStruct(prior.image_shape, jnp.float32)
    measurement = jax.tree.map(batch, jax.eval_shape(operator.measure, key, image))
    run = jax.eval_shape(
        lambda *args: init(*args[:-1], reference=args[-1]),
        *(prior, operator, measurement, key, method, batch(image)),
    )
    memory = jax.jit(steps, static_argnums=1).lower(run, CHUNK).compile().memory_analysis()
    if memory is None:
        platform = jax.default_backend()
        raise InputError(f"--batch-size auto: {platform} does not tell; expected a number")
    own = jax.tree.leaves((run.problem.data, run.problem.targets, run.search))
    known = sum(x.size * x.dtype.itemsize for x in own)
    return known + memory.temp_size_in_bytes + memory.output_size_in_bytes


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device's error says that memory did not suffice."""
    return "RESOURCE_EXHAUSTED" in str(error) or "Out of memory" in str(error)


def _usable_memory() -> float:
    """Bytes, of one of the local devices."""
    devices = jax.local_devices()
    stats = devices[0].memory_stats()
    if stats:
        return _OF_DEVICE * stats["bytes_limit"]
    return _OF_MACHINE * machine_memory() / len(devices)


def machine_memory(root: Path = Path("/")) -> int:
    """Bytes that this process may have: the machine's, or less where a control group, such as a
    container's or a job's, has a limit.

    Args:
      root: of the file system that has `proc` and `sys`.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits_of_groups(root)])


def _limits_of_groups(root: Path) -> Iterator[int]:
    """Of the groups that the process is in, and of those around them, whichever are to be seen: in
    a container the innermost may be what is mounted, whatever its path outside. Version 2 has one
    hierarchy, numbered 0; version 1 has one for memory."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # another system than Linux
        return
    for line in groups:
        number, kinds, path = line.split(":", 2)
        if number == "0":
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in kinds.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        inner = top / path.lstrip("/")
        for group in (inner, *inner.parents):
            file = group / name
            if group.is_relative_to(top) and file.is_file():
                limit = file.read_text().strip()
                if limit.isdigit():  # or "max"
                    yield int(limit)

"""How many images at a time fit into the memory of the devices, and whether they did not."""

import functools
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ilo_jax.app.methods import has_reference
from ilo_jax.app.prior import usual_width
from ilo_jax.app.programs import compiled_steps
from ilo_jax.errors import InputError
from ilo_jax.ops import Operator
from ilo_jax.priors import Prior
from ilo_jax.solve import Method, init
from ilo_jax.solve.batch import batch_mesh

_OF_DEVICE, _OF_MACHINE = 0.9, 0.5
"""Parts of the memory that may be used: some is left for fragments and copies, and of a machine's
more, since a process that takes too much is not told so, but killed."""

_MOST = 512
"""Images a device: more at a time gain nothing, and an interruption loses them."""


_ENOUGH, _TRIES = 0.9, 6
"""Part of the room that a batch takes which is not enlarged any more, and how many are tried."""


def images_that_fit(
    prior: Prior, operator: Operator, method: Method, restarts: int, images: int | None = None
) -> int:
    """Images at a time on a device, at least one and at most `_MOST`, each with its restarts.

    The memory of a device (where devices have none of their own, their part of the machine's), less
    a copy of what all images share, over what the compiled program of a batch takes there.

    Args:
      images: that there are in all, over the devices; None for many.

    Raises:
      InputError: the platform does not tell.
    """
    of_batch = functools.partial(bytes_of_batch, prior, operator, method, restarts)
    room = _usable_memory() - _bytes_of((prior, operator, method))
    most = _MOST if images is None else min(_MOST, -(-images // jax.local_device_count()))
    return largest(of_batch, room, min(usual_width(prior, restarts), most), most)


def largest(size: Callable[[int], float], room: float, first: int, most: int) -> int:
    """The largest `n` from 1 to `most` with a `size` that there is room for; 1 if there is for
    none. Where `size` is linear but for an offset it is exact, or takes `_ENOUGH`.

    Args:
      first: is tried first.
    """
    n, last, fits, too_large = first, None, 0, most + 1
    for _ in range(_TRIES):
        taken = size(n)
        if _ENOUGH * room <= taken <= room:
            return n
        if taken <= room:
            fits = n
        else:
            too_large = n
        if taken == math.inf:
            following = (fits + n) // 2
        elif last is None:
            following = max(n + 1 if n == fits else 0, int(n * room / taken))
        else:
            each = (taken - last[1]) / (n - last[0])
            following = int(n + (room - taken) / each) if each > 0 else most
        if taken < math.inf:
            last = n, taken
        n = min(max(following, fits), too_large - 1)
        if n == fits:
            break
    return max(1, fits)


def bytes_of_batch(
    prior: Prior, operator: Operator, method: Method, restarts: int, images: int
) -> float:
    """What so many images a device take there, each with its restarts: what is known of them, their
    search, and temporary memory and results of the compiled program of their steps; infinite if it
    cannot be compiled for want of memory.

    Raises:
      InputError: the platform does not tell.
    """
    devices = jax.local_device_count()
    runs = devices * images * restarts
    mesh = batch_mesh(runs)

    def batch(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((runs, *x.shape), x.dtype)

    key = jax.eval_shape(lambda: jax.random.key(0))
    image = jax.ShapeDtypeStruct(prior.image_shape, jnp.float32)
    measurement = jax.tree.map(batch, jax.eval_shape(operator.measure, key, image))
    reference = batch(image) if has_reference(method) else None
    begin = functools.partial(init, method=method, mesh=mesh)
    run = jax.eval_shape(begin, prior, operator, measurement, key, reference=reference)
    try:
        memory = compiled_steps(run, mesh).memory_analysis()
    except jax.errors.JaxRuntimeError as error:
        if is_out_of_memory(error):
            return math.inf
        raise
    if memory is None:
        platform = jax.default_backend()
        raise InputError(f"--batch-size auto: {platform} does not tell; expected a number")
    own = _bytes_of((run.problem.data, run.problem.targets, run.search)) / devices
    return own + memory.temp_size_in_bytes + memory.output_size_in_bytes


def _bytes_of(tree: Any) -> int:
    kinds: Any = map(jax.api_util.shaped_abstractify, jax.tree.leaves(tree))
    return sum(kind.size * kind.dtype.itemsize for kind in kinds)


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

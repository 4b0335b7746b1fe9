"""The cores of the processor that this process may use: those of its job, where it is in one."""

import os


def usable_cores() -> int:
    """At least one."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

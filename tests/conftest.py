"""The JAX of the tests: two devices, and programs compiled with few optimizations, since compiling
is most of what the tests do. Programs compiled once are shared by all tests, their processes and
their subprocesses, in a folder of the run."""

import os
import tempfile

import hypothesis

_cache = None
if "PYTEST_XDIST_WORKER" not in os.environ:  # a worker has its parent's folder
    _cache = tempfile.TemporaryDirectory(prefix="ilo_jax_tests_")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _cache.name
os.environ["JAX_NUM_CPU_DEVICES"] = "2"
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # 0: as users have it, twice the time

# The first example of a shape compiles: times say nothing about a law.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


def pytest_configure():
    from ilo_jax.solve.cli import start_quickly  # JAX reads what is set above when it is imported

    start_quickly()


def pytest_unconfigure():
    if _cache is not None:
        _cache.cleanup()

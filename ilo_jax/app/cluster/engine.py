"""The driver: batches go out, what comes back is written, in whatever order."""

import dataclasses
import pickle
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from ilo_jax.app.cluster.attempts import Attempts
from ilo_jax.app.cluster.tally import Tally
from ilo_jax.app.cluster.work import Done, Work
from ilo_jax.app.cluster.worker import Solver, one_device
from ilo_jax.app.finish import finish
from ilo_jax.app.inputs import inputs_of
from ilo_jax.app.metrics import OK
from ilo_jax.app.reconstruct import Outcome
from ilo_jax.app.results import Results
from ilo_jax.app.run import Run, load_prior
from ilo_jax.app.settings import Settings
from ilo_jax.files.digest import combined

_CORE = 0.95
"""Of a core, for a worker: a node has room for as many as it has cores, and for what is small
beside them."""

ATTEMPTS = ".attempts.jsonl"


def create_run(ray: Any, settings: Settings, width: int | None) -> Run:
    """What the workers will run: where no number is given, as many images at a time as are usual on
    their devices.

    Raises:
      InputError: a setting is out of range, or does not go with another.
    """
    one_device()
    prior = load_prior(settings.generator, settings.label, settings.seed, settings.precision)
    run = Run.create(settings, prior, width)  # refuses what is wrong before a worker starts
    if _kind(ray) == "CPU":
        return run
    kind, usual = ray.get(ray.remote(_device).options(**_needs(ray)).remote(settings))
    run.description["made_by"]["device"] = kind
    return dataclasses.replace(run, width=usual) if width is None else run


def _device(settings: Settings) -> tuple[str, int]:
    """The kind of a worker's device, and how many images at a time are usual on it."""
    one_device()
    prior = load_prior(settings.generator, settings.label, settings.seed, settings.precision)
    return jax.devices()[0].device_kind, Run.create(settings, prior).width


def reconstruct_on(ray: Any, run: Run, paths: Sequence[Path], out: Path, tally: Tally) -> Outcome:
    """As `reconstruct`, by the workers of a cluster, one on each of its devices.

    Raises:
      InputError: `out` cannot be used.
    """
    results = Results.open(out, run.description | {"inputs": inputs_of(run.settings)})
    known = {name: row.input for name, row in results.finished().items()}
    attempts = out / ATTEMPTS
    works = list(batches(paths, run.width, known))
    computed = False
    for done in solved(ray, run, works, attempts):
        for line in done.said:
            tally.say(line)
        if done.rows:
            computed = True
            results.adopt(done.rows, done.files, done.history)
        failed = sum(row.status != OK for row in done.rows)
        tally.add(len(done.rows) - failed, failed, done.same)
    results.sort()
    attempts.unlink(missing_ok=True)  # what failed is tried again by the same command
    if tally.same:
        tally.say(f"{tally.same} of {len(paths)} were there already")
    summary, without_image = finish(run, paths, results, tally.say, computed)
    return Outcome(summary, without_image, results)


def batches(paths: Sequence[Path], width: int, known: dict[str, str]) -> Iterator[Work]:
    """The same ones whenever the files are the same, whatever is known of them."""
    for start in range(0, len(paths), width):
        files = paths[start : start + width]
        names = tuple(file.stem for file in files)
        digests = tuple(known.get(name) for name in names)
        yield Work(combined(*names), tuple(str(file.absolute()) for file in files), digests)


def solved(ray: Any, run: Run, works: Sequence[Work], attempts: Path) -> Iterator[Done]:
    """What became of each batch, as it comes."""
    from ray.util.scheduling_strategies import (  # pyright: ignore[reportMissingImports]
        NodeAffinitySchedulingStrategy,
    )

    if not works:
        return
    count = max(1, int(ray.cluster_resources().get(_kind(ray), 1)))
    # On the driver's node, where the file is.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    ledger = (
        ray.remote(_Ledger)
        .options(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)
        .remote(attempts, uuid.uuid4().hex)
    )
    rows = [{"work": pickle.dumps(work)} for work in works]
    pool = ray.data.ActorPoolStrategy(
        min_size=1, initial_size=min(count, len(works)), max_size=max(count, len(works))
    )
    data = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        Solver,
        fn_constructor_args=(run.settings, run.width, ledger),
        batch_size=1,
        compute=pool,
        **_needs(ray),
    )
    # Ray restarts workers and gives them their batch again, for ever.
    for row in data.iter_rows():
        yield pickle.loads(row["done"])


def _kind(ray: Any) -> str:
    """Of the devices of a cluster."""
    resources = ray.cluster_resources()
    return next((kind for kind in ("GPU", "TPU") if resources.get(kind)), "CPU")


def _needs(ray: Any) -> dict[str, Any]:
    """Of a worker."""
    of_device = {"GPU": {"num_gpus": 1}, "TPU": {"resources": {"TPU": 1}}, "CPU": {}}
    return {"num_cpus": _CORE, **of_device[_kind(ray)]}


class _Ledger(Attempts):
    """As an actor."""

    def __init__(self, path: Path, session: str):
        super().__init__(path, session, _is_alive)


def _is_alive(node: str) -> bool:
    import ray  # pyright: ignore[reportMissingImports]

    return any(found["NodeID"] == node and found["Alive"] for found in ray.nodes())

"""The driver: batches go out, what comes back is written, in whatever order."""

import dataclasses
import pickle
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from ilo_jax.app.cluster.attempts import Attempts
from ilo_jax.app.cluster.parts import Parts
from ilo_jax.app.cluster.reading import masks_of_nobody, named_inputs
from ilo_jax.app.cluster.sources import Source
from ilo_jax.app.cluster.stages import Expand, Fetch, Write
from ilo_jax.app.cluster.tally import Tally
from ilo_jax.app.cluster.work import Done
from ilo_jax.app.cluster.worker import Solver, one_device
from ilo_jax.app.grid import Sweep
from ilo_jax.app.metrics import OK
from ilo_jax.app.prior import prior_of
from ilo_jax.app.results import Results
from ilo_jax.app.run import Run
from ilo_jax.app.settings import Settings
from ilo_jax.errors import InputError

_CORE, _LITTLE = 0.95, 0.01
"""Of a core, for a worker, and for what reads and writes beside it: a node has room for as many
workers as it has cores."""

_BLOCK = 1024
"""Bytes of Ray's blocks, at least: each batch is one of its own, so that it is lost alone."""

ATTEMPTS = ".attempts.jsonl"


@dataclasses.dataclass(frozen=True)
class Job:
    """What a cluster is to do.

    Attributes:
      run: its generator and operator are made again by each worker.
      settings: as asked for.
      sources: of the images.
      attempts: the file where attempts are noted, on the driver's machine.
      sweep: what is done with each image, instead of a task.
      at_once: images of a batch; None for the run's width.
      parts: of a batch, each for a worker.
    """

    run: Run
    settings: Settings
    sources: Sequence[Source]
    attempts: Path
    sweep: Sweep | None = None
    at_once: int | None = None
    parts: int = 1


def create_run(ray: Any, settings: Settings, width: int | None) -> Run:
    """What the workers will run: where no number is given, as many images at a time as are usual on
    their devices.

    Raises:
      InputError: a setting is out of range, or does not go with another.
    """
    one_device()
    prior = prior_of(settings)
    with masks_of_nobody(settings, prior) as made:
        run = Run.create(made, prior, width)  # refuses what is wrong before a worker starts
    given = {"options": settings.options}
    run.description.update(settings.options)
    run.description["made_by"]["given"].update(given)
    if _kind(ray) == "CPU":
        return run
    kind, usual = ray.get(ray.remote(_device).options(**_needs(ray)).remote(settings))
    run.description["made_by"]["device"] = kind
    return dataclasses.replace(run, width=usual) if width is None else run


def _device(settings: Settings) -> tuple[str, int]:
    """The kind of a worker's device, and how many images at a time are usual on it."""
    one_device()
    prior = prior_of(settings)
    with masks_of_nobody(settings, prior) as made:
        return jax.devices()[0].device_kind, Run.create(made, prior).width


def into_folder(ray: Any, job: Job, out: Path, tally: Tally) -> tuple[Results, bool]:
    """Solves what is not there yet, as `reconstruct` does; returns the results, and whether there
    was anything to solve.

    Raises:
      InputError: `out` cannot be used, or a source cannot be read.
    """
    results = Results.open(out, job.run.description | {"inputs": named_inputs(job.settings)})
    known = {name: row.input for name, row in results.finished().items()}
    computed = False
    for done in solved(ray, job, [known], None):
        _tell(done, tally)
        if done.rows:
            computed = True
            results.adopt(done.rows, done.files, done.history)
    results.sort()
    end(job, tally)
    return results, computed


def into_parts(ray: Any, job: Job, parts: Parts, tally: Tally) -> tuple[dict[str, Any], int]:
    """Solves what is not there yet, into Parquet; returns the summary, and how many images have
    none.

    Raises:
      InputError: as `into_folder`.
    """
    described = job.run.description | {"inputs": named_inputs(job.settings)}
    parts.begin(described)
    for done in solved(ray, job, [{}], parts):
        _tell(done, tally)
    end(job, tally)
    summary, statuses = parts.summarize(described)
    return summary, statuses.total() - statuses[OK]


def _tell(done: Done, tally: Tally) -> None:
    for line in done.said:
        tally.say(line)
    failed = sum(row.status != OK for row in done.rows)
    tally.add(len(done.rows) - failed, failed, done.same)


def end(job: Job, tally: Tally) -> None:
    """Everything has been tried."""
    job.attempts.unlink(missing_ok=True)  # what failed is tried again by the same command
    if tally.same:
        total = tally.done + tally.failed + tally.same
        tally.say(f"{tally.same} of {total} were there already")


def solved(
    ray: Any, job: Job, known: Sequence[Mapping[str, str]], parts: Parts | None
) -> Iterator[Done]:
    """What became of each batch, as it comes.

    Args:
      known: for each part of a batch, digests of what is there already, by name.
      parts: where it is written, and comes without its files then.
    """
    count = max(1, int(ray.cluster_resources().get(_kind(ray), 1)))
    pool = ray.data.ActorPoolStrategy(
        min_size=1,
        initial_size=count,
        max_size=max(count, 1024),
        max_tasks_in_flight_per_actor=2,  # more would wait while another worker has nothing to do
    )
    context = ray.data.DataContext.get_current()
    context.target_max_block_size = _BLOCK
    context.target_min_block_size = 1
    rows = [{"source": pickle.dumps(source)} for source in job.sources]
    # What reads and writes stays, too: processes of mere tasks Ray ends when they are idle for a
    # second, and starting another costs as much as a batch.
    beside: dict[str, Any] = {"batch_size": 1, "num_cpus": _LITTLE}
    beside["compute"] = ray.data.ActorPoolStrategy(min_size=1, max_size=count)
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    # Where one source is most of what there is, many read what one lists: Ray joins what asks for
    # the same.
    lists = _LITTLE / 2 if any(source.is_folder for source in job.sources) else _LITTLE
    expand = Expand(job.at_once or job.run.width, job.parts)
    data = data.map_batches(expand, batch_size=1, num_cpus=lists)
    data = data.map_batches(Fetch, fn_constructor_args=(ray.put(known), parts), **beside)
    # Ray restarts workers and gives them their batch again, for ever.
    data = data.map_batches(
        Solver,
        fn_constructor_args=(job.settings, job.run.width, _ledger(ray, job.attempts), job.sweep),
        batch_size=1,
        compute=pool,
        **_needs(ray),
    )
    if parts is not None:
        data = data.map_batches(Write, fn_constructor_args=(parts,), **beside)
    try:
        for row in data.iter_rows():
            yield pickle.loads(row["done"])
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, InputError):
            line, *_ = str(error.cause).splitlines()  # behind which Ray writes its advice
            raise InputError(line) from error
        raise


def _ledger(ray: Any, path: Path) -> Any:
    """An actor on the driver's machine, where the file is."""
    from ray.util.scheduling_strategies import (  # pyright: ignore[reportMissingImports]
        NodeAffinitySchedulingStrategy,
    )

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
    actor = ray.remote(_Ledger).options(**options, scheduling_strategy=here)
    return actor.remote(path.absolute(), uuid.uuid4().hex)


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

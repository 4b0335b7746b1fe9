"""What a worker makes of a batch, with whatever is asked for: the bytes of the plain command."""

import dataclasses

import pytest

import ilo_jax
from ilo_jax.app.cluster import worker
from ilo_jax.app.cluster.reading import Said, named_inputs
from ilo_jax.app.cluster.work import Work
from ilo_jax.app.reconstruct import reconstruct
from ilo_jax.app.run import Run
from ilo_jax.app.settings import Settings
from ilo_jax.app.tasks import TASKS
from ilo_jax.files.find import find_images

pytestmark = pytest.mark.slow

looks_at_files = True


@pytest.fixture
def same(inputs, tmp_path, monkeypatch):
    """Solves four images as the plain command does, on two devices, and as a worker does; returns
    the folder."""
    monkeypatch.chdir(inputs)
    prior = ilo_jax.load("gen")

    def run(settings, files=None):
        files = find_images(["many"])[:4] if files is None else files
        plain, other = (tmp_path / f"{len(list(tmp_path.iterdir()))}{of}" for of in "ab")
        outcome = reconstruct(Run.create(settings, prior, 2), files, plain, Said())
        assert outcome.failed == []
        other.mkdir()
        work = Work("key", tuple(map(str, files)))
        made = Run.create(settings, prior, 4)
        done = worker.solve_into(made, work, range(4), other, named_inputs(settings))
        written = {
            str(file.relative_to(plain)): file.read_bytes()
            for file in plain.rglob("*")
            if file.is_file() and file.parent != plain
        }
        assert done.files == written
        assert {path.split("/")[0] for path in written} >= {"images"}
        expected = outcome.results.finished().values()
        assert [dataclasses.replace(row, seconds=0.0) for row in done.rows] == [
            dataclasses.replace(row, seconds=0.0) for row in expected
        ]
        return plain

    return run


def settings_of(name, **more) -> Settings:
    task = TASKS[name]
    options = task.complete(task.examples[0])
    return Settings(name, options, "ilo", 0, (2, 2), generator="gen", **more)


@pytest.mark.parametrize("name", TASKS)
def test_every_task(name, same):
    same(settings_of(name))


@pytest.mark.parametrize(
    "more",
    [
        {"samples": 2, "keep_samples": True},
        {"auto": "quick"},
        {"save_arrays": "npy", "save_variables": True, "animate": "gif"},
    ],
    ids=", ".join,
)
def test_whatever_else_is_asked_for(more, same):
    same(settings_of("superres", **more))


def test_measured_arrays(same):
    measured = same(settings_of("mri", save_measurement=True)) / "measurements"
    files = find_images([str(measured)], measured=True)
    assert len(files) == 4
    same(settings_of("mri", measured=True), files)

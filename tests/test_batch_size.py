"""How many images at a time: what fits into memory, and what happens when it does not."""

import dataclasses
import types

import jax
import numpy as np
import pytest
from PIL import Image

from ilo_jax.errors import InputError
from ilo_jax.solve import memory
from ilo_jax.solve import run as run_module
from ilo_jax.solve.run import reconstruct
from ilo_jax.solve.settings import Run, Settings
from ilo_jax.stylegan2 import GeneratorConfig, random_generator

CONFIG = GeneratorConfig(channels=(16, 8), w_dim=16, z_dim=16, mapping_layers=2)
SETTINGS = Settings("invert", {}, "ilo", 0, (2, 2), generator="random")


class Lines:
    """A reporter that keeps what it is told."""

    def __init__(self):
        self.said: list[str] = []
        self.batches: list[tuple[int, int]] = []

    def say(self, line):
        self.said.append(line)

    def batch(self, done, count, total, steps):
        self.batches.append((done, count))

    def progress(self, index, steps, mse):
        pass


@pytest.fixture(scope="module")
def generator():
    return jax.jit(random_generator, static_argnums=0)(CONFIG, jax.random.key(0))


@pytest.fixture
def paths(tmp_path):
    side = CONFIG.resolution
    pixels = np.random.default_rng(0).integers(0, 256, (5, side, side, 3), np.uint8)
    files = [tmp_path / f"{i}.png" for i in range(len(pixels))]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(file)
    return files


def limit_memory(monkeypatch, most: int, message: str) -> None:
    """Lets batches of more than `most` images run out of memory."""
    solve_batch = run_module._solve_batch

    def limited(run, plan, batch, size, progress):
        if size > most:
            raise jax.errors.JaxRuntimeError(message)
        return solve_batch(run, plan, batch, size, progress)

    monkeypatch.setattr(run_module, "_solve_batch", limited)


def pixels(folder) -> dict[str, np.ndarray]:
    return {
        path.name: np.asarray(Image.open(path)).astype(int)
        for path in (folder / "images").iterdir()
    }


@pytest.mark.parametrize(
    "message",
    [
        "RESOURCE_EXHAUSTED: failed to allocate 9.00GiB",
        "INTERNAL: Out of memory while trying to allocate 5 bytes.",
    ],
)
def test_batches_are_halved_until_they_fit(message, generator, paths, tmp_path, monkeypatch):
    whole, halved = Lines(), Lines()
    run = Run.create(SETTINGS, generator, 4)
    reconstruct(run, paths, tmp_path / "whole", whole)
    limit_memory(monkeypatch, 1, message)
    outcome = reconstruct(run, paths, tmp_path / "halved", halved)
    assert whole.said == []
    assert halved.said == [
        "out of memory with 4 images at a time; going on with 2",
        "out of memory with 2 images at a time; going on with 1",
    ]
    assert halved.batches == [(0, 4), (0, 2), *((i, 1) for i in range(5))]
    assert outcome.summary is not None
    assert outcome.summary["images"] == 5
    expected, found = pixels(tmp_path / "whole"), pixels(tmp_path / "halved")
    assert sorted(expected) == sorted(found)
    for name, image in expected.items():
        assert np.abs(found[name] - image).max() <= 1  # rounding


def test_one_image_that_does_not_fit_is_refused(generator, paths, tmp_path, monkeypatch):
    limit_memory(monkeypatch, 0, "RESOURCE_EXHAUSTED: 9.00GiB")
    with pytest.raises(InputError, match=r"0\.png: out of memory with one image"):
        reconstruct(Run.create(SETTINGS, generator, 2), paths, tmp_path / "out", Lines())


def test_other_errors_of_the_device_are_not_taken_for_it(generator, paths, tmp_path, monkeypatch):
    limit_memory(monkeypatch, 0, "INTERNAL: the device is lost")
    with pytest.raises(jax.errors.JaxRuntimeError, match="lost"):
        reconstruct(Run.create(SETTINGS, generator, 2), paths, tmp_path / "out", Lines())


def test_auto_is_what_the_memory_has_room_for(generator, monkeypatch):
    run = Run.create(SETTINGS, generator, 1)
    args = (generator, run.operator, run.plan, 1)
    each, shared = memory.bytes_of_image(*args), sum(x.nbytes for x in jax.tree.leaves(generator))
    devices = jax.local_device_count()
    monkeypatch.setattr(memory, "bytes_of_image", lambda *_: each)
    # Every device holds a copy of what all images share.
    for room, expected in ((shared + 7.5 * each, 7 * devices), (0, 1), (2**60, 512 * devices)):
        monkeypatch.setattr(memory, "_usable_memory", lambda room=room: room)
        assert Run.create(SETTINGS, generator, "auto").batch_size == expected


def test_devices_without_memory_of_their_own_share_half_of_the_machine(monkeypatch):
    monkeypatch.setattr(memory, "_machine_memory", lambda: 2**30)
    device = types.SimpleNamespace(memory_stats=lambda: None)
    monkeypatch.setattr(jax, "local_devices", lambda: [device] * 4)
    assert memory._usable_memory() == 2**30 / 8
    device.memory_stats = lambda: {"bytes_limit": 1000}
    assert memory._usable_memory() == 900


@pytest.mark.parametrize(
    ("backend", "samples", "expected"),
    [("cpu", 1, 32), ("cpu", 4, 8), ("gpu", 1, 512), ("gpu", 4, 128)],
)
def test_an_accelerator_has_larger_batches(backend, samples, expected, generator, monkeypatch):
    monkeypatch.setattr(jax, "local_device_count", lambda: 2)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    settings = dataclasses.replace(SETTINGS, samples=samples)
    assert Run.create(settings, generator, None).batch_size == expected


def test_an_image_takes_as_much_as_its_restarts(generator):
    run = Run.create(SETTINGS, generator, 1)
    one, four = (memory.bytes_of_image(generator, run.operator, run.plan, k) for k in (1, 4))
    assert 2 < four / one <= 4.1


def test_a_batch_is_divided_evenly_over_the_devices(monkeypatch):
    monkeypatch.setattr(jax, "local_device_count", lambda: 8)
    assert [run_module._evenly(n) for n in (1, 7, 8, 9, 13, 16)] == [1, 7, 8, 16, 16, 16]

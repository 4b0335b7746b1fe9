"""How many images at a time: programs, what fits into memory, and what happens when it does not."""

import functools
import math
import os
import pathlib
import types

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies as st
from outputs import pictures, summary
from small import MLP, OPERATOR, shared

import ilo_jax
from ilo_jax.app import memory, programs
from ilo_jax.app import reconstruct as reconstruct_module
from ilo_jax.app.pipeline import Pipeline, padded, program_size
from ilo_jax.app.run import Run
from ilo_jax.app.settings import Settings
from ilo_jax.errors import InputError
from ilo_jax.solve.batch import batch_mesh

looks_at_files = True

SAMPLES = pathlib.Path(ilo_jax.__file__).parent / "app" / "samples"

MESSAGES = [
    "RESOURCE_EXHAUSTED: failed to allocate 9.00GiB",
    "INTERNAL: Out of memory while trying to allocate 5 bytes.",
]


@pytest.mark.parametrize(
    ("devices", "most", "sizes"),
    [
        (1, 8, {1: 1, 2: 2, 3: 4, 5: 8, 8: 8, 9: 8, 100: 8}),
        (4, 8, {1: 1, 3: 3, 4: 4, 5: 8, 8: 8, 9: 16, 17: 32, 32: 32, 99: 32}),
        (2, 7, {1: 1, 2: 2, 3: 4, 8: 8, 9: 14, 14: 14, 99: 14}),
        (8, 1, {1: 1, 7: 7, 8: 8, 9: 8}),
    ],
)
def test_a_program_has_as_many_runs_on_each_device(devices, most, sizes):
    assert {runs: program_size(runs, most, devices) for runs in sizes} == sizes


def test_programs_are_filled_up_with_their_last_item():
    assert padded("abcde", 2) == [["a", "b"], ["c", "d"], ["e", "e"]]
    assert padded("abcd", 4) == [["a", "b", "c", "d"]]
    assert padded("a", 3) == [["a", "a", "a"]]


class Machine:
    """Devices on which more than `most` runs each do not fit."""

    def __init__(self, monkeypatch, devices: int, most: int, message: str = MESSAGES[0]):
        monkeypatch.setattr(jax, "local_device_count", lambda: devices)
        self.devices, self.most, self.message = devices, most, message
        self.tried: list[tuple[str, int]] = []
        self.written: list[str] = []
        self.said: list[str] = []

    def solve(self, batch, size):
        self.tried.append(("".join(batch), size))
        if size > self.most * self.devices:
            raise jax.errors.JaxRuntimeError(self.message)
        return [item.upper() for item in batch]

    def write(self, batch, found, seconds):
        assert found == [item.upper() for item in batch]
        assert seconds >= 0
        self.written += batch

    def run(self, items, runs, width, at_once=None):
        Pipeline(
            solve=self.solve,
            write=self.write,
            begin=lambda batch, size: None,
            name=lambda item: f"{item}.png",
            runs=runs,
            width=width,
            at_once=at_once,
        ).run(items, self.said.append)


def test_all_items_are_solved_in_order_in_few_programs(monkeypatch):
    machine = Machine(monkeypatch, devices=2, most=99)
    machine.run("abcdefghijk", runs=1, width=4)
    assert machine.tried == [("abcdefgh", 8), ("ijk", 4)]
    assert "".join(machine.written) == "abcdefghijk"
    assert machine.said == []


def test_runs_of_an_item_count(monkeypatch):
    machine = Machine(monkeypatch, devices=2, most=99)
    machine.run("abcde", runs=4, width=4)
    assert machine.tried == [("ab", 8), ("cd", 8), ("e", 4)]
    machine = Machine(monkeypatch, devices=2, most=99)
    machine.run("ab", runs=9, width=2)  # in several programs each
    assert machine.tried == [("a", 4), ("b", 4)]


@pytest.mark.parametrize("devices", [1, 2, 4])
@pytest.mark.parametrize("message", MESSAGES)
def test_what_does_not_fit_is_halved_on_each_device(devices, message, monkeypatch):
    machine = Machine(monkeypatch, devices, most=3, message=message)
    items = [chr(ord("a") + i) for i in range(8 * devices + 1)]
    machine.run(iter(items), runs=1, width=8)
    assert machine.said == [
        "out of memory with 8 at a time on a device; going on with 4",
        "out of memory with 4 at a time on a device; going on with 2",
    ]
    assert machine.written == items
    assert {size for _, size in machine.tried[2:]} <= {2 * devices, devices, 1}


def test_a_single_one_that_does_not_fit_is_refused(monkeypatch):
    machine = Machine(monkeypatch, devices=2, most=0)
    with pytest.raises(InputError, match=r"a\.png: out of memory with one at a time on a device"):
        machine.run("abc", runs=1, width=2)
    assert machine.written == []


def test_other_errors_of_the_device_are_not_taken_for_it(monkeypatch):
    machine = Machine(monkeypatch, devices=2, most=0, message="INTERNAL: the device is lost")
    with pytest.raises(jax.errors.JaxRuntimeError, match="lost"):
        machine.run("abc", runs=1, width=2)


def test_an_item_is_drawn_when_those_before_it_are_written(monkeypatch):
    machine = Machine(monkeypatch, devices=2, most=9)
    seen = []

    def items():
        for item in "abc":
            seen.append(list(machine.written))
            yield item

    machine.run(items(), runs=1, width=1, at_once=1)
    assert seen == [[], ["a"], ["a", "b"]]


@pytest.mark.slow
def test_a_command_goes_on_with_what_fits(solve, tmp_path, monkeypatch):
    line = "invert --images many --generator gen --steps 2,2 --out {tmp}/"
    assert solve(line + "whole --batch-size 1").code == 0
    whole = reconstruct_module.solve_batch

    def limited(run, batch, size, reporter):
        if size > 2:
            raise jax.errors.JaxRuntimeError(MESSAGES[0])
        return whole(run, batch, size, reporter)

    monkeypatch.setattr(reconstruct_module, "solve_batch", limited)
    done = solve(line + "halved --batch-size 2")
    assert done.code == 0
    assert "out of memory with 2 at a time on a device; going on with 1" in done.err
    assert summary(tmp_path / "halved")["images"] == 5
    assert pictures(tmp_path / "halved") == pictures(tmp_path / "whole")


@pytest.mark.slow
def test_an_image_that_is_solved_by_itself_has_the_same_bytes_anywhere(solve, tmp_path):
    """To the last bit of what was optimized; in batches it differs after two steps."""
    files = [f"{SAMPLES}/radiograph_0{i}.png" for i in range(3)]
    line = "inpaint --observed 0.2 --steps 2,2 --save-variables --images {images} --out {out}"

    def found(out, images, *options):
        words = line.format(images=" ".join(images), out=tmp_path / out)
        assert solve(" ".join([words, *options])).code == 0
        return bytes_of_variables(tmp_path / out)

    whole = found("all", files, "--reproducible")
    assert len(whole) == 3
    assert found("turned", files[::-1], "--reproducible") == whole
    assert found("one", files[1:2], "--reproducible") == {"radiograph_01": whole["radiograph_01"]}
    assert found("batch", files) != whole


def bytes_of_variables(out):
    found = {}
    for path in (out / "variables").iterdir():
        with np.load(path) as arrays:
            found[path.stem] = {name: arrays[name].tobytes() for name in arrays}
    return found


@pytest.mark.parametrize("options", ["--samples 3", "--auto"])
def test_each_run_that_is_solved_by_itself_is_in_a_program_of_its_own(options, solve, monkeypatch):
    sizes = []

    def stopped(run, batch, size, reporter):
        sizes.append((len(batch), size))
        raise KeyboardInterrupt

    monkeypatch.setattr(reconstruct_module, "solve_batch", stopped)
    line = f"invert --images many --generator gen --steps 2,2 {options} --out {{out}}"
    assert solve(f"{line} --reproducible").code == 130
    assert sizes == [(1, 1)]


METHOD = shared(ilo_jax.solve.ilo(MLP, (3, 3)))


@hypothesis.given(
    each=st.floats(1, 1e9),
    offset=st.floats(0, 1e9),
    room=st.floats(-1e9, 1e12),
    first=st.integers(1, 512),
    most=st.integers(1, 512),
)
def test_the_largest_batch_is_found_in_few_tries(each, offset, room, first, most):
    tried = []

    def size(n):
        tried.append(n)
        return offset + each * n

    found = memory.largest(size, room, min(first, most), most)
    assert 1 <= found <= most
    assert len(tried) == len(set(tried)) <= 5
    if found > 1:
        assert found in tried
        assert size(found) <= room
    if found < most and size(found) < 0.9 * room:
        assert size(found + 1) > room * (1 - 1e-6)


@pytest.mark.parametrize("limit", [0, 1, 9, 300])
def test_what_cannot_be_compiled_is_too_large(limit):
    found = memory.largest(lambda n: n if n <= limit else math.inf, 400, 256, 512)
    assert found == 1 or limit / 4 <= found <= limit


def test_auto_takes_nearly_all_of_the_memory(monkeypatch):
    """On each of two devices; by what the program of the batch that was chosen takes, which is the
    one that runs."""
    monkeypatch.setattr(programs, "_KNOWN", (*programs._KNOWN, "small"))
    room, sizes = 200_000, {}
    of_batch = memory.bytes_of_batch

    def noted(*args):
        sizes[args[-1]] = of_batch(*args)
        return sizes[args[-1]]

    shared_bytes = memory._bytes_of((MLP, OPERATOR, METHOD))
    monkeypatch.setattr(memory, "bytes_of_batch", noted)
    monkeypatch.setattr(memory, "_usable_memory", lambda: room + shared_bytes)
    found = memory.images_that_fit(MLP, OPERATOR, METHOD, 2)
    assert 0.9 * room <= sizes[found] <= room
    assert len(sizes) <= 3
    runs = 2 * 2 * found
    problem = (MLP, OPERATOR, np.zeros((runs, 10), np.float32), jax.random.key(0), METHOD)
    begin = functools.partial(ilo_jax.solve.init, mesh=batch_mesh(runs))
    compiled = programs._program.cache_info().misses
    programs.begin_steps(jax.eval_shape(begin, *problem), batch_mesh(runs))
    assert programs._program.cache_info().misses == compiled > 0


def test_auto_is_asked_for_on_the_command_line(inputs, monkeypatch):
    prior = ilo_jax.load(inputs / "gen")
    monkeypatch.setattr(memory, "bytes_of_batch", lambda *args: 2**20 * args[-1])
    monkeypatch.setattr(memory, "_usable_memory", lambda: 2**20 * 6.5)
    run = Run.create(Settings("invert", {}, "ilo", 0, (2, 2)), prior, "auto")
    assert run.width == 6


def test_devices_without_memory_of_their_own_share_half_of_the_machine(monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: 2**30)
    device = types.SimpleNamespace(memory_stats=lambda: None)
    monkeypatch.setattr(jax, "local_devices", lambda: [device] * 4)
    assert memory._usable_memory() == 2**30 / 8
    device.memory_stats = lambda: {"bytes_limit": 1000}
    assert memory._usable_memory() == 900


V1 = "12:cpu,cpuacct:/job\n4:memory:/job/step\n"
V2 = "0::/job/step\n"


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        (None, {}, None),  # no Linux
        (V2, {}, None),
        (V2, {"job/step/memory.max": "5000"}, 5000),
        (V2, {"job/step/memory.max": "max", "job/memory.max": "7000"}, 7000),
        (V2, {"job/step/memory.max": "5000", "job/memory.max": "3000"}, 3000),
        (V2, {"memory.max": "9000"}, 9000),  # a container that sees its own group alone
        ("0::/\n", {"memory.max": "9000"}, 9000),
        (V1, {"memory/job/step/memory.limit_in_bytes": "4000"}, 4000),
        (V1, {"memory/memory.limit_in_bytes": "6000"}, 6000),
        (V1, {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        (V1, {"cpu/job/memory.limit_in_bytes": "1", "memory.max": "1"}, None),  # of no memory
        (V1 + "0::/\n", {"memory/job/memory.limit_in_bytes": "800", "memory.max": "900"}, 800),
    ],
)
def test_the_limit_of_a_control_group_counts(groups, limits, expected, tmp_path):
    texts = {f"sys/fs/cgroup/{name}": f"{limit}\n" for name, limit in limits.items()}
    if groups is not None:
        texts["proc/self/cgroup"] = groups
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory.machine_memory(tmp_path) == (machine if expected is None else expected)

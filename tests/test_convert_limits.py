"""Small files that ask for much: what they may cost is known before it is spent."""

import os
import time

import pytest
from hostile import HOSTILE, many_opcodes

from convert_weights import limits
from convert_weights.convert import read_network
from convert_weights.limits import proxy_draws
from ilo_jax.errors import InputError
from ilo_jax.files.generators import CheckpointError


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_small_files_cost_little(tmp_path, make, monkeypatch):
    if make is many_opcodes:
        monkeypatch.setattr(limits, "OPCODES", 10_000)
    path = tmp_path / "file"
    path.write_bytes(make())
    started = time.process_time()
    with pytest.raises(CheckpointError, match=HOSTILE[make].replace("1000000", "10000")) as caught:
        read_network(path)
    assert time.process_time() - started < 5
    assert "\n" not in str(caught.value)


def test_a_wide_mapping_network_is_fitted_to_fewer_draws():
    assert proxy_draws(8 * 512 * 513, 2**20) == 2**20
    assert proxy_draws(64 * 4096 * 4097, 2**20) == 2**11
    assert proxy_draws(10, 2**10) == 2**10


def test_a_device_or_a_fifo_is_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/zero"):
        with pytest.raises(InputError, match=r"cannot be read \(it is a "):
            read_network(path)

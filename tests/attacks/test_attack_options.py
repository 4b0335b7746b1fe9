"""Combinations of options, most of them valid: results or one line, never a traceback."""

import math
import random

import jax
import pytest
from outputs import rows

looks_at_files = True

TASKS = {
    "invert": ("",),
    "inpaint": ("--observed 0.4", "--box 3", "--mask mask.png", "--observed 2", "--box 99"),
    "superres": ("--factor 2", "--factor 4", "--factor 3"),
    "denoise": ("--sigma 20", "--sigma 0", "--sigma 900", "--sigma -1"),
    "compress": ("--measurements 0.3", "--measurements 9", "--measurements x"),
    "gaussian": ("--measurements 0.3", "--measurements 0"),
    "blur": ("--kernel mask.png", "--sigma 1.5", "--motion 3", "--kernel black_mask.png"),
    "colourise": ("",),
    "mri": ("--acceleration 4", "--acceleration 16", "--spokes 3", "--acceleration 0"),
    "phase": ("", "--patterns 0", "--oversampling 1"),
    "custom": ("--function jax.numpy:tanh", "--function jax.numpy:nothing"),
    "compose": ("--chain 'superres factor=2, denoise sigma=10'", "--chain 'invert, ,'"),
}
OPTIONS = {
    "--method": ("ilo", "ilo", "csgm", "ilo-range", "pulse", "projector", "dhar", "none"),
    "--steps": ("1,1", "2", "1,1,1", "0", "2,x", "9" * 30),
    "--cuts": ("0,1", "0,2,1", "1", "9", "-1", "0"),
    "--lr": ("0.1", "0.1,0.05", "0", "1e30", "nan"),
    "--radii": ("10", "inf", "0", "10,5", "-1", "nan"),
    "--weights": ("mse=1", "mse=1 geocross=0.1", "dead_zone=1", "mse=inf", "nothing=1"),
    "--samples": ("1", "2", "0"),
    "--seed": ("0", "4294967295", "-1", "x"),
    "--batch-size": ("1", "2", "auto", "0"),
    "--generator": ("gen", "gen", "classes", "bad_gen", "nowhere"),
    "--label": ("0", "7"),
    "--reference": ("photos", "photos/a.png", "nowhere"),
    "--start": ("nowhere",),
    "--frame-steps": ("1", "0"),
}
FLAGS = ("--sna", "--no-sna", "--auto", "--consistent", "--measured", "--save-variables", "--video")
IMAGES = (
    "photos/a.png",
    "photos/a.png",
    "photos",
    "small",
    "mixed",
    "empty",
    "mask.png",
    "wide.png",
)


def line_of(numbers):
    """Of a task with at most three options, the first values of each more often."""
    task = numbers.choice(list(TASKS))
    words = [task, early(numbers, TASKS[task]), "--images", early(numbers, IMAGES)]
    given = {"--generator": "gen", "--steps": "1,1"}
    for name in numbers.sample(list(OPTIONS), numbers.randrange(4)):
        given[name] = early(numbers, OPTIONS[name])
    for name, value in given.items():
        words += [name, value]
    words += numbers.sample(FLAGS, numbers.choice((0, 0, 1, 1, 2)))
    return " ".join(word for word in words if word) + " --out {out}"


def early(numbers, values):
    return values[min(int(numbers.expovariate(0.9)), len(values) - 1)]


def assert_ends_well(solve, numbers, folder):
    line = line_of(numbers)
    done = solve(line.replace("{out}", str(folder)))
    told = (line, done.err)
    assert done.code in (0, 1, 2), told
    assert "Traceback" not in done.err, told
    if done.code == 2:
        assert done.out == "", told
        last = done.err.splitlines()[-1]
        assert last.startswith(("error: ", "python -m ilo_jax.solve")), told
        assert len(last) < 700, told
        return
    good = [row for row in rows(folder) if row["status"] == "ok"]
    assert good, told
    for row in good:
        assert math.isfinite(float(row["measurement_mse"])), told
        assert (folder / "images" / f"{row['name']}.png").exists(), told
    return


def test_some(solve, tmp_path):
    numbers = random.Random(0)
    for i in range(1):
        assert_ends_well(solve, numbers, tmp_path / str(i))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_five_hundred(solve, tmp_path, seed):
    numbers = random.Random(1 + seed)
    for i in range(50):
        assert_ends_well(solve, numbers, tmp_path / str(i))
    jax.clear_caches()  # a process has room for so many mapped pieces of programs

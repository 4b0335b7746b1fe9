"""Ten thousand images: memory and rate stay, a run that is finished is noticed at once."""

import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from outputs import summary
from PIL import Image

looks_at_files = True

IMAGES = 313 * 32  # whole batches: a smaller last one compiles once more


@pytest.mark.slow
def test_ten_thousand_images(inputs, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    numbers = np.random.default_rng(0)
    for i in range(IMAGES):
        pixels = numbers.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    line = f"-m ilo_jax.solve invert --images {folder} --out {out} --generator {inputs}/gen"
    command = [sys.executable, *line.split(), "--steps", "1,1", "--batch-size", "16"]
    memory, done = [], []
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as run:
        process = psutil.Process(run.pid)
        while run.poll() is None:
            if (out / "metrics.csv").exists():
                memory.append(process.memory_info().rss)
                done.append((time.monotonic(), (out / "metrics.csv").read_bytes().count(b"\n")))
            time.sleep(0.5)
    assert run.returncode == 0
    assert summary(out)["images"] == IMAGES
    solved = [at for at, (_, lines) in enumerate(done) if lines < IMAGES]
    memory, done = ([part[at] for at in solved] for part in (memory, done))
    third = len(memory) // 3
    assert max(memory[-third:]) < 1.1 * max(memory[third:-third]) + 2**26

    def rate(part):
        (began, first), (ended, last) = part[0], part[-1]
        return (last - first) / (ended - began)

    print(f"images a second: {rate(done[third:-third]):.0f}, at the end {rate(done[-third:]):.0f}")
    assert rate(done[-third:]) > 0.7 * rate(done[third:-third])
    starts = []
    for images in (folder, folder / "0.png"):
        began = time.monotonic()
        again = [str(images) if word == str(folder) else word for word in command]
        noticed = subprocess.run(again, capture_output=True, text=True, check=True)
        starts.append(time.monotonic() - began)
        assert "were there already" in noticed.stderr
    print(f"seconds to notice: {starts[0]:.2f}, of one image {starts[1]:.2f}")
    assert starts[0] - starts[1] < 2

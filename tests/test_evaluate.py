"""`evaluate`: two folders of images."""

import csv

import jax.numpy as jnp
import numpy as np
import pytest
from outputs import rows, summary, table
from PIL import Image
from skimage import metrics

from ilo_jax import lpips
from ilo_jax.app.demo import SAMPLES
from ilo_jax.app.metrics import evaluate
from ilo_jax.files.images import from_uint8

looks_at_files = True


@pytest.fixture
def folders(tmp_path):
    numbers = np.random.default_rng(0)
    found, truth = {}, {}
    for name in ("a", "b"):
        truth[name] = numbers.integers(0, 200, (40, 32, 3), np.uint8)
        found[name] = truth[name] + numbers.integers(0, 50, truth[name].shape, np.uint8)
    for folder, images in (("found", found), ("truth", truth)):
        (tmp_path / folder).mkdir()
        for name, image in images.items():
            Image.fromarray(image).save(tmp_path / folder / f"{name}.png")
    return found, truth


def test_metrics_are_those_of_scikit_image(solve, tmp_path, folders):
    Image.new("L", (8, 8)).save(tmp_path / "found" / "c.png")
    done = solve("evaluate {tmp}/found {tmp}/truth --table {tmp}/table.csv")
    assert done.code == 0
    assert "1 images have no other of their name" in done.err
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = {
            row.pop("name"): {k: float(v) for k, v in row.items()} for row in csv.DictReader(file)
        }
    assert list(rows) == ["a", "b"]
    for name, x, y in ((n, folders[1][n], folders[0][n]) for n in rows):
        assert rows[name] == pytest.approx(
            {
                "psnr_db": metrics.peak_signal_noise_ratio(x, y),
                "ssim": metrics.structural_similarity(x, y, channel_axis=-1),
                "mae": np.mean(np.abs(x / 255 - y / 255)),
                "nrmse": metrics.normalized_root_mse(x, y),
            },
            rel=1e-5,
        )
    assert f"{np.mean([row['psnr_db'] for row in rows.values()]):.6g}" in done.out


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # PyTorch's own
def test_metrics_are_those_of_torchmetrics(folders):
    torch = pytest.importorskip("torch", reason="needs pip install torch torchmetrics")
    theirs = pytest.importorskip("torchmetrics", reason="needs pip install torchmetrics")
    found, truth = (
        torch.from_numpy(np.stack(list(images.values())).transpose(0, 3, 1, 2).copy()) / 255.0
        for images in folders
    )
    for i, name in enumerate(folders[0]):
        ours = evaluate(from_uint8(folders[1][name]), from_uint8(folders[0][name]))
        a, b = found[i : i + 1], truth[i : i + 1]
        psnr = theirs.image.PeakSignalNoiseRatio(data_range=1.0)(a, b)
        ssim = theirs.image.StructuralSimilarityIndexMeasure(
            gaussian_kernel=False, kernel_size=7, data_range=1.0
        )(a, b)
        nrmse = theirs.NormalizedRootMeanSquaredError(normalization="l2")(a.ravel(), b.ravel())
        mae = theirs.MeanAbsoluteError()(a, b)
        # Theirs is over the sum of squares of the truth, ours and scikit-image's over their mean.
        expected = [float(psnr), float(mae), float(nrmse) * np.sqrt(b.numel())]
        assert [ours.psnr_db, ours.mae, ours.nrmse] == pytest.approx(expected, rel=1e-4)
        # Theirs divides by the number of pixels of a window, scikit-image's by one less.
        assert ours.ssim == pytest.approx(float(ssim), abs=0.01)


@pytest.mark.slow
def test_lpips_is_the_network_s(solve, tmp_path, folders):
    assert solve("evaluate {tmp}/found {tmp}/truth --lpips --table {tmp}/table.csv").code == 0
    found, truth = (jnp.asarray(from_uint8(images["a"])) for images in folders)
    with (tmp_path / "table.csv").open(newline="") as file:
        value = float(next(csv.DictReader(file))["lpips"])
    assert value == pytest.approx(float(lpips.lpips(lpips.load("vgg"), found, truth)), rel=1e-4)


@pytest.mark.slow
def test_lpips_of_a_run_is_that_of_its_folder(solve, tmp_path):
    sample = next(SAMPLES.glob("*.png"))
    line = f"superres --factor 4 --images {sample} --steps 2,2 --lpips --out {{out}}"
    assert solve(line).code == 0
    assert solve(f"evaluate {{out}}/images {SAMPLES} --lpips --table {{tmp}}/table.csv").code == 0
    (run,), (folder,) = rows(tmp_path / "out"), table(tmp_path / "table.csv")
    for metric in folder.keys() - {"name"}:
        assert float(run[metric]) == pytest.approx(float(folder[metric]), rel=1e-4)
    assert summary(tmp_path / "out")["lpips"]["mean"] == pytest.approx(float(run["lpips"]), 1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--images photos", "8x8"),
        ("--images photos --measured", "--lpips: expected without --measured"),
    ],
)
def test_a_run_without_lpips_is_refused_at_once(solve, options, message, tmp_path):
    done = solve(f"invert --lpips --generator gen --out {{out}} {options}")
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "out").exists()


def test_bad_folders_are_refused_in_one_line(solve, tmp_path, folders):
    (tmp_path / "other").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "other" / "a.png")
    for line, message in (
        ("{tmp}/found {tmp}/nowhere", "nowhere: does not exist"),
        ("{tmp}/other {tmp}/truth", "32x40 and 8x8 pixels; expected the size of"),
        ("photos {tmp}/truth/b.png photos", "unrecognized arguments"),
    ):
        done = solve(f"evaluate {line}")
        assert done.code == 2
        assert message in done.err
        assert done.err.count("\n") == 1 + done.err.count("no other of their name")

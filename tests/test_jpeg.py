"""JPEG compression: against Pillow and SciPy, and how files say what was done to them."""

import io
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
from outputs import rows
from PIL import Image
from small import normal

from ilo_jax import ops
from ilo_jax.app.prior import load_prior
from ilo_jax.app.run import Run
from ilo_jax.app.samples import read_sample
from ilo_jax.app.settings import Settings
from ilo_jax.errors import InputError
from ilo_jax.files.images import from_uint8, to_uint8
from ilo_jax.files.jpeg import compression_by, compression_of
from ilo_jax.ops.jpeg import transformed

looks_at_files = True

RANDOM = np.random.default_rng(0)


def picture(height: int, width: int) -> Image.Image:
    """Smooth, with edges and some noise, in colours."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 7 + c) * np.cos(y / 9 - c) + (x + y > 40) for c in range(3)]
    values = 100 + 60 * np.stack(waves, -1) + RANDOM.normal(0, 8, (height, width, 3))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def saved(path, image=None, **options):
    """A JPEG file."""
    (picture(8, 8) if image is None else image).save(path, "JPEG", **options)
    return path


@pytest.mark.parametrize(
    ("mode", "sampling", "quality"),
    [
        ("RGB", "4:2:0", 12),
        ("L", "4:4:4", 18),
        pytest.param("RGB", "4:2:2", 50, marks=pytest.mark.slow),
        pytest.param("RGB", "4:4:4", 6, marks=pytest.mark.slow),
    ],
)
def test_what_is_measured_is_what_pillow_decodes_of_what_it_encoded(mode, sampling, quality):
    image, file = picture(37, 51).convert(mode), io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=sampling)
    x = np.reshape(from_uint8(np.asarray(image)), (37, 51, -1))
    luma, chroma, _ = compression_by(quality)
    operator = ops.jpeg(x.shape, luma, chroma, sampling)
    y, level = jax.jit(lambda o, x: (o.measure(jax.random.key(0), x), o.noise_level(x)))(
        operator, x
    )
    expected = np.reshape(from_uint8(np.asarray(Image.open(file))), x.shape)
    error, lost = np.mean((y - expected) ** 2), np.mean((expected - x) ** 2)
    # Both round sums to grey values, which now and then decides about a coefficient.
    assert error < 0.02 * lost
    assert np.median(np.abs(y - expected)) < 1e-6
    np.testing.assert_array_equal(to_uint8(y), np.rint((np.asarray(y) + 1) * 127.5))
    assert level == pytest.approx(lost, rel=0.05)


def test_the_transform_is_scipys_of_every_block():
    values = RANDOM.normal(size=(10, 19, 2)).astype(np.float32)
    found = np.asarray(jax.jit(transformed)(values))
    for top, left in np.ndindex(2, 3):
        block = np.s_[8 * top : 8 * top + 8, 8 * left : 8 * left + 8]
        expected = np.asarray(scipy.fft.dctn(values[block], axes=(0, 1), norm="ortho"))
        np.testing.assert_allclose(found[block], expected, atol=1e-5)


def test_coefficients_are_held_out_and_their_errors_are_those_of_the_pixels():
    shape = (10, 12, 3)
    operator = ops.jpeg(shape, np.full((8, 8), 20.0))
    x, y = RANDOM.uniform(-1, 1, (2, *shape)).astype(np.float32)

    @jax.jit
    def errors(held):
        return [operator.error(x, y, where) for where in (None, held, 1 - held)]

    held = operator.hold_out(jax.random.key(0), 0.25)
    share = float(np.mean(held))
    means = np.zeros(shape[:2], bool)
    means[::8, ::8] = True
    assert not np.asarray(held)[means].any()
    assert share == pytest.approx(0.25 * (1 - means.mean()), abs=0.005)
    of_all, of_held, of_kept = map(float, errors(held))
    assert of_all == pytest.approx(np.mean((x - y) ** 2), rel=1e-5)
    assert share * of_held + (1 - share) * of_kept == pytest.approx(of_all, rel=1e-5)


def test_what_would_be_rounded_to_what_was_measured_is_not_off():
    """The truth among it, which squares would say is further off than an image without detail."""
    shape = (16, 16, 3)
    operator = ops.jpeg(shape, np.full((8, 8), 90.0))
    x = np.repeat(0.1 * normal(0, 16, 16, 1), 3, -1)

    @jax.jit
    def errors(operator, x):
        y = operator.measure(jax.random.key(0), x)
        held = operator.hold_out(jax.random.key(1), 0.2)
        return [
            error(operator(image), y, held)
            for error in (operator.held_out_error, operator.error)
            for image in (x, 0 * x, x + 3 * jnp.sign(x))
        ]

    of_truth, of_grey, of_another, squared_of_truth, squared_of_grey, _ = map(
        float, errors(operator, x)
    )
    assert of_truth == pytest.approx(0, abs=1e-5)
    assert of_truth <= of_grey + 1e-5
    assert of_another > 0.01
    assert squared_of_truth > squared_of_grey


def test_where_nothing_held_out_tells_images_apart_what_was_kept_does():
    """Or the first image of a search were the best one, whatever it shows."""
    operator = ops.jpeg((8, 8, 1), np.full((8, 8), 250.0))
    held = np.zeros((8, 8, 1), np.float32)
    held[7, 7] = 1  # hardly any image has so much of it

    @jax.jit
    def errors(operator, images):
        y = operator(images[0])
        return [operator.held_out_error(operator(image), y, held) for image in images]

    x = np.full((8, 8, 1), -0.5, np.float32)
    of_near, of_far, beyond = map(float, errors(operator, [x, x + 1.2, x + _wave(7)]))
    assert of_near == pytest.approx(0, abs=1e-9)
    assert of_far > 1e-5
    assert beyond > 100 * of_far


def _wave(k: int) -> np.ndarray:
    """Of frequency `k` in both directions, `[8, 8, 1]`."""
    line = np.cos(np.pi * k * (2 * np.arange(8) + 1) / 16)
    return 2 * np.outer(line, line)[..., None].astype(np.float32)


def test_its_noise_is_that_of_steps_that_are_all_alike():
    variances = [ops.jpeg((8, 8, 1), np.full((8, 8), step)).noise_variance for step in (20, 40)]
    np.testing.assert_allclose(variances, np.square([20, 40]) / (12 * 127.5**2), rtol=1e-5)


def test_what_is_hidden_before_compression_is_black():
    mask = np.ones((16, 16, 1), np.float32)
    mask[:, :8] = 0
    steps = np.full((8, 8), 10.0)
    operator = ops.composition(ops.inpainting((16, 16, 1), mask), ops.jpeg((16, 16, 1), steps))
    assert isinstance(operator, ops.Jpeg)
    x = np.full((16, 16, 1), 0.5, np.float32)
    predicted, measured, level = jax.jit(
        lambda o, x: (o(x), o.measure(jax.random.key(0), x), o.noise_level(o(x)))
    )(operator, x)
    for y in (predicted, measured):
        np.testing.assert_allclose(y[:, :8], -1, atol=0.02)
        np.testing.assert_allclose(y[:, 8:], 0.5, atol=0.02)
    np.testing.assert_array_equal(operator.from_picture(measured), measured)
    assert level == pytest.approx(float(np.mean((predicted - measured) ** 2)), abs=1e-6)


def test_the_level_behind_a_mask_is_not_of_its_edges():
    """They are painted on what was compressed."""
    shape, steps = (32, 32, 1), np.full((8, 8), 40.0)
    compressed, key = ops.jpeg(shape, steps), jax.random.key(0)
    operator = ops.composition(compressed, ops.stroke_inpainting(key, shape, 4))
    x = 0.05 * normal(0, *shape) + np.linspace(-0.5, 0.9, 32, dtype=np.float32)[:, None, None]

    @jax.jit
    def found(operator, compressed, x):
        y = operator.measure(key, x)
        painted = operator(x)
        with_edges = jnp.sum(operator.observed * compressed.levels(painted))
        return (
            operator.error(painted, y),
            operator.noise_level(painted),
            with_edges / jnp.sum(operator.observed),
        )

    error, level, with_edges = found(operator, compressed, x)
    assert level == pytest.approx(float(error), rel=0.2)
    assert with_edges > 1.3 * error


def test_the_tables_are_those_of_the_file(tmp_path):
    for quality in (1, 12, 100):
        found = compression_of(saved(tmp_path / "x.jpg", quality=quality))
        for a, b in zip(found, compression_by(quality), strict=True):
            np.testing.assert_array_equal(a, b)
    # Annex K of the standard, not in zigzag order.
    np.testing.assert_array_equal(compression_by(50).luma[0], [16, 11, 10, 16, 24, 40, 51, 61])
    assert compression_of(saved(tmp_path / "x.jpg", subsampling="4:2:2")).sampling == "4:2:2"
    grey = compression_of(saved(tmp_path / "x.jpg", picture(8, 8).convert("L"), quality=12))
    np.testing.assert_array_equal(grey.chroma, compression_by(12).luma)


def without_tables(content: bytes) -> bytes:
    """A file whose segments with tables (DQT) are gone, as abbreviated formats have it."""
    return re.sub(rb"\xff\xdb\x00\x43.{65}", b"", content, flags=re.DOTALL)


TURNED = Image.Exif()
TURNED[0x0112] = 6


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"progressive": True}, "a progressive JPEG; expected a baseline one"),
        ({"keep_rgb": True}, "a JPEG of RGB, not luma and chroma; expected grey or YCbCr"),
        ({"exif": TURNED}, "a JPEG turned by its EXIF orientation; expected it as it was"),
    ],
)
def test_other_files_are_refused_in_one_line(options, expected, tmp_path):
    path = saved(tmp_path / "x.jpg", **options)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: {expected}[^\n]*$"):
        compression_of(path)


def test_files_without_tables_and_damaged_ones_are_refused(tmp_path):
    path = saved(tmp_path / "x.jpg")
    content = path.read_bytes()
    path.write_bytes(without_tables(content))
    with pytest.raises(InputError, match="a JPEG without its tables; expected a file with them"):
        compression_of(path)
    for end in (0, 3, 30, 200):
        path.write_bytes(content[:end])
        with pytest.raises(InputError, match=r"x\.jpg: [^\n]*expected[^\n]*$"):
            compression_of(path)
    picture(8, 8).save(tmp_path / "x.png")
    with pytest.raises(InputError, match="not a JPEG file; expected the file that was compressed"):
        compression_of(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"image_shape": (8, 8, 4)}, "images of 4 channels; expected 1"),
        ({"luma": np.zeros((8, 8))}, "luma: expected 8x8 steps of 1 or more"),
        ({"chroma": np.ones(64)}, "chroma: expected 8x8 steps of 1 or more"),
        ({"sampling": "4:1:1"}, "sampling 4:1:1: expected one of 4:4:4, 4:2:2, 4:2:0"),
    ],
)
def test_bad_values_are_refused(change, expected):
    good = {"image_shape": (8, 8, 3), "luma": np.ones((8, 8))}
    with pytest.raises(InputError, match=expected):
        ops.jpeg(**good | change)


def test_each_file_has_the_operator_that_it_says(inputs, tmp_path):
    settings = Settings("jpeg", {"quality": "file"}, "ilo", 0, measured=True)
    run = Run.create(settings, load_prior(str(inputs / "gen"), None, 0))
    path = saved(tmp_path / "a.jpg", quality=30, subsampling="4:4:4")
    sample, _ = read_sample(run, path)
    expected = compression_of(path)
    assert isinstance(sample.operator, ops.Jpeg)
    assert sample.operator.sampling == "4:4:4"
    np.testing.assert_array_equal(sample.operator.luma, expected.luma)
    np.testing.assert_array_equal(to_uint8(sample.measurement), np.asarray(Image.open(path)))


GOOD = "jpeg --images photos --out {out} --generator gen --steps 2,2"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (GOOD, "--quality: expected 1 to 100, or --measured, whose files have tables"),
        (GOOD + " --quality 0", "quality 0: expected 1 to 100"),
        (GOOD + " --quality high", "quality high: expected a whole number"),
        (GOOD + " --measured --quality 101", "quality 101: expected 1 to 100"),
    ],
)
def test_bad_commands_are_refused_in_one_line(line, expected, solve):
    found = solve(line)
    assert found.code == 2
    assert expected in found.err
    assert found.err.count("\n") == 1


@pytest.mark.slow
def test_a_folder_of_files_compressed_in_several_ways_is_solved(solve, tmp_path):
    (tmp_path / "files").mkdir()
    for name, options in (("a", {}), ("b", {"subsampling": "4:4:4"}), ("c", {"quality": 5})):
        saved(tmp_path / "files" / f"{name}.jpg", **options)
    saved(tmp_path / "files" / "d.jpg", progressive=True)
    found = solve(GOOD.replace("photos", "{tmp}/files") + " --measured")
    assert found.code == 1
    assert "d.jpg: a progressive JPEG" in found.err
    assert [row["status"] == "ok" for row in rows(tmp_path / "out")] == [True, True, True, False]

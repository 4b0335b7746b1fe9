"""Colours of a profile are those that a person sees; deep PNG files keep their bits."""

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from ilo_jax.errors import InputError
from ilo_jax.files import decode, profiles
from ilo_jax.files.images import read_exact, read_mask, to_uint8

WHITE = [0.3127, 0.3290, 1.0]
PRIMARIES = [0.64, 0.33, 1.0, 0.3, 0.6, 1.0, 0.15, 0.06, 1.0]  # of sRGB
LINEAR = imagecodecs.cms_profile("rgb", whitepoint=WHITE, primaries=PRIMARIES, gamma=1.0)
LINEAR_GREY = imagecodecs.cms_profile("gray", whitepoint=WHITE, gamma=1.0)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
STORED, SEEN = (147, 48, 20), (200, 120, 80)
GREY_STORED, GREY_SEEN = 55, 128


def hide_imagecodecs(monkeypatch) -> None:
    for module in (decode, profiles):
        monkeypatch.setattr(module, "keeps_16_bits", lambda: False)


@pytest.mark.parametrize(
    ("mode", "stored", "profile", "seen"),
    [
        ("RGB", STORED, LINEAR, SEEN),
        ("RGBA", (*STORED, 255), LINEAR, SEEN),
        ("L", GREY_STORED, LINEAR_GREY, (GREY_SEEN,) * 3),
        ("LA", (GREY_STORED, 255), LINEAR_GREY, (GREY_SEEN,) * 3),
        ("L", GREY_STORED, LINEAR, (GREY_SEEN,) * 3),
        ("RGB", STORED, SRGB, STORED),
        ("L", GREY_STORED, SRGB, (GREY_STORED,) * 3),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_colours_are_those_of_the_profile(mode, stored, profile, seen, suffix, tmp_path):
    path = tmp_path / f"x.{suffix}"
    Image.new(mode, (3, 2), stored).save(path, icc_profile=profile)
    image, note, _ = read_exact(path, (2, 3, 3))
    assert note is None
    tolerance = 0 if profile is SRGB else 1
    expected = np.broadcast_to(np.array(seen, float), image.shape)
    np.testing.assert_allclose(to_uint8(image), expected, atol=tolerance)


@pytest.mark.parametrize("kind", ["uint16", "float32"])
@pytest.mark.parametrize("colours", [1, 3])
def test_a_deep_picture_keeps_its_bits_under_a_profile(kind, colours, tmp_path, monkeypatch):
    white = 65535 if kind == "uint16" else 1
    stored = np.linspace(0, 0.02 * white, 30 * colours).reshape(5, 6, colours).astype(kind)
    tifffile.imwrite(
        tmp_path / "x.tif",
        stored.squeeze(),
        photometric="minisblack" if colours == 1 else "rgb",
        iccprofile=LINEAR_GREY if colours == 1 else LINEAR,
    )
    linear = stored.astype(np.float64) / white
    seen = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    found = (read_exact(tmp_path / "x.tif", (5, 6, 3))[0] + 1) / 2
    np.testing.assert_allclose(found, np.broadcast_to(seen, found.shape), atol=2e-3)
    hide_imagecodecs(monkeypatch)
    image, note, _ = read_exact(tmp_path / "x.tif", (5, 6, 3))
    np.testing.assert_allclose((image + 1) / 2, np.broadcast_to(seen, found.shape), atol=0.04)
    assert note is not None
    assert "8 bits by its colour profile (more with pip install imagecodecs)" in note


def test_dark_greys_of_a_profile_follow_its_curve(tmp_path):
    stored = np.arange(30, dtype=np.uint8)[None]
    Image.fromarray(stored).save(tmp_path / "x.png", icc_profile=LINEAR_GREY)
    found = read_exact(tmp_path / "x.png", (1, 30, 1))[0][0, :, 0]
    linear = stored[0] / 255
    seen = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose((found + 1) / 2, seen, atol=1 / 255)


@pytest.mark.parametrize("profile", [b"nothing", SRGB[:200], LINEAR_GREY])
def test_a_bad_profile_is_ignored_and_said(profile, tmp_path):
    Image.new("RGB", (3, 2), STORED).save(tmp_path / "x.png", icc_profile=profile)
    image, note, _ = read_exact(tmp_path / "x.png", (2, 3, 3))
    np.testing.assert_array_equal(to_uint8(image), np.broadcast_to(STORED, (2, 3, 3)))
    assert note is not None
    assert note.startswith("x.png: doubtful file (its colour profile ")
    with pytest.raises(InputError, match="doubtful file"):
        read_mask(tmp_path / "x.png", (2, 3))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_a_png_of_16_bits_keeps_them(channels, tmp_path, monkeypatch):
    stored = np.random.default_rng(0).integers(0, 65536, (5, 6, channels), np.uint16)
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(stored))
    colours = channels - (channels % 2 == 0)
    values = stored / 65535
    colour, alpha = values[..., :colours], values[..., colours:]
    expected = 1 - alpha * (1 - colour) if alpha.size else colour
    image, *_ = read_exact(tmp_path / "x.png", (5, 6, 3))
    expected = np.broadcast_to(expected, (5, 6, 3))
    np.testing.assert_allclose((image + 1) / 2, expected, atol=1e-6)
    hide_imagecodecs(monkeypatch)
    image, note, _ = read_exact(tmp_path / "x.png", (5, 6, 3))
    np.testing.assert_allclose((image + 1) / 2, expected, atol=2 / 255)
    assert note is not None
    assert "8 of its 16 bits (all with the library imagecodecs" in note

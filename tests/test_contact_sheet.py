"""The one picture of many results."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ilo_jax.files.contact_sheet import MAX_ROWS, Tile, contact_sheet
from ilo_jax.files.images import from_uint8

IMAGE = np.zeros((16, 16, 3), np.float32)


def framed(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The box of a colour: left, top, width, height."""
    y, x = np.nonzero((np.asarray(sheet) == colour).all(-1))
    return x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1


def flat(size: tuple[int, int], colour: tuple[int, int, int]) -> np.ndarray:
    return from_uint8(np.broadcast_to(np.array(colour, np.uint8), (*size, 3)))


RED, BLUE = (250, 10, 20), (10, 20, 250)


@pytest.mark.parametrize(
    ("large", "small", "large_side", "small_side"),
    [
        (64, 16, 128, 128),
        (64, 20, 128, 120),
        (50, 50, 150, 150),
        (200, 9, 200, 198),
        (600, 1, 256, 256),
    ],
)
def test_tiles_have_one_size_and_whole_magnification(large, small, large_side, small_side):
    tiles = [Tile(flat((large, large), RED), "truth"), Tile(flat((small, small), BLUE))]
    sheet = contact_sheet(["a", "b"], [tiles])
    left, top, *size = framed(sheet, RED)
    assert size == [large_side, large_side]
    small_left, small_top, *size = framed(sheet, BLUE)
    assert size == [small_side, small_side]
    assert left + large_side < small_left
    assert small_top == top + (large_side - small_side) // 2


def test_grey_and_oblong_tiles():
    tiles = [Tile(flat((32, 64), RED)), Tile(np.full((64, 64, 1), 0.0))]
    *_, width, height = framed(contact_sheet(["a", "b"], [tiles]), RED)
    assert (width, height) == (128, 64)


@pytest.fixture
def texts(monkeypatch) -> list[str]:
    """What is written on sheets, in order."""
    found = []
    draw = ImageDraw.ImageDraw.text

    def recorded(self, xy, text, **kwargs):
        found.append(text)
        draw(self, xy, text, **kwargs)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", recorded)
    return found


def test_rows_beyond_the_limit_are_left_out_and_counted(texts):
    row = [Tile(flat((8, 8), RED), "20.00 dB")]
    many = contact_sheet(["truth"], [row] * (MAX_ROWS + 4), footer="Not for diagnosis")
    assert texts.count("20.00 dB") == MAX_ROWS
    assert "First 16 of 20 rows." in texts
    few = contact_sheet(["truth"], [row] * MAX_ROWS, footer="Not for diagnosis", total=MAX_ROWS + 4)
    assert np.array_equal(np.asarray(many), np.asarray(few))
    texts.clear()
    contact_sheet(["truth"], [row] * MAX_ROWS, footer="Not for diagnosis")
    assert texts[-1] == "Not for diagnosis"
    assert not any(text.startswith("First") for text in texts)


def test_text_stays_in_its_place():
    long = "name_" * 40 + "0001\nsecond line"
    tile = Tile(flat((64, 64), RED), long)
    sheet = np.asarray(contact_sheet([long, long], [[tile, tile]], footer="word " * 100))
    assert (sheet[:, :20] == 255).all()
    assert (sheet[:, -20:] == 255).all()
    gap = sheet[:, 24 + 128 + 2 : 24 + 128 + 16]
    header_and_row = gap[: 24 + 27 + 128 + 18]
    assert (header_and_row == 255).all()


def test_captions_are_never_cut(texts):
    name = "scan_of_a_patient_" * 4 + "0001"
    contact_sheet(["truth"], [[Tile(flat((64, 64), RED), name)]])
    assert "".join(texts[1:]) == name
    assert len(texts) > 3


@pytest.mark.parametrize(("rows", "panels"), [(1, 1), (4, 2), (9, 3), (16, 4), (15, 4)])
def test_many_rows_go_on_beside_each_other(rows, panels):
    tiles = [[Tile(flat((64, 64), (10, 20, 10 * i)))] for i in range(rows)]
    sheet = contact_sheet(["truth"], tiles)
    boxes = [framed(sheet, (10, 20, 10 * i)) for i in range(rows)]
    assert len({left for left, *_ in boxes}) == panels
    assert len({(left, top) for left, top, *_ in boxes}) == rows
    assert boxes == sorted(boxes)
    assert rows == 1 or sheet.width > 0.7 * sheet.height


@pytest.mark.parametrize("rows", [[], [[]], [[Tile(IMAGE)]]])
def test_a_sheet_needs_rows_that_match_its_labels(rows):
    with pytest.raises(ValueError, match="each of 2 tiles"):
        contact_sheet(["a", "b"], rows)

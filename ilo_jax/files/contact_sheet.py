"""One picture of many results: rows of captioned tiles under column labels."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ilo_jax.files.images import to_pillow

MAX_ROWS = 16

_SMALLEST, _LARGEST = 128, 256  # sides of a tile, in pixels of the sheet
_MARGIN, _GAP, _PADDING = 24, 18, 6
_LABEL_SIZE, _CAPTION_SIZE, _FOOTER_SIZE = 15, 12, 12
_BACKGROUND, _INK, _CAPTION, _FOOTER, _FRAME = "#ffffff", "#1a1a1a", "#444444", "#777777", "#d0d0d0"


@dataclasses.dataclass(frozen=True)
class Tile:
    """A picture of the sheet.

    Attributes:
      image: `[H, W, C]` in [-1, 1], C 1 or 3.
      caption: below it, in as many lines as it takes.
    """

    image: np.ndarray
    caption: str = ""


def contact_sheet(
    labels: Sequence[str],
    rows: Sequence[Sequence[Tile]],
    footer: str = "",
    total: int | None = None,
) -> Image.Image:
    """Draws the first `MAX_ROWS` rows; the footer says how many there are beyond.

    All tiles have one size: that of the largest image, magnified by an integer factor
    (nearest neighbour) to at least 128 px, or reduced to at most 256 px. A smaller image in a
    row, such as the measurement of super-resolution, is magnified by an integer factor too. Rows
    that would make a tall strip go on in further panels beside the first one.

    Args:
      labels: one a column, shortened where it is wider than that.
      rows: at least one; each has as many tiles as there are labels.
      footer: a note below the rows, wrapped.
      total: how many rows there are, where the caller has built the first ones only.

    Raises:
      ValueError: no rows, or a row with another number of tiles than labels.
    """
    if not rows or any(len(row) != len(labels) for row in rows):
        raise ValueError(f"expected one row or more, each of {len(labels)} tiles")
    total = len(rows) if total is None else total
    rows = rows[:MAX_ROWS]
    omitted = f"First {len(rows)} of {total} rows." if total > len(rows) else ""
    side = _side(max(max(tile.image.shape[:2]) for row in rows for tile in row))

    label_font = ImageFont.load_default(_LABEL_SIZE)
    caption_font = ImageFont.load_default(_CAPTION_SIZE)
    footer_font = ImageFont.load_default(_FOOTER_SIZE)
    captions = [[_wrap(tile.caption, caption_font, side) for tile in row] for row in rows]
    lines = max(len(caption) for row in captions for caption in row)
    line_height = _CAPTION_SIZE + _PADDING
    pitch = side + _GAP + lines * line_height
    panel = len(labels) * (side + _GAP)
    panels = _panels(len(rows), panel, pitch)
    deep = -(-len(rows) // panels)
    width = 2 * _MARGIN + panels * panel - _GAP
    footer_lines = [
        line
        for text in (omitted, *footer.splitlines())
        for line in _wrap(text, footer_font, width - 2 * _MARGIN)
    ]
    header = _LABEL_SIZE + 2 * _PADDING
    footer_height = len(footer_lines) * line_height + (_GAP if footer_lines else 0)
    height = 2 * _MARGIN + header + deep * pitch - _GAP + footer_height

    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)

    def write(x: int, y: int, text: str, font, colour: str) -> None:
        draw.text((x, y), text, fill=colour, font=font, anchor="ms")

    for i, label in enumerate([*labels] * panels):
        x = _MARGIN + i * (side + _GAP) + side // 2
        write(x, _MARGIN + _LABEL_SIZE, _shorten(label, label_font, side), label_font, _INK)
    for i, (row, texts) in enumerate(zip(rows, captions, strict=True)):
        top = _MARGIN + header + i % deep * pitch
        for column, (tile, caption) in enumerate(zip(row, texts, strict=True)):
            left = _MARGIN + i // deep * panel + column * (side + _GAP)
            picture = _fit(to_pillow(tile.image), side)
            x, y = left + (side - picture.width) // 2, top + (side - picture.height) // 2
            sheet.paste(picture, (x, y))
            frame = (x - 1, y - 1, x + picture.width, y + picture.height)
            draw.rectangle(frame, outline=_FRAME)
            for n, line in enumerate(caption, 1):
                write(left + side // 2, top + side + n * line_height, line, caption_font, _CAPTION)
    top = _MARGIN + header + deep * pitch
    for line in footer_lines:
        draw.text((_MARGIN, top + _FOOTER_SIZE), line, fill=_FOOTER, font=footer_font, anchor="ls")
        top += line_height
    return sheet


def _panels(rows: int, width: int, height: int) -> int:
    """How many panels beside each other are about as wide as high, or wider; each is filled."""
    deep = next(d for d in range(rows, 0, -1) if -(-rows // d) * width >= d * height or d == 1)
    return -(-rows // deep)


def _side(pixels: int) -> int:
    return pixels * math.ceil(_SMALLEST / pixels) if pixels < _SMALLEST else min(pixels, _LARGEST)


def _fit(picture: Image.Image, side: int) -> Image.Image:
    largest = max(picture.size)
    if largest > side:
        return _scaled(picture, side / largest, Image.Resampling.LANCZOS)
    return _scaled(picture, side // largest, Image.Resampling.NEAREST)


def _scaled(picture: Image.Image, factor: float, filter: Image.Resampling) -> Image.Image:
    width, height = (max(1, round(n * factor)) for n in picture.size)
    return picture.resize((width, height), filter)


def _shorten(text: str, font, width: int) -> str:
    """Cuts out the middle of a text that is too wide."""
    short, keep = text, len(text)
    while font.getlength(short) > width:
        keep -= 1
        short = text[: (keep + 1) // 2] + "…" + text[len(text) - keep // 2 :]
    return short


def _wrap(text: str, font, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.encode(errors="replace").decode().split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        lines.append("")
        for letter in word:  # one that is too long for a line is broken
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines

"""Sheets of pictures under their names: what `srvid.compare`, `srkit compare` and `srbatch --compare` show.

name            name
┌────────┐ gap ┌────────┐
│ before │     │ after  │    cells are as wide as the widest picture, rows as high as their highest
└────────┘     └────────┘
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

LABEL_PX = 28
_FONT_PX = 16
_LEFT_PX, _TOP_PX = 8, 5


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One picture and what it is."""

    label: str
    picture: Image


def sheet_of(rows: Sequence[Sequence[Cell]], *, gap_px: int = 0, least_px: int = 1) -> Image:
    """All `rows` below each other, on black; no cell is narrower or lower than `least_px`."""
    from PIL import Image, ImageDraw

    across = max(least_px, *(cell.picture.width for row in rows for cell in row))
    columns = max(len(row) for row in rows)
    highs = [LABEL_PX + max(least_px, *(cell.picture.height for cell in row)) for row in rows]
    size = (columns * across + (columns - 1) * gap_px, sum(highs) + (len(rows) - 1) * gap_px)
    sheet = Image.new("RGB", size, "black")
    draw = ImageDraw.Draw(sheet)
    top = 0
    for row, high in zip(rows, highs, strict=True):
        for number, cell in enumerate(row):
            left = number * (across + gap_px)
            draw.text((left + _LEFT_PX, top + _TOP_PX), cell.label, fill="white", font_size=_FONT_PX)
            sheet.paste(cell.picture, (left, top + LABEL_PX))
        top += high + gap_px
    return sheet

"""Before and after, side by side; Jupyter shows it as a picture."""

from __future__ import annotations

import io
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import PIL.Image

from sr_core.errors import BadInput
from sr_core.frame import Array
from srvid.pictures import enlarge_picture
from srvid.sheet import Cell, sheet_of

_GAP_PX = 8  # between the two
_LONGEST_SIDE = 2048  # of what a notebook is given


@dataclass(frozen=True)
class Comparison:
    """Two pictures of one size; `image` is both beside each other, `save` writes it."""

    before: PIL.Image.Image
    after: PIL.Image.Image

    @property
    def image(self) -> PIL.Image.Image:
        """Before on the left, after on the right, under these names."""
        cells = (Cell(label="before", picture=self.before), Cell(label="after", picture=self.after))
        return sheet_of([cells], gap_px=_GAP_PX)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the sheet; the ending of `path` is the format."""
        self.image.save(path)

    def _repr_png_(self) -> bytes:
        shown = self.image
        shown.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
        written = io.BytesIO()
        shown.save(written, "PNG")
        return written.getvalue()

    def __repr__(self) -> str:
        width, height = self.after.size
        return f"<srvid.Comparison {width}x{height}: before | after>"


def compare(before: Any, after: Any) -> Comparison:
    """Put `before`, enlarged by Lanczos to the size of `after`, beside `after`.

    Args:
        before, after: pictures of any kind that `Upscaler.image` takes.

    Raises:
        BadInput: one of them is no picture.
    """
    left, right = _pil_of(before), _pil_of(after)
    return Comparison(left.resize(right.size, PIL.Image.Resampling.LANCZOS), right)


def _pil_of(picture: Any) -> PIL.Image.Image:
    if isinstance(picture, PIL.Image.Image):
        return picture.convert("RGB")
    seen: list[Array] = []

    def keep(array: Array) -> Array:
        seen.append(array)
        return array

    enlarge_picture(keep, picture)
    if len(seen) != 1:
        raise BadInput(f"{len(seen)} pictures are not one", hint="compare one at a time")
    array = seen[0]
    if array.dtype.kind == "f":
        array = (np.clip(array, 0, 1) * 255).round()
    elif array.dtype == np.uint16:
        array = (array / 257).round()
    pixels = array.astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return PIL.Image.fromarray(pixels).convert("RGB")

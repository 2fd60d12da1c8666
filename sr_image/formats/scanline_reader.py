"""Pixels by OpenImageIO, in the file's own depth and in strips of rows: PNG, TIFF, EXR, JPEG XL.

Metadata is not taken from OpenImageIO (it reinterprets it) but from the file's own structures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sr_core.errors import BadInput, DamagedMedia
from sr_core.frame import Array
from sr_image.formats.utf8_path import utf8_path

if TYPE_CHECKING:
    import OpenImageIO

STRIP_PIXELS = 4 << 20  # pixels decoded at a time
_DTYPES = {
    "uint8": "uint8", "uint16": "uint16", "half": "float16", "float": "float32", "double": "float32",
}  # fmt: skip


class ScanlineFile:
    """One image file opened by OpenImageIO; `page` chooses among several images in it.

    Attributes:
        width, height, dtype: of the chosen page.
        names: channel names as stored.
        picks: indexes of the channels used, in the order colour then alpha.
        has_alpha: the last pick is alpha.
    """

    def __init__(self, path: Path, *, page: int = 0, keep_raw_color: bool = False) -> None:
        import OpenImageIO

        config = OpenImageIO.ImageSpec()
        config.attribute("oiio:UnassociatedAlpha", 1)
        if keep_raw_color:
            config.attribute("oiio:RawColor", 1)
        with ExitStack() as opened:
            self._input = _open(opened.enter_context(utf8_path(path)), config)
            opened.callback(self._input.close)
            self._choose(page)
            self._opened = opened.pop_all()

    def _choose(self, page: int) -> None:
        self._page = page
        if page and not self._input.seek_subimage(page, 0):
            raise DamagedMedia(f"page {page + 1} cannot be read: {_first_line(self._input.geterror())}")
        self.spec: OpenImageIO.ImageSpec = self._input.spec()
        self.width, self.height = self.spec.width, self.spec.height
        if self.spec.depth > 1:
            raise BadInput("volumes are not images")
        stored = str(self.spec.format)
        if stored not in _DTYPES:
            raise BadInput(f"samples of type {stored} are not supported", hint="convert to 16 bits or float")
        self.is_narrowed = stored == "double"
        self.dtype = _DTYPES[stored]
        self.names = tuple(self.spec.channelnames)
        self.channel_indices, self.has_alpha, self.dropped = _pick_channels(self.names)

    def attribute(self, name: str) -> object:
        """An attribute of the spec, None where absent."""
        return self.spec.getattribute(name)

    def strips(self) -> Iterator[Array]:
        """Rows top to bottom as (rows, width, channels); about `STRIP_PIXELS` at a time."""
        rows = max(1, STRIP_PIXELS // self.width)
        if self.spec.tile_height > 1:
            rows = max(rows // self.spec.tile_height, 1) * self.spec.tile_height
        first, last = min(self.channel_indices), max(self.channel_indices) + 1
        order = [pick - first for pick in self.channel_indices]
        for top in range(0, self.height, rows):
            bottom = min(top + rows, self.height)
            strip = self._read(top, bottom, first, last)
            if strip.ndim == 2:
                strip = strip[..., None]
            yield strip if order == list(range(last - first)) else np.ascontiguousarray(strip[..., order])

    def _read(self, top: int, bottom: int, first: int, last: int) -> Array:
        y0 = self.spec.y
        wanted = "float" if self.is_narrowed else self.spec.format
        if self.spec.tile_width:
            strip = self._input.read_tiles(
                self._page,
                0,
                self.spec.x,
                self.spec.x + self.width,
                y0 + top,
                y0 + bottom,
                0,
                1,
                first,
                last,
                wanted,
            )
        else:
            strip = self._input.read_scanlines(self._page, 0, y0 + top, y0 + bottom, 0, first, last, wanted)
        error = self._input.geterror()
        if strip is None or error:
            raise DamagedMedia(
                f"the image data ends or breaks near row {top}: {_first_line(error) or 'nothing more to read'}"
            )
        result: Array = strip
        return result.reshape(bottom - top, self.width, last - first)

    def close(self) -> None:
        """Close the file."""
        self._opened.close()


def _open(path: str, config: OpenImageIO.ImageSpec) -> OpenImageIO.ImageInput:
    import OpenImageIO

    opened = OpenImageIO.ImageInput.open(path, config)
    if opened is None:
        raise DamagedMedia(_first_line(OpenImageIO.geterror()) or "the image cannot be decoded")
    return opened


_MARKS = re.compile(r",? *(magic|flags) 0x[0-9A-Fa-f]+")  # numbers of a file's first bytes, which tell people nothing


def _first_line(text: str) -> str:
    """OpenImageIO's reason without the libraries' echoes of it, which follow in lines of their own."""
    return _MARKS.sub("", text.strip().partition("\n")[0])


def _pick_channels(names: tuple[str, ...]) -> tuple[list[int], bool, tuple[str, ...]]:
    """(indexes of the colour and alpha channels, has alpha, names left out)."""
    lower = [name.lower() for name in names]
    if len(names) <= 4 and "c" in lower and "k" in lower:  # CMYK as it is
        return list(range(4)), False, ()
    for wanted in (("r", "g", "b"), ("y",), ("l",), ("gray",), ("i",)):
        if all(name in lower for name in wanted):
            channel_indices = [lower.index(name) for name in wanted]
            break
    else:
        raise BadInput(f"the channels are {', '.join(names)}", hint="give an image with channels R, G, B or Y, and A")
    has_alpha = "a" in lower
    if has_alpha:
        channel_indices.append(lower.index("a"))
    return channel_indices, has_alpha, tuple(name for index, name in enumerate(names) if index not in channel_indices)

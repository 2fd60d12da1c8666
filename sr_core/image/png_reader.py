"""PNG and APNG: chunks for the meaning, OpenImageIO for stills, Pillow for animations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sr_core.errors import BadInput
from sr_core.image.exif import orientation_of
from sr_core.image.meaning import Frame, Header, Meaning, refuse_bomb
from sr_core.image.pillow_reader import PillowImage
from sr_core.image.png_chunks import PngChunks, read_chunks
from sr_core.image.profile import icc_is_linear
from sr_core.image.scanline_reader import ScanlineFile

_PALETTE, _GRAY, _GRAY_ALPHA = 3, 0, 4


def open_png(path: Path, max_pixels: int) -> PngImage | PillowImage:
    """A still PNG, or an animated one, unless it states more than `max_pixels`."""
    chunks = read_chunks(path)
    refuse_bomb(chunks.width, chunks.height, max(1, chunks.frames), max_pixels)
    if chunks.frames > 1:
        if chunks.bits == 16 and chunks.has_transparency:
            raise BadInput(
                "16-bit APNGs with one transparent colour are not supported", hint="give it an alpha channel, or 8 bits"
            )
        return PillowImage(path, "png", meaning=_meaning(chunks), durations=tuple(chunks.durations), loop=chunks.loop)
    return PngImage(path, chunks)


def _meaning(chunks: PngChunks) -> Meaning:
    notes = []
    if chunks.color_type == _PALETTE:
        notes.append("palette read as full colour")
    if chunks.bits < 8 and chunks.color_type != _PALETTE:
        notes.append(f"{chunks.bits}-bit gray read as 8 bits")
    if chunks.bits == 16 and chunks.frames > 1:
        notes.append("16-bit animation read as 8 bits")
    return Meaning(
        icc=chunks.icc, exif=chunks.exif, xmp=chunks.xmp, iptc=chunks.iptc, dpi=chunks.dpi,
        text=tuple(chunks.text), png_color=tuple(chunks.color), is_linear=chunks.is_linear or icc_is_linear(chunks.icc),
        notes=tuple(notes),
    )  # fmt: skip


class PngImage:
    """A still PNG of any depth."""

    def __init__(self, path: Path, chunks: PngChunks) -> None:
        self._file = ScanlineFile(path)
        self.meaning = _meaning(chunks)
        self.header = Header(
            format="png",
            width=chunks.width,
            height=chunks.height,
            channels=len(self._file.picks),
            dtype=self._file.dtype,
            alpha="straight" if self._file.has_alpha else "none",
            orientation=orientation_of(chunks.exif),
            banded=not chunks.is_interlaced,
        )

    def frames(self) -> Iterator[Frame]:
        """The one frame."""
        yield Frame(self._file.bands())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

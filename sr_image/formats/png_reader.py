"""PNG and APNG: chunks for the meaning, OpenImageIO for stills, Pillow for animations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sr_core.errors import BadInput
from sr_image.color.profile import icc_is_linear
from sr_image.formats.pillow_reader import PillowImage
from sr_image.formats.scanline_reader import ScanlineFile
from sr_image.metadata.carried import Frame, Header, Metadata, refuse_bomb
from sr_image.metadata.exif import orientation_of
from sr_image.metadata.png_chunks import PngChunks, read_chunks

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
        return PillowImage(
            path, "png", metadata=_metadata(chunks), durations=tuple(chunks.durations), loop=chunks.loop,
            max_pixels=max_pixels,
        )  # fmt: skip
    return PngImage(path, chunks)


def _metadata(chunks: PngChunks) -> Metadata:
    notes = []
    if chunks.color_type == _PALETTE:
        notes.append("palette read as full color")
    if chunks.bits < 8 and chunks.color_type != _PALETTE:
        notes.append(f"{chunks.bits}-bit gray read as 8 bits")
    if chunks.bits == 16 and chunks.frames > 1:
        notes.append("16-bit animation read as 8 bits")
    if chunks.has_hidden_still and chunks.frames > 1:
        notes.append("the still that programs without animation show is left out")
    if chunks.has_hidden_still and chunks.frames == 1:
        notes.append("the animation's only frame is left out, its still is kept")
    notes += chunks.notes
    return Metadata(
        icc=chunks.icc, exif=chunks.exif, xmp=chunks.xmp, iptc=chunks.iptc, dpi=chunks.dpi,
        text=tuple(chunks.text), png_color=tuple(chunks.color), is_linear=chunks.is_linear or icc_is_linear(chunks.icc),
        notes=tuple(notes),
    )  # fmt: skip


class PngImage:
    """A still PNG of any depth."""

    def __init__(self, path: Path, chunks: PngChunks) -> None:
        self._file = ScanlineFile(path)
        self.metadata = _metadata(chunks)
        self.header = Header(
            format="png",
            width=chunks.width,
            height=chunks.height,
            channels=len(self._file.channel_indices),
            dtype=self._file.dtype,
            alpha="straight" if self._file.has_alpha else "none",
            orientation=orientation_of(chunks.exif),
            banded=not chunks.is_interlaced,
        )

    def frames(self) -> Iterator[Frame]:
        """The one frame."""
        yield Frame(self._file.strips())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

"""OpenEXR (linear light, float) and JPEG XL, by OpenImageIO."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sr_image.color.profile import icc_is_linear
from sr_image.formats.scanline_reader import ScanlineFile
from sr_image.metadata.attached import GAIN_MAP
from sr_image.metadata.carried import Frame, Header, Metadata
from sr_image.metadata.png_chunks import color_tags, hdr_transfer

# what describes the storage of this very file and is written anew
_STORAGE_ATTRIBUTES = ("oiio:", "openexr:", "compression", "DateTime", "planarconfig", "ICCProfile")
JXL_CONTAINER = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
_MAX_ATTRIBUTE_NAME = 255  # bytes, OpenEXR file layout: long names
_MAX_BOX_BYTES = 64 << 20


class ExrImage:
    """A scan-line or tiled OpenEXR file's first part; always linear light."""

    def __init__(self, path: Path) -> None:
        self._file = file = ScanlineFile(path)
        notes = [f"channels left out: {', '.join(file.dropped)}"] if file.dropped else []
        spec = file.spec
        if (spec.x, spec.y, spec.full_width, spec.full_height) != (0, 0, spec.width, spec.height):
            notes.append("the data window is written as the whole picture")
        parts = file.attribute("oiio:subimages")
        if isinstance(parts, int) and parts > 1:
            notes.append(f"{parts - 1} further parts left out")
        kept, lost = _attributes(file)
        if lost:
            notes.append(f"OpenEXR attributes left out: {', '.join(lost[:5])}")
        self.metadata = Metadata(
            attributes=kept,
            is_linear=True,
            notes=tuple(notes),
        )
        self.header = Header(
            format="exr", width=file.width, height=file.height, channels=len(file.channel_indices),
            dtype=file.dtype, alpha="premultiplied" if file.has_alpha else "none", banded=True,
        )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        """The one frame."""
        yield Frame(self._file.strips())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class JxlImage:
    """A JPEG XL still; the decoder has already applied its orientation."""

    def __init__(self, path: Path) -> None:
        self._file = file = ScanlineFile(path)
        profile = file.attribute("ICCProfile")
        icc = np.asarray(profile, np.uint8).tobytes() if profile is not None else None
        exif, xmp, notes = _boxes(path)
        said = file.attribute("CICP")
        color = color_tags((int(said[0]), int(said[1]))) if isinstance(said, tuple) and len(said) == 4 else ()
        is_hdr = bool(hdr_transfer(color))  # its profile cannot say so to programs that know no CICP
        self.metadata = Metadata(
            icc=icc, exif=exif, xmp=xmp, png_color=color if is_hdr else (), is_linear=icc_is_linear(icc), notes=notes
        )
        self.header = Header(
            format="jxl", width=file.width, height=file.height, channels=len(file.channel_indices),
            dtype=file.dtype, alpha="straight" if file.has_alpha else "none",
        )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        """The one frame."""
        yield Frame(self._file.strips())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _attributes(file: ScanlineFile) -> tuple[tuple[tuple[str, Any, Any], ...], list[str]]:
    """(attributes as (name, type, value), names of those that no writer takes: matrices read as tuples, odd names)."""
    import OpenImageIO

    kept, lost, trial = [], [], OpenImageIO.ImageSpec()
    for entry in file.spec.extra_attribs:
        if entry.name.startswith(_STORAGE_ATTRIBUTES):
            continue
        try:
            trial.attribute(entry.name, entry.type, entry.value)
            if not entry.name.isprintable() or len(entry.name) > _MAX_ATTRIBUTE_NAME:
                raise ValueError(entry.name)
        except (TypeError, ValueError):
            lost.append(entry.name.encode("ascii", "backslashreplace").decode()[:40])
        else:
            kept.append((entry.name, entry.type, entry.value))
    return tuple(kept), lost


def _boxes(path: Path) -> tuple[bytes | None, bytes | None, tuple[str, ...]]:
    """(EXIF, XMP, notes) from the boxes around the code stream (ISO/IEC 18181-2)."""
    exif = xmp = None
    notes: tuple[str, ...] = ()
    with path.open("rb") as file:
        if file.read(len(JXL_CONTAINER)) != JXL_CONTAINER:
            return None, None, ()
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            body = size - 8
            if size == 1:
                body = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0] - 16
            if size == 0 or body < 0:
                break
            if kind == b"Exif" and 4 < body <= _MAX_BOX_BYTES:
                data = file.read(body)
                exif = data[4 + struct.unpack(">I", data[:4])[0] :]
            elif kind == b"xml " and body <= _MAX_BOX_BYTES:
                xmp = file.read(body)
            else:
                if kind == b"brob":
                    notes = (*notes, "Brotli-packed metadata left out")
                if kind == b"jhgm":
                    notes = (*notes, GAIN_MAP)
                file.seek(body, 1)
    return exif, xmp, notes

"""OpenEXR (linear light, float) and JPEG XL, by OpenImageIO."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sr_core.image.meaning import Frame, Header, Meaning
from sr_core.image.profile import icc_is_linear
from sr_core.image.scanline_reader import ScanlineFile

# what describes the storage of this very file and is written anew
_STORAGE_ATTRIBUTES = ("oiio:", "openexr:", "compression", "DateTime", "planarconfig", "ICCProfile")
JXL_CONTAINER = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
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
        self.meaning = Meaning(
            attributes=tuple(
                (entry.name, entry.type, entry.value)
                for entry in file.spec.extra_attribs
                if not entry.name.startswith(_STORAGE_ATTRIBUTES)
            ),
            is_linear=True,
            notes=tuple(notes),
        )
        self.header = Header(
            format="exr", width=file.width, height=file.height, channels=len(file.picks),
            dtype=file.dtype, alpha="premultiplied" if file.has_alpha else "none", banded=True,
        )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        """The one frame."""
        yield Frame(self._file.bands())

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
        self.meaning = Meaning(icc=icc, exif=exif, xmp=xmp, is_linear=icc_is_linear(icc), notes=notes)
        self.header = Header(
            format="jxl", width=file.width, height=file.height, channels=len(file.picks),
            dtype=file.dtype, alpha="straight" if file.has_alpha else "none",
        )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        """The one frame."""
        yield Frame(self._file.bands())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


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
                    notes = ("Brotli-packed metadata left out",)
                file.seek(body, 1)
    return exif, xmp, notes

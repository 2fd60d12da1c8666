"""JPEG: pixels by Pillow, or by OpenImageIO in strips; the metadata segments are placed here.

One place for the segments means the same limits and the same bytes on both roads.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sr_core.errors import DamagedMedia
from sr_core.storage import claim
from sr_image.formats.scanline_writer import write_scanlines
from sr_image.metadata.carried import Frame, Header, Metadata
from sr_image.metadata.exif import MAX_JPEG_EXIF_BYTES
from sr_image.metadata.iptc import app13_from_iptc

XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
_MAX_BODY_BYTES = 65_533
_ICC_HEAD = b"ICC_PROFILE\0"
_FULL_CHROMA_FROM = 90  # from this quality on, chroma is not subsampled
_APP0, _APP14, _COM, _SOS = 0xE0, 0xEE, 0xFE, 0xDA


def write_jpeg(path: Path, header: Header, metadata: Metadata, frame: Frame, *, quality: int) -> None:
    """Write gray or RGB uint8; in strips where `header.banded`."""
    bare = path.with_name(path.name + ".bare")
    claim(bare)
    subsampling = "4:4:4" if quality >= _FULL_CHROMA_FROM else "4:2:0"
    try:
        if header.banded:
            attributes = {"compression": f"jpeg:{quality}", "jpeg:subsampling": subsampling}
            write_scanlines(bare, header, frame, attributes, kind="jpeg")
        else:
            from PIL import Image

            pixels = frame.whole()
            mode = "L" if header.channels == 1 else "RGB"
            size = header.width, header.height
            image = Image.frombuffer(mode, size, np.ascontiguousarray(pixels), "raw", mode, 0, 1)
            image.save(bare, "JPEG", quality=quality, subsampling=subsampling)
        with bare.open("rb") as source, path.open("wb") as target:
            _splice(source, target, metadata)
    finally:
        bare.unlink(missing_ok=True)


def list_oversized(metadata: Metadata) -> Iterator[str]:
    """Sentences about metadata that does not fit into JPEG segments."""
    if metadata.exif and len(metadata.exif) > MAX_JPEG_EXIF_BYTES:
        yield "EXIF left out: it is larger than a JPEG segment"
    if metadata.xmp and len(XMP_HEAD) + len(metadata.xmp) > _MAX_BODY_BYTES:
        yield "XMP left out: it is larger than a JPEG segment"
    if metadata.iptc and not app13_from_iptc(metadata.iptc):
        yield "IPTC left out: it is larger than a JPEG segment"


def _splice(source: BinaryIO, target: BinaryIO, metadata: Metadata) -> None:
    """Copy a JPEG, replacing all its metadata segments by `meaning`'s."""
    target.write(source.read(2))
    target.write(b"".join(_segments(metadata)))
    while True:
        head = source.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            raise DamagedMedia("the encoder wrote a broken JPEG")
        marker, size = head[1], struct.unpack(">H", head[2:])[0]
        body = source.read(size - 2)
        is_metadata = marker == _COM or (_APP0 <= marker <= 0xEF and marker != _APP14)
        if not is_metadata:
            target.write(head + body)
        if marker == _SOS:
            shutil.copyfileobj(source, target, 1 << 20)
            return


def _segments(metadata: Metadata) -> Iterator[bytes]:
    x, y = (min(65_535, max(1, round(value))) for value in metadata.dpi) if metadata.dpi else (1, 1)
    yield _segment(0xE0, b"JFIF\0\x01\x01" + struct.pack(">BHHBB", 1 if metadata.dpi else 0, x, y, 0, 0))
    if metadata.exif and len(metadata.exif) <= MAX_JPEG_EXIF_BYTES:
        yield _segment(0xE1, b"Exif\0\0" + metadata.exif)
    if metadata.xmp and len(XMP_HEAD) + len(metadata.xmp) <= _MAX_BODY_BYTES:
        yield _segment(0xE1, XMP_HEAD + metadata.xmp)
    if metadata.icc:
        room = _MAX_BODY_BYTES - len(_ICC_HEAD) - 2
        parts = [metadata.icc[at : at + room] for at in range(0, len(metadata.icc), room)]
        for index, part in enumerate(parts, 1):
            yield _segment(0xE2, _ICC_HEAD + bytes([index, len(parts)]) + part)
    if metadata.iptc:
        yield app13_from_iptc(metadata.iptc)
    if metadata.comment:
        yield _segment(_COM, metadata.comment[:_MAX_BODY_BYTES])


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

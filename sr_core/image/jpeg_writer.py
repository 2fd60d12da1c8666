"""JPEG: pixels by Pillow, or by OpenImageIO in bands; the metadata segments are placed here.

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
from sr_core.image.exif import MAX_JPEG_EXIF_BYTES
from sr_core.image.iptc import app13_from_iptc
from sr_core.image.meaning import Frame, Header, Meaning
from sr_core.image.scanline_writer import write_scanlines

XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
_MAX_BODY_BYTES = 65_533
_ICC_HEAD = b"ICC_PROFILE\0"
_FULL_CHROMA_FROM = 90  # from this quality on, chroma is not subsampled
_APP0, _APP14, _COM, _SOS = 0xE0, 0xEE, 0xFE, 0xDA


def write_jpeg(path: Path, header: Header, meaning: Meaning, frame: Frame, *, quality: int) -> None:
    """Write gray or RGB uint8; in bands where `header.banded`."""
    bare = path.with_name(path.name + ".bare")
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
            _splice(source, target, meaning)
    finally:
        bare.unlink(missing_ok=True)


def oversized(meaning: Meaning) -> Iterator[str]:
    """Sentences about metadata that does not fit into JPEG segments."""
    if meaning.exif and len(meaning.exif) > MAX_JPEG_EXIF_BYTES:
        yield "EXIF left out: it is larger than a JPEG segment"
    if meaning.xmp and len(XMP_HEAD) + len(meaning.xmp) > _MAX_BODY_BYTES:
        yield "XMP left out: it is larger than a JPEG segment"
    if meaning.iptc and not app13_from_iptc(meaning.iptc):
        yield "IPTC left out: it is larger than a JPEG segment"


def _splice(source: BinaryIO, target: BinaryIO, meaning: Meaning) -> None:
    """Copy a JPEG, replacing all its metadata segments by `meaning`'s."""
    target.write(source.read(2))
    target.write(b"".join(_segments(meaning)))
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


def _segments(meaning: Meaning) -> Iterator[bytes]:
    x, y = (min(65_535, max(1, round(value))) for value in meaning.dpi) if meaning.dpi else (1, 1)
    yield _segment(0xE0, b"JFIF\0\x01\x01" + struct.pack(">BHHBB", 1 if meaning.dpi else 0, x, y, 0, 0))
    if meaning.exif and len(meaning.exif) <= MAX_JPEG_EXIF_BYTES:
        yield _segment(0xE1, b"Exif\0\0" + meaning.exif)
    if meaning.xmp and len(XMP_HEAD) + len(meaning.xmp) <= _MAX_BODY_BYTES:
        yield _segment(0xE1, XMP_HEAD + meaning.xmp)
    if meaning.icc:
        room = _MAX_BODY_BYTES - len(_ICC_HEAD) - 2
        parts = [meaning.icc[at : at + room] for at in range(0, len(meaning.icc), room)]
        for index, part in enumerate(parts, 1):
            yield _segment(0xE2, _ICC_HEAD + bytes([index, len(parts)]) + part)
    if meaning.iptc:
        yield app13_from_iptc(meaning.iptc)
    if meaning.comment:
        yield _segment(_COM, meaning.comment[:_MAX_BODY_BYTES])


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

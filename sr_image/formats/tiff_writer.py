"""TIFF and BigTIFF from strips of rows: deflated strips as they come, directories at the end.

Written here because Pillow writes no 16-bit or float RGB and OpenImageIO rebuilds EXIF from the
tags it knows. The file takes the byte order of its EXIF, so that every EXIF value, maker notes
included, is copied byte for byte.

    header ─ strips of page 1 ─ directory 1 (+ EXIF, GPS) ─ strips of page 2 ─ directory 2 …
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from zlib_ng import zlib_ng

from sr_core.frame import Array
from sr_image.formats.tiff_reader import ICC, IPTC, XMP
from sr_image.metadata.carried import Frame, Header, Metadata, regroup_rows
from sr_image.metadata.exif import (
    ORIENTATION,
    RESOLUTION_UNIT,
    X_RESOLUTION,
    Y_RESOLUTION,
    directory_from_exif,
    rational_parts,
)
from sr_image.metadata.ifd import (
    BYTE,
    LONG,
    LONG8,
    RATIONAL,
    SHORT,
    UNDEFINED,
    Directory,
    Layout,
    directory_bytes,
)

_STRIP_BYTES = 1 << 20
_BIG_FROM_BYTES = 3_500_000_000  # classic offsets end at 4 GiB; deflate can grow noise a little
_DEFLATE = 8
_PREDICT_INTEGERS, _PREDICT_FLOATS = 2, 3
_LEVEL = 4


def write_tiff(path: Path, header: Header, metadata: Metadata, frames: Iterable[Frame]) -> None:
    """Write one page per frame; every page carries the metadata."""
    is_big = header.frame_bytes * header.frames > _BIG_FROM_BYTES
    order, described = "<", Directory()
    if metadata.exif:
        source, described = directory_from_exif(metadata.exif)
        order = source.order
    layout = Layout(order=order, is_big=is_big)
    with path.open("wb") as file:
        file.write(_file_header(layout))
        pointer = 8 if is_big else 4
        for frame in frames:
            strips = list(_write_strips(file, header, layout, frame))
            entries = _page_entries(header, metadata, layout, strips, described)
            offset = _aligned_end(file)
            file.write(directory_bytes(entries, layout, offset))
            file.seek(pointer)
            file.write(layout.pack(layout.offset_code, offset))
            count = len(entries.entries.keys() | entries.children.keys())
            pointer = offset + layout.count_bytes + count * layout.entry_bytes
            file.seek(0, 2)


def _file_header(layout: Layout) -> bytes:
    mark = b"II" if layout.order == "<" else b"MM"
    if layout.is_big:
        return mark + layout.pack("HHHQ", 43, 8, 0, 0)
    return mark + layout.pack("HL", 42, 0)


def _aligned_end(file: BinaryIO) -> int:
    at = file.seek(0, 2)
    file.write(b"\0" * (-at % 8))
    return at + -at % 8


def _rows_per_strip(header: Header) -> int:
    row_bytes = header.width * header.channels * np.dtype(header.dtype).itemsize
    return min(max(1, _STRIP_BYTES // row_bytes), header.height)


def _write_strips(file: BinaryIO, header: Header, layout: Layout, frame: Frame) -> Iterator[tuple[int, int]]:
    """(offset, bytes) of each strip."""
    for strip in _exact_strips(frame.strips, _rows_per_strip(header)):
        data = zlib_ng.compress(_predict(strip, layout), _LEVEL)
        yield file.tell(), len(data)
        file.write(data)


def _exact_strips(strips: Iterable[Array], rows: int) -> Iterator[Array]:
    """The same rows in strips of exactly `rows` (the last one may be shorter)."""
    waiting: list[Array] = []
    have = 0
    for strip in regroup_rows(strips, rows):
        while len(strip):
            take = strip[: rows - have]
            strip = strip[len(take) :]
            waiting.append(take)
            have += len(take)
            if have == rows:
                yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
                waiting, have = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _predict(strip: Array, layout: Layout) -> bytes:
    """Rows as differences to the pixel on the left, TIFF 6.0 §14; floats by TIFF Technical Note 3."""
    if strip.dtype.kind == "f":
        rows, width, channels = strip.shape
        size = strip.dtype.itemsize
        octets = np.ascontiguousarray(strip.astype(f">f{strip.dtype.itemsize}")).view(np.uint8)
        planes = octets.reshape(rows, width * channels, size).transpose(0, 2, 1).reshape(rows, -1)
        result = planes.copy()
        result[:, channels:] -= planes[:, :-channels]
        return result.tobytes()
    differences = strip.copy()
    differences[:, 1:] -= strip[:, :-1]
    return differences.astype(f"{layout.order}u{strip.dtype.itemsize}").tobytes()


def _page_entries(
    header: Header, metadata: Metadata, layout: Layout, strips: list[tuple[int, int]], described: Directory
) -> Directory:
    bits = np.dtype(header.dtype).itemsize * 8
    is_float = header.dtype.startswith("float")
    entries = dict(described.entries)

    def put(tag: int, kind: int, *values: int) -> None:
        code = {SHORT: "H", LONG: "L", LONG8: "Q"}[kind]
        entries[tag] = (kind, len(values), struct.pack(f"{layout.order}{len(values)}{code}", *values))

    place = LONG8 if layout.is_big else LONG
    put(256, LONG, header.width)
    put(257, LONG, header.height)
    put(258, SHORT, *[bits] * header.channels)
    put(259, SHORT, _DEFLATE)
    put(262, SHORT, 2 if header.channels >= 3 else 1)
    put(273, place, *[offset for offset, _ in strips])
    put(ORIENTATION, SHORT, header.orientation)
    put(277, SHORT, header.channels)
    put(278, LONG, _rows_per_strip(header))
    put(279, place, *[size for _, size in strips])
    put(284, SHORT, 1)
    put(317, SHORT, _PREDICT_FLOATS if is_float else _PREDICT_INTEGERS)
    if header.alpha != "none":
        put(338, SHORT, 1 if header.alpha == "premultiplied" else 2)
    put(339, SHORT, *[3 if is_float else 1] * header.channels)
    if metadata.dpi:
        for tag, value in zip((X_RESOLUTION, Y_RESOLUTION), metadata.dpi, strict=True):
            entries[tag] = (RATIONAL, 1, layout.pack("LL", *rational_parts(value)))
        put(RESOLUTION_UNIT, SHORT, 2)
    for tag, kind, data in (
        (ICC, UNDEFINED, metadata.icc),
        (XMP, BYTE, metadata.xmp),
        (IPTC, UNDEFINED, metadata.iptc),
    ):
        if data:
            entries[tag] = (kind, len(data), data)
    if metadata.georeference is not None:
        entries |= metadata.georeference.entries(layout)
    return Directory(entries=entries, children=described.children)

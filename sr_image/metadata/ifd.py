"""TIFF directories (IFDs): the structure inside EXIF blobs and TIFF files.

    header: byte order, 42, offset of the first directory
    directory: count, entries (tag, type, count, value or offset), offset of the next directory

Values are kept as the bytes they are in the file's byte order, so nothing is reinterpreted.
Classic layout (32-bit offsets) and BigTIFF (64-bit) are read and written.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from sr_core.errors import DamagedMedia

TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
              16: 8, 17: 8, 18: 8}  # fmt: skip
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, DOUBLE, LONG8 = 1, 2, 3, 4, 5, 7, 12, 16
EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
POINTERS = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
_MAX_ENTRIES = 4096
_MAX_VALUE_BYTES = 64 << 20


@dataclass
class Directory:
    """Entries as tag -> (type, count, value bytes), and the directories its pointers lead to."""

    entries: dict[int, tuple[int, int, bytes]] = field(default_factory=dict)
    children: dict[int, Directory] = field(default_factory=dict)
    next_offset: int = 0
    offset: int = 0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Byte order ('<' or '>') and width of offsets of one TIFF structure."""

    order: str
    is_big: bool = False

    @property
    def offset_code(self) -> str:
        return "Q" if self.is_big else "L"

    @property
    def inline_bytes(self) -> int:
        return 8 if self.is_big else 4

    @property
    def entry_bytes(self) -> int:
        return 20 if self.is_big else 12

    @property
    def count_bytes(self) -> int:
        return 8 if self.is_big else 2

    def pack(self, code: str, *values: int) -> bytes:
        return struct.pack(self.order + code, *values)

    def unpack(self, code: str, data: bytes) -> int:
        return int(struct.unpack(self.order + code, data)[0])

    def pack_doubles(self, values: Sequence[float]) -> bytes:
        return struct.pack(f"{self.order}{len(values)}d", *values)

    def unpack_doubles(self, data: bytes) -> tuple[float, ...]:
        """As many finite doubles as `data` holds; none where one is not finite."""
        values = struct.unpack(f"{self.order}{len(data) // 8}d", data[: len(data) // 8 * 8])
        return values if all(map(math.isfinite, values)) else ()

    def number(self, entry: tuple[int, int, bytes]) -> int:
        """The first value of an entry of an integer type."""
        kind, _, data = entry
        code = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}.get(kind)
        if code is None or len(data) < TYPE_BYTES[kind]:
            raise DamagedMedia(f"TIFF entry of type {kind} is not an integer")
        return self.unpack(code, data[: TYPE_BYTES[kind]])


def read_header(file: BinaryIO) -> tuple[Layout, int]:
    """(layout, offset of the first directory) of the TIFF structure at the start of `file`."""
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise DamagedMedia("not a TIFF structure")
    magic = struct.unpack(order + "H", head[2:4])[0]
    if magic == 42:
        layout = Layout(order=order)
        return layout, layout.unpack("L", head[4:8])
    if magic == 43 and len(head) == 16:
        layout = Layout(order=order, is_big=True)
        return layout, layout.unpack("Q", head[8:16])
    raise DamagedMedia("not a TIFF structure")


def read_directory(file: BinaryIO, layout: Layout, offset: int, *, depth: int = 0) -> Directory:
    """Read the directory at `offset`, following the EXIF, GPS and Interop pointers.

    Entries whose value lies outside the file are left out: a damaged tag must not cost the image.

    Raises:
        DamagedMedia: the directory itself is not there.
    """
    file.seek(offset)
    data = file.read(layout.count_bytes)
    if len(data) < layout.count_bytes:
        raise DamagedMedia(f"no TIFF directory at offset {offset}")
    count = layout.unpack("Q" if layout.is_big else "H", data)
    if count > _MAX_ENTRIES:
        raise DamagedMedia(f"TIFF directory with {count} entries")
    table = file.read(count * layout.entry_bytes + layout.inline_bytes)
    directory = Directory(offset=offset)
    for index in range(count):
        entry = table[index * layout.entry_bytes : (index + 1) * layout.entry_bytes]
        if len(entry) < layout.entry_bytes:
            return directory
        tag, kind = layout.unpack("H", entry[0:2]), layout.unpack("H", entry[2:4])
        many = layout.unpack(layout.offset_code, entry[4 : 4 + layout.inline_bytes])
        size = TYPE_BYTES.get(kind, 0) * many
        field_bytes = entry[4 + layout.inline_bytes :]
        if not size or size > _MAX_VALUE_BYTES:
            continue
        if size <= layout.inline_bytes:
            value = field_bytes[:size]
        else:
            file.seek(layout.unpack(layout.offset_code, field_bytes))
            value = file.read(size)
            if len(value) < size:
                continue
        directory.entries[tag] = (kind, many, value)
        if tag in POINTERS and depth < 3 and kind in (4, 13, 16, 18):
            try:
                child = read_directory(file, layout, layout.number((kind, many, value)), depth=depth + 1)
            except DamagedMedia:
                del directory.entries[tag]
                continue
            directory.children[tag] = child
    tail = table[count * layout.entry_bytes :]
    if len(tail) == layout.inline_bytes:
        directory.next_offset = layout.unpack(layout.offset_code, tail)
    return directory


def directory_bytes(directory: Directory, layout: Layout, offset: int, *, next_offset: int = 0) -> bytes:
    """Serialise `directory` to stand at `offset`: table, then values, then child directories."""
    entries = dict(directory.entries)
    for tag in directory.children:
        entries[tag] = (LONG8 if layout.is_big else LONG, 1, b"")  # filled in below
    code = layout.offset_code
    table_bytes = layout.count_bytes + len(entries) * layout.entry_bytes + layout.inline_bytes
    table = bytearray(layout.pack("Q" if layout.is_big else "H", len(entries)))
    extra = bytearray()
    for tag in sorted(entries):
        kind, many, value = entries[tag]
        if tag in directory.children:
            extra += b"\0" * (len(extra) % 2)
            at = offset + table_bytes + len(extra)
            extra += directory_bytes(directory.children[tag], layout, at)
            value = layout.pack(code, at)
        table += layout.pack("HH", tag, kind) + layout.pack(code, many)
        if len(value) <= layout.inline_bytes:
            table += value.ljust(layout.inline_bytes, b"\0")
        else:
            extra += b"\0" * (len(extra) % 2)  # values start on even offsets, TIFF 6.0 §2
            table += layout.pack(code, offset + table_bytes + len(extra))
            extra += value
    table += layout.pack(code, next_offset)
    return bytes(table + extra)

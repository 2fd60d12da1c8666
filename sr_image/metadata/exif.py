"""EXIF: what must change when an image is enlarged, patched in place.

An EXIF blob is never rebuilt: maker notes hold offsets into it that nobody documents. Orientation,
sizes and resolution are overwritten where they stand; a new thumbnail is appended.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from functools import partial

from sr_core.errors import DamagedMedia
from sr_image.metadata.ifd import (
    ASCII,
    EXIF_IFD,
    GPS_IFD,
    LONG,
    RATIONAL,
    SHORT,
    TYPE_BYTES,
    Directory,
    Layout,
    directory_bytes,
    read_directory,
    read_header,
)

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
IMAGE_WIDTH, IMAGE_LENGTH, PIXEL_X, PIXEL_Y = 0x0100, 0x0101, 0xA002, 0xA003
DESCRIPTION = 0x010E
THUMBNAIL_OFFSET, THUMBNAIL_BYTES = 0x0201, 0x0202
THUMBNAIL_SIDE_PX = 160  # EXIF 2.32 §4.5.4: thumbnails of 160 x 120
MAX_JPEG_EXIF_BYTES = 65_533 - 6  # one APP1 segment, less 'Exif\0\0'
_LARGEST = 2**32 - 1
# Tags of a TIFF's first directory that describe the picture and not its storage.
DESCRIPTIVE = (
    0x010E, 0x010F, 0x0110, 0x0112, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C,
    0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F,
)  # fmt: skip


def is_readable(exif: bytes) -> bool:
    """Whether the blob has the structure everything here relies on."""
    try:
        _parse(exif)
    except DamagedMedia:
        return False
    return True


def orientation_of(exif: bytes | None) -> int:
    """EXIF orientation 1..8; 1 where absent, out of range or unreadable."""
    if exif is None or not is_readable(exif):
        return 1
    layout, directory = _parse(exif)
    entry = directory.entries.get(ORIENTATION)
    if entry is None or entry[0] not in (SHORT, LONG):
        return 1
    value = layout.number(entry)
    return value if 1 <= value <= 8 else 1


def exif_from_directory(directory: Directory, layout: Layout) -> bytes | None:
    """The EXIF blob that says what a TIFF file's first directory says; None where it says nothing."""
    kept = {tag: value for tag, value in directory.entries.items() if tag in DESCRIPTIVE}
    children = {tag: directory.children[tag] for tag in (EXIF_IFD, GPS_IFD) if tag in directory.children}
    if not children and not kept.keys() - {ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT}:
        return None
    small = Layout(order=layout.order)
    head = (b"II*\0" if layout.order == "<" else b"MM\0*") + small.pack("L", 8)
    return head + directory_bytes(Directory(entries=kept, children=children), small, 8)


def directory_from_exif(exif: bytes) -> tuple[Layout, Directory]:
    """The descriptive entries and the EXIF and GPS directories of a blob, for a TIFF file."""
    layout, directory = _parse(exif)
    return layout, Directory(
        entries={tag: value for tag, value in directory.entries.items() if tag in DESCRIPTIVE},
        children={tag: child for tag, child in directory.children.items() if tag in (EXIF_IFD, GPS_IFD)},
    )


def has_thumbnail(exif: bytes) -> bool:
    """Whether the blob's second directory holds a JPEG thumbnail."""
    return _thumbnail_at(*_parse(exif), exif) is not None


def exif_for_output(
    exif: bytes,
    size: tuple[int, int],
    *,
    orientation: int = 1,
    dpi: tuple[float, float] | None = None,
    thumbnail: Callable[[], bytes] | None = None,
    limit_bytes: int | None = None,
    source_size: tuple[int, int] | None = None,
) -> bytes:
    """Return `exif` telling of an image of `size`.

    Args:
        size: (width, height) of the output.
        orientation: what the tag must say now (1 = the pixels were turned).
        dpi: new resolution, where the blob holds one; None leaves it.
        thumbnail: makes the JPEG that replaces an existing thumbnail; None drops it.
        source_size: (width, height) of the input as `size` is turned, for descriptions that state it (OME-XML).
        limit_bytes: the blob must not grow past this; the thumbnail is dropped if it would.
    """
    patch = _Patch(exif)
    first = patch.directory.offset
    patch.number(first, ORIENTATION, orientation)
    patch.number(first, IMAGE_WIDTH, size[0])
    patch.number(first, IMAGE_LENGTH, size[1])
    if (child := patch.directory.children.get(EXIF_IFD)) is not None:
        patch.number(child.offset, PIXEL_X, size[0])
        patch.number(child.offset, PIXEL_Y, size[1])
    if dpi is not None:
        unit = patch.directory.entries.get(RESOLUTION_UNIT)
        per_unit = 2.54 if unit is not None and unit[0] == SHORT and patch.layout.number(unit) == 3 else 1.0
        patch.rational(first, X_RESOLUTION, dpi[0] / per_unit)
        patch.rational(first, Y_RESOLUTION, dpi[1] / per_unit)
    if source_size is not None and b"<OME" in (text := patch.directory.entries.get(DESCRIPTION, (0, 0, b""))[2]):
        patch.text(first, DESCRIPTION, ome_for_output(text.rstrip(b"\0"), source_size, size))
    at = _thumbnail_at(patch.layout, patch.directory, exif)
    if at is not None:
        picture = thumbnail() if thumbnail is not None else b""
        if not picture or (limit_bytes is not None and len(patch.blob) + len(picture) > limit_bytes):
            patch.end_directory(patch.directory.offset)
        else:
            patch.number(at, THUMBNAIL_OFFSET, len(patch.blob))
            patch.number(at, THUMBNAIL_BYTES, len(picture))
            patch.number(at, ORIENTATION, orientation)
            patch.blob += picture
    return bytes(patch.blob)


def ome_for_output(text: bytes, before: tuple[int, int], after: tuple[int, int]) -> bytes:
    """OME-XML (a microscope's TIFF) of a picture that grew: its sizes, and the smaller pixels' physical ones."""
    for axis, old, new in zip((b"X", b"Y"), before, after, strict=True):
        text = re.sub(rb'(\bSize%s=")%d"' % (axis, old), rb'\g<1>%d"' % new, text)
        physical = re.compile(rb'(\bPhysicalSize%s=")([0-9.eE+-]+)"' % axis)
        text = physical.sub(partial(_smaller, share=old / new), text)
    return text


def _smaller(found: re.Match[bytes], *, share: float) -> bytes:
    try:
        return found[1] + repr(float(found[2]) * share).encode() + b'"'
    except ValueError:
        return found[0]


def xmp_for_output(xmp: bytes, size: tuple[int, int], *, orientation: int = 1) -> bytes:
    """Return the packet with tiff:Orientation and the pixel sizes it states brought up to date."""
    values = {
        b"tiff:Orientation": orientation,
        b"tiff:ImageWidth": size[0],
        b"tiff:ImageLength": size[1],
        b"exif:PixelXDimension": size[0],
        b"exif:PixelYDimension": size[1],
    }
    for name, value in values.items():
        digits = str(value).encode()
        xmp = re.sub(name + rb'(\s*=\s*)(["\'])\d+\2', name + rb"\g<1>\g<2>" + digits + rb"\g<2>", xmp)
        xmp = re.sub(rb"(<" + name + rb"[^>]*>)\s*\d+\s*(</" + name + rb">)", rb"\g<1>" + digits + rb"\g<2>", xmp)
    return xmp


def _parse(exif: bytes) -> tuple[Layout, Directory]:
    stream = io.BytesIO(exif)
    layout, offset = read_header(stream)
    return layout, read_directory(stream, layout, offset)


def _thumbnail_at(layout: Layout, directory: Directory, exif: bytes) -> int | None:
    """Offset of the second directory where it holds a JPEG thumbnail."""
    if not directory.next_offset:
        return None
    try:
        second = read_directory(io.BytesIO(exif), layout, directory.next_offset)
    except DamagedMedia:
        return None
    has_both = THUMBNAIL_OFFSET in second.entries and THUMBNAIL_BYTES in second.entries
    return directory.next_offset if has_both else None


class _Patch:
    """Overwrites entries of a classic TIFF structure where they stand."""

    def __init__(self, exif: bytes) -> None:
        self.blob = bytearray(exif)
        self.layout, self.directory = _parse(exif)

    def number(self, directory_offset: int, tag: int, value: int) -> None:
        """Set an integer entry, widening SHORT to LONG where needed; nothing if it is absent."""
        at = self._entry(directory_offset, tag)
        if at is None:
            return
        kind = LONG if value > 0xFFFF else self.layout.unpack("H", bytes(self.blob[at + 2 : at + 4]))
        if kind not in (SHORT, LONG):
            return
        data = self.layout.pack("H" if kind == SHORT else "L", value).ljust(4, b"\0")
        self.blob[at + 2 : at + 12] = self.layout.pack("HL", kind, 1) + data

    def rational(self, directory_offset: int, tag: int, value: float) -> None:
        """Set a RATIONAL entry; nothing if it is absent."""
        at = self._entry(directory_offset, tag)
        if at is None or self.layout.unpack("H", bytes(self.blob[at + 2 : at + 4])) != RATIONAL:
            return
        place = self.layout.unpack("L", bytes(self.blob[at + 8 : at + 12]))
        if place + TYPE_BYTES[RATIONAL] <= len(self.blob):
            self.blob[place : place + 8] = self.layout.pack("LL", *rational_parts(value))

    def text(self, directory_offset: int, tag: int, text: bytes) -> None:
        """Set an ASCII entry to another text, put at the end; nothing if it is absent."""
        at = self._entry(directory_offset, tag)
        if at is None or self.layout.unpack("H", bytes(self.blob[at + 2 : at + 4])) != ASCII:
            return
        self.blob += b"\0" * (len(self.blob) % 2)
        self.blob[at + 4 : at + 12] = self.layout.pack("LL", len(text) + 1, len(self.blob))
        self.blob += text + b"\0"

    def end_directory(self, directory_offset: int) -> None:
        """Make the directory the last one."""
        count = self.layout.unpack("H", bytes(self.blob[directory_offset : directory_offset + 2]))
        at = directory_offset + 2 + 12 * count
        self.blob[at : at + 4] = b"\0\0\0\0"

    def _entry(self, directory_offset: int, tag: int) -> int | None:
        count = self.layout.unpack("H", bytes(self.blob[directory_offset : directory_offset + 2]))
        for index in range(count):
            at = directory_offset + 2 + 12 * index
            entry = bytes(self.blob[at : at + 12])
            if len(entry) == 12 and self.layout.unpack("H", entry[:2]) == tag:
                return at
        return None


def rational_parts(value: float) -> tuple[int, int]:
    """(numerator, denominator) of a resolution, exact for whole numbers, in 32 bits."""
    if value == int(value) or value * 10_000 > _LARGEST:
        return min(round(value), _LARGEST), 1
    return round(value * 10_000), 10_000


def dpi_from_rational(data: bytes, layout: Layout) -> float | None:
    """Value of a RATIONAL entry's bytes; None where it says nothing."""
    top, bottom = struct.unpack(layout.order + "LL", data[:8])
    return top / bottom if top and bottom else None

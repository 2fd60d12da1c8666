"""What lies behind the end of a picture: an archive, a video, a second picture that was appended to it.

    |<------ the picture ------>|<-- behind -->|
    SOI … EOI                     PK\\x03\\x04 …      JPEG
    signature … IEND                              PNG
    RIFF, its length                              WebP
    boxes, one after the other                    AVIF, HEIC, JPEG XL

Every viewer ignores it, and an enlarged picture has none of it: so it is said. TIFF, EXR and bare JPEG XL
streams have no end that could be found without decoding them.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sr_core.wording import text_from_bytes

_Data = mmap.mmap | bytes
_PADDING = b"\0\xff\r\n \x1a"  # cameras and mail programs fill up with it
_JPEG_STOP = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # in entropy-coded data: not 00, a restart, or fill
_ALONE = range(0xD0, 0xD9)  # JPEG markers without a segment: restarts, start of image
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_GIF_TABLE = 0x80  # flag: a colour table follows, of 2 << (flags & 7) entries


def note_behind(path: Path, format_name: str, *, skips_pictures: bool = False) -> str:
    """What is left out behind the end of the picture at `path`, in words; '' for nothing.

    Args:
        skips_pictures: JPEGs behind a JPEG have been spoken of.
    """
    find_end = _ENDS.get(format_name)
    size = path.stat().st_size
    if find_end is None or not size:
        return ""
    with _content(path) as data:
        end = find_end(data, 0)
        while skips_pictures and end is not None and (further := _next_jpeg(data, end)) is not None:
            end = further
        rest = b"" if end is None else data[end : end + 64]
        if end is None or not (rest.strip(_PADDING) or data[end:].strip(_PADDING)):
            return ""
        return f"{text_from_bytes(size - end)} behind the end of the picture left out"


@contextmanager
def _content(path: Path) -> Iterator[_Data]:
    with path.open("rb") as file, ExitStack() as stack:
        data: _Data
        try:
            data = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except OSError:  # FUSE and 9p refuse it in some of their modes
            data = file.read()
        yield data


def _next_jpeg(data: _Data, at: int) -> int | None:
    """The end of the JPEG that begins at `at`, behind padding; None where none does."""
    begin = data.find(b"\xff\xd8\xff", at)
    if begin < 0 or data[at:begin].strip(_PADDING):
        return None
    return _jpeg_end(data, begin)


def _jpeg_end(data: _Data, at: int) -> int | None:
    """ITU-T T.81 §B.1.1: markers, most with a segment of a stated length; a scan's data has none."""
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1  # fill
        elif marker == _EOI:
            return at + 2
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
            if marker == _SOS:
                stop = _JPEG_STOP.search(data, at)
                if stop is None:
                    return None
                at = stop.start()
    return at + 2 if data[at : at + 2] == b"\xff\xd9" else None


def _png_end(data: _Data, at: int) -> int | None:
    at += 8
    while at + 12 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        at += 12 + size
        if kind == b"IEND":
            return at
    return None


def _riff_end(data: _Data, at: int) -> int | None:
    if len(data) < at + 8:
        return None
    length = int.from_bytes(data[at + 4 : at + 8], "little")
    return at + 8 + length + length % 2


def _gif_end(data: _Data, at: int) -> int | None:
    """GIF89a §17 to 27: extensions and pictures, each in blocks that state their length, then 3B."""
    if len(data) < at + 13:
        return None
    at += 13 + _table_bytes(data[at + 10])
    while at < len(data) and data[at] in b"!,":
        is_picture = data[at : at + 1] == b","
        if len(data) < at + 11:
            return None
        at += 11 + _table_bytes(data[at + 9]) if is_picture else 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return at + 1 if data[at : at + 1] == b";" else None


def _table_bytes(flags: int) -> int:
    return 3 * (2 << (flags & 7)) if flags & _GIF_TABLE else 0


def _boxes_end(data: _Data, at: int) -> int | None:
    """ISO/IEC 14496-12 §4.2: a length and a name; the first that cannot be a box begins what was appended."""
    if data[at + 4 : at + 8] not in (b"ftyp", b"JXL "):
        return None
    while at + 8 <= len(data):
        length, header = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, header = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if length == 0 and data[at + 4 : at + 8].isalnum():
            return None  # to the end of the file
        if length < header or at + length > len(data):
            break
        at += length
    return at


_ENDS: dict[str, Callable[[_Data, int], int | None]] = {
    "jpeg": _jpeg_end,
    "png": _png_end,
    "webp": _riff_end,
    "gif": _gif_end,
    "avif": _boxes_end,
    "heic": _boxes_end,
    "jxl": _boxes_end,
}

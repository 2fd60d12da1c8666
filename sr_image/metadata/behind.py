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

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from sr_core.wording import text_from_bytes

_PADDING = b"\0\xff\r\n \x1a"  # cameras and mail programs fill up with it
_JPEG_STOP = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # in entropy-coded data: not 00, a restart, or fill
_ALONE = range(0xD0, 0xD9)  # JPEG markers without a segment: restarts, start of image
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_GIF_TABLE = 0x80  # flag: a colour table follows, of 2 << (flags & 7) entries
_PIECE_BYTES = 1 << 14


def note_behind(path: Path, format_name: str, *, skips_pictures: bool = False) -> str:
    """What is left out behind the end of the picture at `path`, in words; '' for nothing.

    Args:
        skips_pictures: JPEGs behind a JPEG have been spoken of.
    """
    find_end = _ENDS.get(format_name)
    if find_end is None:
        return ""
    with path.open("rb") as file:
        data = _Data(file)
        end = find_end(data, 0)
        while skips_pictures and end is not None and (further := _next_jpeg(data, end)) is not None:
            end = further
        if end is None or data.skip_padding(end) is None:
            return ""
        return f"{text_from_bytes(len(data) - end)} behind the end of the picture left out"


class _Data:
    """The bytes of an open file, read where they are asked for.

    Not a map of it: where the file is cut short meanwhile, touching one ends the process (SIGBUS).
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, os.fstat(file.fileno()).st_size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, place: slice) -> bytes:
        self._file.seek(place.start)
        return self._file.read(place.stop - place.start)

    def byte(self, at: int) -> int:
        """The one at `at`; IndexError where the file ends before it."""
        return self[at : at + 1][0]

    def skip_padding(self, at: int) -> int | None:
        """The place of the first byte from `at` on that is no padding."""
        while piece := self[at : at + _PIECE_BYTES]:
            if rest := piece.lstrip(_PADDING):
                return at + len(piece) - len(rest)
            at += len(piece)
        return None

    def find_marker(self, at: int) -> int | None:
        """The place of the first marker from `at` on, in a JPEG's entropy-coded data."""
        while piece := self[at : at + _PIECE_BYTES]:
            if stop := _JPEG_STOP.search(piece):
                return at + stop.start()
            at += max(1, len(piece) - 1)  # a marker's second byte may be the next piece's first
        return None


def _next_jpeg(data: _Data, at: int) -> int | None:
    """The end of the JPEG that begins at `at`, behind padding; None where none does."""
    begin = data.skip_padding(at)  # which FF is taken for: at the second byte of its first marker
    if begin is None or begin == at or data[begin - 1 : begin + 2] != b"\xff\xd8\xff":
        return None
    return _jpeg_end(data, begin - 1)


def _jpeg_end(data: _Data, at: int) -> int | None:
    """ITU-T T.81 §B.1.1: markers, most with a segment of a stated length; a scan's data has none."""
    while at + 4 <= len(data):
        if data.byte(at) != 0xFF:
            return None
        marker = data.byte(at + 1)
        if marker == 0xFF:
            at += 1  # fill
        elif marker == _EOI:
            return at + 2
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
            if marker == _SOS:
                stop = data.find_marker(at)
                if stop is None:
                    return None
                at = stop
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
    at += 13 + _table_bytes(data.byte(at + 10))
    while data[at : at + 1] in (b"!", b","):
        is_picture = data[at : at + 1] == b","
        if len(data) < at + 11:
            return None
        at += 11 + _table_bytes(data.byte(at + 9)) if is_picture else 2
        while size := data[at : at + 1].strip(b"\0"):
            at += 1 + size[0]
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

"""Whether something is missing between two packets of a Matroska file: FFmpeg reads over it in silence.

Behind every element stands the next one. From the block of one packet the chain is followed to the
block of the next, where more lies between them than a block's own header:

    [block ░░░░][block ░░░░][duration][cluster [time][block ░░░░] ...
     last packet ↑           >--------------->        ↑ next packet
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from av.packet import Packet
from av.stream import Stream

from sr_video.read.damage import matroska_end, variable_size

_BLOCKS = (b"\xa3", b"\xa1")  # SimpleBlock, and Block in a BlockGroup; RFC 9559
_PARENTS = (b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\xa0")  # Segment, Cluster, BlockGroup
_HEADER_BYTES = 64  # so much may lie between two packets without a look at it


class MatroskaChain:
    """Give it every packet of the file `path`, in order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: tuple[int, int] | None = None  # where its data begin in the file, its size

    def restart(self) -> None:
        """The next packet does not follow the last one: after a seek."""
        self._last = None

    def is_broken_before(self, packet: Packet[Stream]) -> bool:
        """Whether the file does not lead from the last packet to this one."""
        if not packet.size or packet.pos is None or packet.pos < 0:
            return False
        last, self._last = self._last, (packet.pos, packet.size)
        if last is None or packet.pos - sum(last) <= _HEADER_BYTES:
            return False
        with (
            suppress(FileNotFoundError),
            self._path.open("rb") as file,
        ):  # removed: the run says so
            end = _end_of_block(file, last[0])
            return end is not None and _follow(file, end, packet.pos) != packet.pos
        return False

    def is_broken_at_end(self) -> bool:
        """Whether the file does not lead from the last packet to its end; a missing end is none."""
        if self._last is None:
            return False
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            until = matroska_end(file) or os.fstat(file.fileno()).st_size
            end = _end_of_block(file, self._last[0])
            return end is not None and _follow(file, end, until) < until
        return False


def _end_of_block(file: BinaryIO, begin: int) -> int | None:
    """Where the block ends whose content begins at `begin`; its size is written before it."""
    for length in range(1, 9):
        file.seek(begin - length - 1)
        if file.read(1) in _BLOCKS and (size := variable_size(file)) is not None and file.tell() == begin:
            return begin + size
    return None


def _follow(file: BinaryIO, begin: int, until: int) -> int:
    """Follow the elements from `begin` on: `until`, if the content of one begins there, or where that ends."""
    at = begin
    while at < until:
        file.seek(at)
        identifier = file.read(1)
        if not identifier:
            return until  # cut off
        if identifier[0] < 0x10:
            return at
        identifier += file.read(8 - identifier[0].bit_length())
        size = variable_size(file)
        content = file.tell()
        if content == until:
            return until
        if identifier in _PARENTS:
            at = content
        elif size is None:
            return at
        else:
            at = content + size
    return at

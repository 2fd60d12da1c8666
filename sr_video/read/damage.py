"""What is wrong with an input: what did not decode, and whether its end is missing.

FFmpeg reads a file that was cut off to its end and reports success. MP4, Matroska and AVI state
the length of their parts, so a missing tail is found exactly, without reading the file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from av.packet import Packet
from av.stream import Stream

from sr_core.wording import count_of, option
from sr_video.timing import text_from_seconds

SALVAGE_HINT = f"{option('salvage', True)} keeps what can be decoded"
# an MP4 whose index is at its end cannot be read from a server that only gives whole files
REMOTE_HINT = f"download it first: not every server gives the parts of a file; {SALVAGE_HINT}"
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
Lost = Callable[[str, "Packet[Stream] | None"], None]  # what is wrong, and with which packet, if with one
_MP4_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot")
_MP4_BOXES = (
    *_MP4_FIRST_BOXES,
    b"moof",
    b"mfra",
    b"sidx",
    b"ssix",
    b"uuid",
    b"meta",
    b"udta",
    b"emsg",
    b"prft",
    b"imda",
)


@dataclass(kw_only=True)
class Damage:
    """What was wrong with the input."""

    undecodable_packets: int = 0
    corrupt_frames: int = 0
    holes: int = 0
    ends_early: str = ""
    first_at_seconds: Fraction | None = None
    details: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.undecodable_packets or self.corrupt_frames or self.holes or self.ends_early)

    def __add__(self, other: Damage) -> Damage:
        """What two readers of one input found."""
        firsts = [time for time in (self.first_at_seconds, other.first_at_seconds) if time is not None]
        return Damage(
            undecodable_packets=self.undecodable_packets + other.undecodable_packets,
            corrupt_frames=self.corrupt_frames + other.corrupt_frames,
            holes=self.holes + other.holes,
            ends_early="; ".join(filter(None, (self.ends_early, other.ends_early))),
            first_at_seconds=min(firsts, default=None),
            details=self.details + other.details,
        )

    def __str__(self) -> str:
        parts: list[str] = []
        if self.undecodable_packets:
            parts.append(f"{count_of(self.undecodable_packets, 'packet', verb='does/do')} not decode")
        if self.corrupt_frames:
            parts.append(f"{count_of(self.corrupt_frames, 'frame', verb='is/are')} damaged")
        if self.holes:
            parts.append(f"{count_of(self.holes, 'hole')} in the file")
        if self.ends_early:
            parts.append(self.ends_early)
        if self.first_at_seconds is not None:
            parts.append(f"first at {text_from_seconds(self.first_at_seconds)}")
        return ", ".join(parts + [text for text in self.details[:1] if text not in parts])


TORN = "the file ends in the middle of a packet"


def note_torn(packet: Packet[Stream], torn: set[int]) -> None:
    """Keep in `torn` the streams whose last packet so far is not whole: FFmpeg hands it out, marked."""
    if packet.is_corrupt:
        torn.add(packet.stream_index)
    elif torn:
        torn.discard(packet.stream_index)


def missing_bytes(path: Path) -> int:
    """Bytes by which `path` is shorter than its own structure says; 0 where it says nothing, or is gone."""
    size, declared = 0, None
    with suppress(FileNotFoundError), path.open("rb") as file:
        size, head = os.fstat(file.fileno()).st_size, file.read(12)
        if head[:4] == _EBML:
            declared = matroska_end(file)
        elif head[:4] == b"RIFF":
            declared = 8 + int(struct.unpack_from("<I", head, 4)[0])
        elif head[4:8] in _MP4_FIRST_BOXES:
            declared = _mp4_end(file, size)
    return 0 if declared is None else max(0, declared - size)


def matroska_end(file: BinaryIO) -> int | None:
    """Where the first segment of `file` ends; None where its size is open, as in live recordings."""
    file.seek(4)
    header_bytes = variable_size(file)
    if header_bytes is None:
        return None
    file.seek(header_bytes, 1)
    if file.read(4) != _SEGMENT:
        return None
    body_bytes = variable_size(file)
    return None if body_bytes is None else file.tell() + body_bytes


def variable_size(file: BinaryIO) -> int | None:
    """An EBML size: the leading zero bits tell its length; all ones means unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big") & ((1 << (7 * length)) - 1)
    return None if value == (1 << (7 * length)) - 1 else value


def _mp4_end(file: BinaryIO, size: int) -> int | None:
    """Where the last box ends that begins inside the file; what else is there was appended, as ID3v1 tags are."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0: to the end of the file; less is no box
            return None
        at += length
        if at > size:
            return at if head[4:8] in _MP4_BOXES else None
    return None

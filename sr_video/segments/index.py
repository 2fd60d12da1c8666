"""When every frame of the input is shown, from its packets; read once, before the work.

Packets tell where frames begin without decoding one. All of them are read anyway, so their bytes
are hashed on the way: the fingerprint of the input.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from sr_core.errors import DamagedMedia
from sr_core.wording import count_of, option
from sr_video.native import last_words, native_path, reading
from sr_video.read.damage import SALVAGE_HINT, TORN, note_torn
from sr_video.read.source import Source
from sr_video.read.timestamps import WITHOUT_PTS

_REPORT_BYTES = 64 << 20
_MAX_READ_ERRORS = 50  # in a row, in a file that is to be salvaged


@dataclass(frozen=True, kw_only=True)
class Index:
    """The video's timestamps, in ticks of its stream.

    Attributes:
        ticks: when each packet's frame is shown, ascending.
        keys: those of keyframes, ascending.
        digest: over the packets of all streams.
        why_unusable: why the video cannot be cut, '' where it can.
    """

    ticks: array[int]
    keys: array[int]
    digest: str
    why_unusable: str


def read_index(
    source: Source, *, salvage: bool, report: Callable[[float], None], whole: frozenset[int] | None = None
) -> Index:
    """Read the input of `source` once, from end to end.

    Args:
        report: called with the share read.

    Raises:
        DamagedMedia: it cannot be read to its end, unless it is to be salvaged.
    """
    total = max(1, Path(source.path).stat().st_size)
    digest = hashlib.blake2b(digest_size=16)
    ticks, keys = array("q"), array("q")
    torn: set[int] = set()
    untimed = read = reported = 0
    with _open(source) as container:
        for packet in _packets(container, source, salvage=salvage):
            digest.update(f"{packet.stream_index} {packet.pts} {packet.dts} {packet.size} ".encode())
            digest.update(packet)
            read += packet.size
            note_torn(packet, torn)
            if read - reported >= _REPORT_BYTES:
                reported = read
                report(min(1.0, read / total))
            if packet.stream_index != source.facts.index or packet.is_discard:
                continue
            if packet.pts is None:
                untimed += 1
                continue
            ticks.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
        container_name = container.format.name
    if (torn if whole is None else torn & whole) and not salvage:
        raise DamagedMedia(f"{source.name} is damaged: {TORN}", hint=SALVAGE_HINT)
    ticks, keys = array("q", sorted(ticks)), array("q", sorted(keys))
    return Index(
        ticks=ticks,
        keys=keys,
        digest=digest.hexdigest(),
        why_unusable=_why_unusable(ticks, untimed=untimed, container_name=container_name),
    )


def _open(source: Source) -> InputContainer:
    with reading(f"cannot open {source.name}", kind=DamagedMedia):
        return av.open(native_path(source.path), "r")


def _packets(container: InputContainer, source: Source, *, salvage: bool) -> Iterator[Packet[Stream]]:
    wanted = [stream for stream in container.streams if stream.type != "attachment"]
    errors = 0
    while True:
        try:
            for packet in container.demux(wanted):
                errors = 0
                if packet.size:
                    yield packet
            return
        except av.FFmpegError as error:
            errors += 1
            if not salvage:
                raise DamagedMedia(
                    f"{source.name} cannot be read to its end: {last_words(error)}",
                    hint=f"{option('salvage', True)} keeps what can be decoded",
                ) from error
            if errors >= _MAX_READ_ERRORS:
                return


def _why_unusable(ticks: array[int], *, untimed: int, container_name: str) -> str:
    if container_name in WITHOUT_PTS:
        return f"{container_name} stores no presentation times"
    if untimed:
        return f"{count_of(untimed, 'frame', verb='has/have')} no time"
    if not ticks:
        return "it has no frames"
    doubles = sum(1 for first, second in pairwise(ticks) if first == second)
    return f"{count_of(doubles, 'frame', verb='has/have')} the time of another" if doubles else ""

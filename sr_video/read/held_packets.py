"""Packets of the streams to copy, held until the frame that follows them in the file."""

from __future__ import annotations

from fractions import Fraction

from av.packet import Packet
from av.stream import Stream

from sr_video.native import exact

MAX_PACKETS = 64  # so many without a frame among them are handed out by themselves


class HeldPackets:
    """Holds everything it is given until it is told what is wanted."""

    def __init__(self) -> None:
        self._packets: list[Packet[Stream]] = []
        self._wanted: frozenset[int] | None = None
        self._start: Fraction | None = None
        self._end: Fraction | None = None

    def want(self, indexes: frozenset[int], start: Fraction | None, end: Fraction | None) -> None:
        """Keep only packets of these streams that begin from `start` on and before `end`."""
        self._wanted, self._start, self._end = indexes, start, end
        self._packets = [packet for packet in self._packets if self._is_wanted(packet)]

    def add(self, packet: Packet[Stream]) -> None:
        """Hold `packet`, if it is wanted."""
        if self._is_wanted(packet):
            self._packets.append(packet)

    def take(self) -> tuple[Packet[Stream], ...]:
        """What is held, which then no longer is."""
        taken, self._packets = tuple(self._packets), []
        return taken

    def first_of(self, index: int) -> bytes | None:
        """The content of the first packet held of stream `index`."""
        return next((bytes(packet) for packet in self._packets if packet.stream_index == index), None)

    @property
    def is_full(self) -> bool:
        return len(self._packets) >= MAX_PACKETS

    def _is_wanted(self, packet: Packet[Stream]) -> bool:
        # not "pts is None": cover art has no time; only flush packets are empty
        return (
            packet.size > 0
            and (self._wanted is None or packet.stream_index in self._wanted)
            and begins_after(packet, self._start, default=True)
            and not begins_after(packet, self._end)
        )


def begins_after(packet: Packet[Stream], seconds: Fraction | None, *, default: bool = False) -> bool:
    """Whether `packet` begins at `seconds` or later; `default` where it or nobody says so."""
    stamp = packet.pts if packet.pts is not None else packet.dts
    if seconds is None or stamp is None:
        return default
    return stamp * exact(packet.time_base) >= seconds

"""The decoding times of copied packets: containers want them to rise and never to pass the time shown.

Matroska stores none. FFmpeg derives them from the times shown, but the first packets of a video that
reorders its pictures come before it knows by how much; these are held until the first known one:

    shown      0   80   40  120  160      ms, in decoding order
    decoded    -    -    0   40   80      as FFmpeg hands them out
             -80  -40    0   40   80      as they are written
"""

from __future__ import annotations

from array import array

from av.packet import Packet
from av.stream import Stream

_MOST_HELD = 32  # more than twice what H.264 and HEVC may reorder


class CopiedTimes:
    """Times of one copied stream. Packets go in rescaled for the output and come out in the same order.

    `shown` are the times of a video's pictures as they are written, to be verified.

    Args:
        is_video: pictures may be decoded in another order than shown.
        is_strict: decoding times must rise, not only never fall.
        begins_at_key: leave out what cannot be decoded before the first keyframe: the stream was cut.
    """

    def __init__(self, *, is_video: bool, is_strict: bool, begins_at_key: bool = False) -> None:
        self.is_video = is_video
        self._step = 1 if is_strict else 0
        self._waits_for_key = is_video and begins_at_key
        self._key_ticks: int | None = None
        self._held: list[Packet[Stream]] = []
        self._last: int | None = None
        self.shown = array("q")

    def timed(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """The packets that may be written now, none while they must wait."""
        if self._is_undecodable(packet):
            return []
        if self.is_video and packet.dts is None and self._last is None:
            self._held.append(packet)
            return self.rest() if len(self._held) == _MOST_HELD else []
        ready = self._release(packet.dts)
        self._order(packet)
        return [*ready, packet]

    def rest(self) -> list[Packet[Stream]]:
        """What still waits, where no packet ever had a decoding time. Call it at the end."""
        shown = [packet.pts for packet in self._held if packet.pts is not None]
        return self._release(min(shown, default=0))

    def _is_undecodable(self, packet: Packet[Stream]) -> bool:
        """Behind a cut: what comes before the first keyframe, and pictures shown before it."""
        if self._waits_for_key and packet.is_keyframe:
            self._waits_for_key, self._key_ticks = False, packet.pts
        if self._waits_for_key:
            return True
        return self._key_ticks is not None and packet.pts is not None and packet.pts < self._key_ticks

    def _release(self, first_known: int | None) -> list[Packet[Stream]]:
        ready, self._held = self._held, []
        step = max((packet.duration or 1 for packet in ready), default=1)
        for before, packet in enumerate(reversed(ready), 1):
            packet.dts = (first_known or 0) - before * step
        for packet in ready:
            self._order(packet)
        return ready

    def _order(self, packet: Packet[Stream]) -> None:
        """Broken inputs have decoding times that fall; only theirs are changed."""
        if packet.dts is None:
            packet.dts = packet.pts if self._last is None or not self.is_video else self._last + self._step
        if self._last is not None and packet.dts is not None and packet.dts < self._last + self._step:
            packet.dts = self._last + self._step
        if packet.dts is not None:
            self._last = packet.dts
            if packet.pts is not None:
                packet.pts = max(packet.pts, packet.dts)
        if self.is_video and packet.pts is not None and packet.size:
            self.shown.append(packet.pts)

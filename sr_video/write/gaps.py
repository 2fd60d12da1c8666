"""Times that jump further ahead than MP4 can store: there, a packet lasts until the next one begins.

FFmpeg's muxer would give such a packet another time, or refuse it as "not yet implemented".
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from av.packet import Packet
from av.stream import Stream

from sr_core.errors import BadInput
from sr_core.wording import option
from sr_video.decide.containers import OutputFormat
from sr_video.native import exact
from sr_video.timing import text_from_seconds

_MP4_TICKS = 2**31 - 1  # an INT_MAX in movenc.c, check_pkt


class Gaps:
    """Looks at every packet of one output before it is written."""

    def __init__(self, container: OutputFormat) -> None:
        self._container = container
        self._latest: dict[int, Fraction] = {}

    def check(self, packet: Packet[Any], target: Stream) -> None:
        """Refuse a packet for `target` that comes too long after the one before.

        Raises:
            BadInput: MP4 cannot store the time between them.
        """
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None or not self._container.is_mp4_like:
            return
        seconds = stamp * exact(packet.time_base)
        latest = self._latest.get(target.index, seconds)
        self._latest[target.index] = max(latest, seconds)  # clocks that jump back are held there (`CopiedTimes`)
        self.refuse(seconds - latest, target)

    def refuse(self, gap: Fraction, target: Stream) -> None:
        """Refuse so many seconds between two packets for `target`, where they are more than it can store.

        Raises:
            BadInput: they are.
        """
        if self._container.is_mp4_like and gap >= _MP4_TICKS * exact(target.time_base):
            raise BadInput(
                f"the times of the input jump by {text_from_seconds(gap)}, more than {self._container.muxer} can store",
                hint="write .mkv, or upscale what comes before and after the jump by itself "
                f"({option('end')}, {option('start')})",
            )

"""What a source hands out: a decoded frame whose planes stay where they lie, and the packets before it."""

from __future__ import annotations

from dataclasses import dataclass

import av
from av.packet import Packet
from av.stream import Stream

from sr_core.color import ColorSpec
from sr_core.frame import Device, GivenPlanes, PixelFormat
from sr_video.pixels import planes_of
from sr_video.read.device_frames import drop_edges, on_host, planes_on


@dataclass(frozen=True, kw_only=True)
class SourceFrame:
    """One decoded frame. Planes are views into `native`, which must be kept while they are used.

    Attributes:
        hidden: columns at the left and rows at the top of `native` that are not the picture's.
    """

    format: PixelFormat
    color: ColorSpec
    ticks: int
    duration_ticks: int
    native: av.VideoFrame
    hidden: tuple[int, int] = (0, 0)

    def planes(self, device: Device | None = None) -> GivenPlanes:
        """The planes where they lie, if that is `device`; otherwise in ordinary memory, downloaded if need be."""
        found: GivenPlanes | None = None
        if device is not None:
            found = planes_on(device, self.native, self.format)
        if found is None:
            found = planes_of(on_host(self.native), self.format)
        return drop_edges(found, self.format, self.hidden)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What the pipeline carries: packets to copy, then a frame."""

    frame: SourceFrame | None
    packets: tuple[Packet[Stream], ...]

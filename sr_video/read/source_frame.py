"""What a source hands out: a decoded frame whose planes stay where they lie, and the packets before it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
from av.packet import Packet
from av.stream import Stream

from sr_core.color import ColorSpec
from sr_core.errors import BadInput
from sr_core.frame import Device, GivenPlanes, PixelFormat, Planes
from sr_core.wording import option
from sr_video.pixels import planes_of
from sr_video.read.device_frames import drop_edges, on_host, planes_on
from sr_video.read.facts import VideoFacts


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
        found = None if device is None else planes_on(device, self.native, self.format)
        return self.planes_in_memory() if found is None else drop_edges(found, self.format, self.hidden)

    def planes_in_memory(self) -> Planes:
        """The planes as arrays."""
        return cast("Planes", drop_edges(planes_of(on_host(self.native), self.format), self.format, self.hidden))


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What the pipeline carries: packets to copy, then a frame.

    Attributes:
        is_beside: the frame is not wanted itself; it is the one before, or after, those that are.
    """

    frame: SourceFrame | None
    packets: tuple[Packet[Stream], ...]
    is_beside: bool = False


def size_changes(facts: VideoFacts, width: int, height: int, *, seconds: Fraction) -> BadInput:
    """The error of a frame that has not the size of the first."""
    at = f"{(seconds * 1000).__floor__() / 1000:.3f}"  # rounded down: the hint must cut before it
    return BadInput(
        f"the picture changes from {facts.width}x{facts.height} to {width}x{height} at {at}",
        hint=f"{option('end', at)} upscales the part before; what follows must be a file of its own",
    )

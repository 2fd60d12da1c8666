"""Text subtitles from one codec to another, event by event, with their times and styles."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext

from sr_video.native import exact, last_words
from sr_video.read.damage import Lost
from sr_video.timing import ticks_from_seconds

_MILLISECOND = Fraction(1, 1000)


class SubtitleConverter:
    """Decodes packets of one input stream and encodes them for a stream it adds to `container`.

    Args:
        lost: told of what does not decode; raises where that ends the work.
    """

    def __init__(self, container: OutputContainer, source: Stream, codec: str, lost: Lost) -> None:
        self._lost = lost
        self._waiting: Packet[Stream] | None = None
        self._may_overlap = codec != "mov_text"
        self._name = f"subtitle stream {source.index}"
        self._decoder = cast(SubtitleCodecContext, source.codec_context)
        self.stream: Stream = container.add_stream(codec)
        self.stream.time_base = _MILLISECOND
        self._encoder = cast(SubtitleCodecContext, self.stream.codec_context)
        self._encoder.time_base = _MILLISECOND
        self._decoder.open(strict=False)
        self._encoder.subtitle_header = self._decoder.subtitle_header

    def convert(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """Yield the packet for the output; nothing for an event without text."""
        if packet.pts is None or not packet.size:
            return
        try:
            events = self._decoder.decode2(packet)
            if events is None or not len(events):
                return
            out = self._encoder.encode_subtitle(events)
        except av.FFmpegError as error:
            self._lost(f"{self._name} does not decode: {last_words(error)}", packet)
            return
        base = exact(packet.time_base)
        out.pts = out.dts = ticks_from_seconds(packet.pts * base, _MILLISECOND)
        out.duration = ticks_from_seconds((packet.duration or 0) * base, _MILLISECOND)
        out.time_base = _MILLISECOND
        if self._may_overlap:
            yield out
            return
        yield from self._end_by(out)

    def finish(self) -> Iterator[Packet[Stream]]:
        """The event that still waits for the next, if any."""
        if self._waiting is not None:
            yield self._waiting
            self._waiting = None

    def _end_by(self, out: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """The event before, which ends where `out` begins: MP4 would begin the later one when the earlier ends."""
        before, self._waiting = self._waiting, out
        if before is not None:
            if before.pts is not None and out.pts is not None and before.duration:
                before.duration = max(1, min(before.duration, out.pts - before.pts))
            yield before

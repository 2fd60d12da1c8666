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

from sr_core.media.damage import Lost
from sr_core.media.native import exact, last_words
from sr_core.timing import ticks_from_seconds

_MILLISECOND = Fraction(1, 1000)


class SubtitleConverter:
    """Decodes packets of one input stream and encodes them for a stream it adds to `container`.

    Args:
        lost: told of what does not decode; raises where that ends the work.
    """

    def __init__(self, container: OutputContainer, source: Stream, codec: str, lost: Lost) -> None:
        self._lost = lost
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
        yield out

    def finish(self) -> Iterator[Packet[Stream]]:
        """Nothing: every event was converted when it came."""
        yield from ()

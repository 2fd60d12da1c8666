"""Sound the output cannot hold as it is: converted without further loss rather than left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from sr_core.errors import DamagedMedia
from sr_core.media.native import last_words

_DEEP_FORMATS = ("s32", "s32p", "s64", "s64p")  # decoded from 24 bits and more
_OPUS_RATE = 48000
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_ALAC_LAYOUTS = _LAYOUTS | {4: "4.0", 7: "6.1(back)", 8: "7.1(wide)"}


class SoundConverter:
    """Decodes packets of one input stream and encodes them for a stream it adds to `container`."""

    def __init__(self, container: OutputContainer, source: Stream, codec: str) -> None:
        self._name = f"sound stream {source.index}"
        self._decoder = cast(AudioCodecContext, source.codec_context)
        rate = _OPUS_RATE if codec == "libopus" else self._decoder.sample_rate
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        self.stream = stream
        self._encoder = stream.codec_context
        layouts = _ALAC_LAYOUTS if codec == "alac" else _LAYOUTS
        # by number of channels: some decoders know no more, and encoders take one layout for each
        self._encoder.layout = layouts.get(self._decoder.channels, self._decoder.layout.name)
        self._encoder.format = _sample_format(codec, self._decoder.format.name)

    def convert(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """Yield the packets that one packet of the input gives.

        Raises:
            DamagedMedia: sound that does not decode.
        """
        try:
            for frame in self._decoder.decode(packet):
                yield from cast("list[Packet[Stream]]", self._encoder.encode(frame))
        except av.FFmpegError as error:
            raise DamagedMedia(f"{self._name} does not decode: {last_words(error)}") from error

    def finish(self) -> Iterator[Packet[Stream]]:
        """What decoder and encoder still hold. Call it once."""
        for frame in self._decoder.decode(None):
            yield from cast("list[Packet[Stream]]", self._encoder.encode(frame))
        yield from cast("list[Packet[Stream]]", self._encoder.encode(None))


def _sample_format(codec: str, decoded: str) -> str:
    """24 bits stay, everything else becomes 16: what lossy codecs decode to holds no more."""
    if codec == "libopus":
        return "flt"
    depth = "s32" if decoded in _DEEP_FORMATS else "s16"
    return f"{depth}p" if codec == "alac" else depth

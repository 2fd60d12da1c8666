"""Sound the output cannot hold as it is: converted rather than left out, losing at most what `decide.sound` says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from sr_core.errors import BadInput
from sr_video.decide.sound import is_true_float
from sr_video.native import exact, last_words
from sr_video.read.damage import Lost
from sr_video.timing import ticks_from_seconds

_DEEP_FORMATS = ("s32", "s32p", "s64", "s64p")  # decoded from 24 bits and more
_OPUS_RATE = 48000
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_ALAC_LAYOUTS = _LAYOUTS | {4: "4.0", 7: "6.1(back)", 8: "7.1(wide)"}


class SoundConverter:
    """Decodes packets of one input stream and encodes them for a stream it adds to `container`.

    Args:
        lost: told of what does not decode; raises where that ends the work.
    """

    def __init__(self, container: OutputContainer, source: Stream, codec: str, lost: Lost) -> None:
        self._lost = lost
        self._shape: tuple[str, str, int] | None = None
        self._name = f"sound stream {source.index}"
        self._decoder = cast(AudioCodecContext, source.codec_context)
        self._open()
        rate = _OPUS_RATE if codec == "libopus" else self._decoder.sample_rate
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        self.stream = stream
        self._encoder = stream.codec_context
        layouts = _ALAC_LAYOUTS if codec == "alac" else _LAYOUTS
        # by number of channels: some decoders know no more, and encoders take one layout for each
        self._encoder.layout = layouts.get(self._decoder.channels, self._decoder.layout.name)
        self._encoder.format = _sample_format(codec, self._decoder)

    def _open(self) -> None:
        """Open the decoder, which needs what some containers do not carry.

        Raises:
            BadInput: it does not open, or says nothing of its samples.
        """
        try:
            if not self._decoder.is_open:
                self._decoder.open()
        except (av.FFmpegError, ValueError) as error:
            raise BadInput(f"its decoder does not open: {last_words(error)}") from error
        if self._decoder.format is None:
            raise BadInput("its decoder does not say what its samples are")

    def convert(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """Yield the packets that one packet of the input gives."""
        yield from self._encode_packet(packet)

    def finish(self) -> Iterator[Packet[Stream]]:
        """What decoder and encoder still hold. Call it once."""
        yield from self._encode_packet(None)
        yield from cast("list[Packet[Stream]]", self._encoder.encode(None))

    def _encode_packet(self, packet: Packet[Stream] | None) -> Iterator[Packet[Stream]]:
        try:
            for decoded in self._decoder.decode(packet):
                for frame in self._uniform(decoded):
                    yield from cast("list[Packet[Stream]]", self._encoder.encode(frame))
        except av.FFmpegError as error:
            self._lost(f"{self._name} does not decode: {last_words(error)}", packet)

    def _uniform(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        """`frame` as the first one was: broadcasts change from stereo to 5.1, and damaged headers change all."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        self._shape = self._shape or shape
        if shape == self._shape:
            return [frame]
        base = frame.time_base
        resampler = av.AudioResampler(*self._shape)
        alike = [*resampler.resample(frame), *resampler.resample(None)]
        for part in alike:  # whose clock ticks once a sample
            if part.pts is not None:
                part.pts = ticks_from_seconds(part.pts * exact(part.time_base), exact(base))
            part.time_base = base
        return alike


def _sample_format(codec: str, decoder: AudioCodecContext) -> str:
    """24 bits, the most there is, where there may be more than 16: what lossy codecs decode to holds no more."""
    if codec == "libopus":
        return "flt"
    depth = "s32" if decoder.format.name in _DEEP_FORMATS or is_true_float(decoder) else "s16"
    return f"{depth}p" if codec == "alac" else depth

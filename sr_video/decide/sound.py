"""What sound loses when an output cannot hold it as it is."""

from __future__ import annotations

from av.audio.codeccontext import AudioCodecContext
from av.codec.context import CodecContext
from av.stream import Stream

_FLOAT_FORMATS = ("flt", "fltp", "dbl", "dblp")


def rounding(stream: Stream, codec: str) -> str:
    """What people should know of the samples when sound becomes `codec`; '' for nothing."""
    return " (floating point becomes 24 bits)" if codec != "libopus" and is_true_float(stream.codec_context) else ""


def is_true_float(decoder: CodecContext | None) -> bool:
    """Floating point in the file itself; lossy codecs only decode to it."""
    if not isinstance(decoder, AudioCodecContext) or not decoder.codec.lossless:
        return False
    return decoder.format is not None and decoder.format.name in _FLOAT_FORMATS

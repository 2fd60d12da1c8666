"""How hard a video was compressed: what x264 was asked for, else the quantizer, else bits a pixel.

On nine clips coded by x264 (benchmarks/compression_threshold.py prints such a table), the mean quantizer is 11 to 28 at
crf 20 and 30 to 36 at crf 28, but 19 where the picture stands still: hence the rate factor first. From crf 28 on
restore is closer to the truth in luma, color and structure and flickers a third less (benchmarks/picture.py); on clean
input clear keeps more.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import av
from av.video.stream import VideoStream

from sr_video.native import exact, is_local, native_path
from sr_video.read.compression import measure_quantizer, read_rate_factor

Hardness = Literal["clean", "some", "hard"]
_FACTOR_SOME, _FACTOR_HARD = 22, 28  # x264's crf: 23 is its default, 18 "looks lossless"
_QP_SOME, _QP_HARD = 24, 29  # the quantizer's step doubles every 6
# bits a pixel of other codecs that look as H.264 at those quantizers does, by their usual savings
_BITS_HARD = {"hevc": 0.02, "av1": 0.015, "vp9": 0.02, "mpeg2video": 0.1, "mpeg4": 0.06, "vp8": 0.04}
_BITS_DEFAULT = 0.03
_SOME_OVER_HARD = 2.5


@dataclass(frozen=True, kw_only=True)
class Compression:
    """What was found.

    Attributes:
        rate_factor: x264's crf, where x264 wrote it; None elsewhere.
        quantizer: mean of H.264's quantizer, 0 to 51; None where the decoder does not tell it.
        bits_per_pixel: of the video stream; None where no bit rate is known.
    """

    hardness: Hardness
    quantizer: float | None
    bits_per_pixel: float | None
    rate_factor: float | None = None

    @property
    def measured(self) -> str:
        """What `hardness` rests on, in words; '' for bits a pixel, which say little of a single video."""
        if self.rate_factor is not None:
            return f"x264 at crf {self.rate_factor:g}"
        return "" if self.quantizer is None else f"mean quantizer {self.quantizer:.0f} of 51"


def compression_of(path: str, index: int | None = None) -> Compression:
    """Look at stream `index`, or at the best video; never raises for a damaged file, which shows later.

    What is no file of this machine (pipes, also by name, and URLs) is not read and counts as clean.
    """
    unknown = Compression(hardness="clean", quantizer=None, bits_per_pixel=None)
    if not is_local(path) or not os.path.isfile(path):
        return unknown
    with suppress(av.FFmpegError, OSError), av.open(native_path(path)) as container:
        stream = container.streams.best("video") if index is None else container.streams[index]
        if not isinstance(stream, VideoStream) or stream.codec_context is None:
            return unknown
        rate = stream.codec_context.bit_rate or (container.bit_rate if len(container.streams) == 1 else 0)
        pixels = stream.width * stream.height * float(exact(stream.average_rate) if stream.average_rate else 25)
        bits = rate / pixels if rate and pixels else None
        codec = stream.codec_context.name
        quantizer, factor = measure_quantizer(path), read_rate_factor(path)
        hardness = _hardness(codec, factor, quantizer, bits)
        return Compression(hardness=hardness, quantizer=quantizer, bits_per_pixel=bits, rate_factor=factor)
    return unknown


def _hardness(codec: str, factor: float | None, quantizer: float | None, bits: float | None) -> Hardness:
    if factor is not None:
        return "hard" if factor >= _FACTOR_HARD else "some" if factor >= _FACTOR_SOME else "clean"
    if quantizer is not None:
        return "hard" if quantizer >= _QP_HARD else "some" if quantizer >= _QP_SOME else "clean"
    if bits is None:
        return "clean"
    hard = _BITS_HARD.get(codec, _BITS_DEFAULT)
    return "hard" if bits <= hard else "some" if bits <= hard * _SOME_OVER_HARD else "clean"

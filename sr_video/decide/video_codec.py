"""What is known of one encoder: the row of `codecs.VIDEO_CODECS` and of `hardware_encoders`."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class VideoCodec:
    """One encoder.

    Attributes:
        encoder: FFmpeg's name; users type the key of `VIDEO_CODECS`.
        codec: what it writes, FFmpeg's canonical name.
        quality_option: '' where there is none (lossless, or by profile).
        quality_also: further options that get the quality's value.
        quality_worst: the largest value that means something; x264 and x265 take more and use this.
        pix_fmts: those we use; () for all the encoder lists.
        takes_odd: subsampled chroma at odd sizes.
        limited_only: it cannot say that its samples use the full range.
        fixed: options always set.
        presets: their names; () where they are numbers. A number is passed on everywhere.
        needs: what a hardware encoder stands and falls with, for people; '' for those that run anywhere.
        device_option: the option that takes a GPU's number; '' where there is none.
        largest: width and height beyond which it refuses; None where nobody met a limit.
        fastest_rate: frames a second beyond which it refuses; the rate only steers its rate control.
    """

    encoder: str
    codec: str
    quality_option: str = ""
    quality_default: str = ""
    quality_also: tuple[str, ...] = ()
    quality_worst: float = math.inf
    preset_option: str = ""
    preset_default: str = ""
    pix_fmts: tuple[str, ...] = ()
    takes_odd: bool = False
    limited_only: bool = False
    fixed: tuple[tuple[str, str], ...] = ()
    captions_option: str = ""
    largest: tuple[int, int] | None = None
    fastest_rate: int | None = None
    presets: tuple[str, ...] = ()
    needs: str = ""
    device_option: str = ""

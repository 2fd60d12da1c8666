"""Encoders that a graphics card has: one table, and whether each opens here.

    NVIDIA  h264_nvenc hevc_nvenc av1_nvenc     constant quality `cq`
    Intel   h264_qsv hevc_qsv av1_qsv           `global_quality`, which is QSV's ICQ where no bit rate is given
    AMD     h264_amf hevc_amf av1_amf           constant quantizers, of I and P frames alike
    Apple   h264_videotoolbox hevc_videotoolbox FFmpeg's qscale, 118 times 1..100 of which 100 is best

Names, options and formats are those of PyAV 19's FFmpeg (tests look them up). Nothing here ran on a card. They take
frames from ordinary memory, NVENC also from its card (`sr_video.decide.card_frames`). `--crf` is their quality option,
smaller is better, on each one's own scale.
"""

from __future__ import annotations

from fractions import Fraction

import av
from av.codec.codec import Codec, UnknownCodecError

from sr_video.decide.video_codec import VideoCodec
from sr_video.native import last_words, logged

_NVENC_PRESETS = tuple("p1 p2 p3 p4 p5 p6 p7 slow medium fast".split())
_QSV_PRESETS = tuple("veryfast faster fast medium slow slower veryslow".split())
_AMF_PRESETS = tuple("speed balanced quality".split())
_APPLE_QUALITY = (("flags", "+qscale"), ("global_quality", str(118 * 65)))  # FF_QP2LAMBDA times Apple's 65 of 100
_TRIAL_SIZE = (256, 144)  # NVENC's least width is 145, for HEVC 129x33


def _nvenc(codec: str, quality: str, side: int, *pix_fmts: str) -> VideoCodec:
    return VideoCodec(
        encoder=f"{codec}_nvenc",
        codec=codec,
        quality_option="cq",
        quality_default=quality,
        quality_worst=51,
        preset_option="preset",
        preset_default="p5",
        presets=_NVENC_PRESETS,
        pix_fmts=pix_fmts,
        needs="an NVIDIA GPU and driver 570 or newer",
        device_option="gpu",
        largest=(side, side),
    )


def _qsv(codec: str, quality: str, *pix_fmts: str) -> VideoCodec:
    return VideoCodec(
        encoder=f"{codec}_qsv",
        codec=codec,
        quality_option="global_quality",
        quality_default=quality,
        quality_worst=51,
        preset_option="preset",
        preset_default="slow",
        presets=_QSV_PRESETS,
        pix_fmts=pix_fmts,
        needs="an Intel GPU and its media driver (Linux: intel-media-va-driver-non-free and libmfx-gen1.2)",
    )


def _amf(codec: str, quality: str, worst: int, *pix_fmts: str) -> VideoCodec:
    return VideoCodec(
        encoder=f"{codec}_amf",
        codec=codec,
        quality_option="qp_i",
        quality_also=("qp_p",),
        quality_default=quality,
        quality_worst=worst,
        preset_option="quality",
        preset_default="quality",
        presets=_AMF_PRESETS,
        pix_fmts=pix_fmts,
        fixed=(("rc", "cqp"),),
        needs="an AMD GPU and its driver with AMF (Linux: amf-amdgpu-pro)",
    )


def _videotoolbox(codec: str, *pix_fmts: str) -> VideoCodec:
    return VideoCodec(
        encoder=f"{codec}_videotoolbox",
        codec=codec,
        pix_fmts=pix_fmts,
        fixed=_APPLE_QUALITY,
        needs="a Mac with Apple silicon",
    )


HARDWARE_ENCODERS: dict[str, VideoCodec] = {
    row.encoder: row
    for row in (
        _nvenc("h264", "19", 4096, "yuv420p", "nv12", "yuv444p"),
        _nvenc("hevc", "21", 8192, "yuv420p", "nv12", "p010le", "yuv444p"),
        _nvenc("av1", "26", 8192, "yuv420p", "nv12", "p010le"),
        _qsv("h264", "19", "nv12"),
        _qsv("hevc", "21", "nv12", "p010le"),
        _qsv("av1", "24", "nv12", "p010le"),
        _amf("h264", "20", 51, "nv12"),
        _amf("hevc", "22", 51, "nv12", "p010le"),
        _amf("av1", "90", 255, "nv12", "p010le"),
        _videotoolbox("h264", "nv12"),
        _videotoolbox("hevc", "nv12", "p010le"),
    )
}
_NO_VAAPI = "PyAV's wheels have no VA-API encoders; on Intel QSV reaches the same hardware, on AMD AMF does"
ELSEWHERE = dict.fromkeys(("h264_vaapi", "hevc_vaapi", "av1_vaapi"), _NO_VAAPI)


def why_not_here(row: VideoCodec) -> str:
    """Why `row` does not open on this machine, in FFmpeg's words; '' where it does. Tries it."""
    try:
        Codec(row.encoder, "w")
    except UnknownCodecError:
        return "not in this build of FFmpeg"
    context = av.CodecContext.create(row.encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = _TRIAL_SIZE
    context.pix_fmt, context.time_base, context.framerate = row.pix_fmts[0], Fraction(1, 25), Fraction(25)
    context.options = dict(row.fixed)
    try:
        with logged():
            context.open()
    except (av.FFmpegError, OSError, ValueError, NotImplementedError) as error:
        return last_words(error)
    return ""

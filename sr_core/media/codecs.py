"""The encoders we know: how they name quality, what they hold, what they refuse.

Any other encoder in PyAV's FFmpeg is refused by name rather than run with settings nobody tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from av.codec.codec import Codec, UnknownCodecError

from sr_core.errors import BadInput, NotAvailable
from sr_core.frame import PixelFormat, rgb
from sr_core.media.pixels import excess_between, loss_between, pixel_format

_STORED_AS = {"bgr0": rgb()}  # formats only encoders use


@dataclass(frozen=True, kw_only=True)
class VideoCodec:
    """One encoder.

    Attributes:
        encoder: FFmpeg's name; users type the key of `VIDEO_CODECS`.
        codec: what it writes, FFmpeg's canonical name.
        quality_option: '' where there is none (lossless, or by profile).
        quality_worst: the largest value that means something; x264 and x265 take more and use this.
        pix_fmts: those we use; () for all the encoder lists.
        takes_odd: subsampled chroma at odd sizes.
        limited_only: it cannot say that its samples use the full range.
        fixed: options always set.
        fastest_rate: frames a second beyond which it refuses; the rate only steers its rate control.
    """

    encoder: str
    codec: str
    quality_option: str = ""
    quality_default: str = ""
    quality_worst: float = math.inf
    preset_option: str = ""
    preset_default: str = ""
    pix_fmts: tuple[str, ...] = ()
    takes_odd: bool = False
    limited_only: bool = False
    fixed: tuple[tuple[str, str], ...] = ()
    captions_option: str = ""
    fastest_rate: int | None = None


_NVENC_FMTS = ("yuv420p", "p010le", "yuv444p")
VIDEO_CODECS: dict[str, VideoCodec] = {
    "libx264": VideoCodec(
        encoder="libx264",
        codec="h264",
        quality_option="crf",
        quality_default="18",
        quality_worst=51,
        preset_option="preset",
        preset_default="medium",
        captions_option="a53cc",
    ),
    "libx265": VideoCodec(
        encoder="libx265",
        codec="hevc",
        quality_option="crf",
        quality_default="20",
        quality_worst=51,
        preset_option="preset",
        preset_default="medium",
        captions_option="a53cc",
        fixed=(("a53cc", "1"),),  # off by default, unlike x264's
    ),
    "libsvtav1": VideoCodec(
        encoder="libsvtav1",
        codec="av1",
        quality_option="crf",
        quality_default="24",
        preset_option="preset",
        preset_default="8",
        takes_odd=True,
        fastest_rate=240,
    ),
    "ffv1": VideoCodec(
        encoder="ffv1",
        codec="ffv1",
        takes_odd=True,
        fixed=(("level", "3"), ("slicecrc", "1")),
    ),
    "prores": VideoCodec(
        encoder="prores_ks",
        codec="prores",
        limited_only=True,
        fixed=(("vendor", "apl0"),),
    ),
    "h264_nvenc": VideoCodec(
        encoder="h264_nvenc",
        codec="h264",
        quality_option="cq",
        quality_default="19",
        preset_option="preset",
        preset_default="p5",
        pix_fmts=("yuv420p", "yuv444p"),
    ),
    "hevc_nvenc": VideoCodec(
        encoder="hevc_nvenc",
        codec="hevc",
        quality_option="cq",
        quality_default="21",
        preset_option="preset",
        preset_default="p5",
        pix_fmts=_NVENC_FMTS,
    ),
    "av1_nvenc": VideoCodec(
        encoder="av1_nvenc",
        codec="av1",
        quality_option="cq",
        quality_default="26",
        preset_option="preset",
        preset_default="p5",
        pix_fmts=("yuv420p", "p010le"),
    ),
}
_ALIASES = {"x264": "libx264", "h264": "libx264", "x265": "libx265", "hevc": "libx265", "h265": "libx265"}
_ALIASES |= {"av1": "libsvtav1", "svtav1": "libsvtav1", "prores_ks": "prores"}


def video_codec(name: str) -> VideoCodec:
    """The codec users call `name`.

    Raises:
        BadInput: a name we do not know.
        NotAvailable: known, but missing from this build of FFmpeg.
    """
    known = VIDEO_CODECS.get(_ALIASES.get(name, name))
    if known is None:
        raise BadInput(f"unknown codec {name!r}", hint=f"choose one of: {', '.join(VIDEO_CODECS)}")
    try:
        Codec(known.encoder, "w")
    except UnknownCodecError as error:
        raise NotAvailable(
            f"this build of FFmpeg has no encoder {known.encoder}", hint="install PyAV's own wheel"
        ) from error
    return known


def stored_format(pix_fmt: str) -> PixelFormat | None:
    """Our format for a pixel format that an encoder takes."""
    return _STORED_AS.get(pix_fmt) or pixel_format(pix_fmt)


def encoder_pix_fmts(codec: VideoCodec) -> tuple[str, ...]:
    """The pixel formats of `codec` that we can fill, alpha and deprecated ones left out."""
    listed = codec.pix_fmts or tuple(fmt.name for fmt in Codec(codec.encoder, "w").video_formats or ())
    return tuple(
        name for name in listed if stored_format(name) is not None and not name.startswith(("yuvj", "yuva", "gbrap"))
    )


def choose_pix_fmt(
    codec: VideoCodec, source: PixelFormat, *, width: int, height: int, wanted: str | None = None
) -> tuple[str, tuple[str, ...]]:
    """The pixel format to encode in, and what people should know about the choice.

    Keeps depth and chroma resolution where the encoder can; 4:2:0 at an odd size becomes 4:4:4
    in codecs that cannot cut a chroma sample in half, because cropping or padding would be a loss.

    Raises:
        BadInput: `wanted` is not one of the encoder's formats, or cannot hold this size.
    """
    names = encoder_pix_fmts(codec)
    fitting = [name for name in names if codec.takes_odd or _holds_size(name, width, height)]
    if wanted is not None:
        if wanted not in names:
            raise BadInput(f"{codec.encoder} does not encode {wanted}", hint=f"choose one of: {', '.join(names)}")
        if wanted not in fitting:
            raise BadInput(
                f"{codec.encoder} cannot store {width}x{height} as {wanted}: the size is odd",
                hint="set an even --width and --height, or --pix-fmt yuv444p",
            )
        return wanted, loss_between(source, _stored(wanted))
    if not fitting:
        raise BadInput(
            f"{codec.encoder} cannot store the odd size {width}x{height}",
            hint="set an even --width and --height, or --codec libsvtav1",
        )
    best = min(fitting, key=lambda name: _cost(source, name))
    notes = list(loss_between(source, _stored(best)))
    if min(names, key=lambda name: _cost(source, name)) not in fitting:
        notes.append(
            f"{width}x{height} is odd, which {codec.codec} cannot store with subsampled chroma: "
            f"stored as {best} (--codec libsvtav1 keeps {source}; an even --width makes it 4:2:0)"
        )
    return best, tuple(notes)


def _stored(name: str) -> PixelFormat:
    fmt = stored_format(name)
    assert fmt is not None  # encoder_pix_fmts has seen to it
    return fmt


def _cost(source: PixelFormat, name: str) -> tuple[int, int]:
    return len(loss_between(source, _stored(name))), excess_between(source, _stored(name))


def _holds_size(name: str, width: int, height: int) -> bool:
    across, down = _stored(name).subsampling
    return width % across == 0 and height % down == 0


def encoder_options(
    codec: VideoCodec, *, crf: float | None, preset: str | None, pix_fmt: str, user: dict[str, str]
) -> dict[str, str]:
    """All options for the encoder; what the user gave wins.

    Raises:
        BadInput: --crf or --preset for an encoder that has no such thing, or not that far; two rate controls.
    """
    options = dict(codec.fixed)
    if crf is not None and not codec.quality_option:
        raise BadInput(f"{codec.encoder} has no quality setting", hint="leave --crf out")
    if crf is not None and crf > codec.quality_worst:
        raise BadInput(
            f"--crf {crf:g} is beyond {codec.encoder}'s worst, {codec.quality_worst:g}",
            hint=f"smaller is better; the default is {codec.quality_default}",
        )
    rivals = {codec.quality_option} | ({"b", "qp"} if codec.quality_option == "crf" else set())
    for key in sorted(rivals & user.keys() if crf is not None else ()):
        raise BadInput(f"--crf {crf:g} and -o {key}={user[key]} exclude each other", hint="leave one of them out")
    if preset is not None and not codec.preset_option:
        raise BadInput(f"{codec.encoder} has no presets", hint="leave --preset out")
    if codec.quality_option:
        options[codec.quality_option] = codec.quality_default if crf is None else f"{crf:g}"
    if codec.preset_option:
        options[codec.preset_option] = preset or codec.preset_default
    if codec.encoder == "prores_ks":  # 4 is 4444, 3 is 422 HQ
        options["profile"] = "4" if "444" in pix_fmt else "3"
    if codec.encoder == "libx265":
        options["x265-params"] = "log-level=error"
    if "crf" in options and ({"b", "qp"} & user.keys()):
        del options["crf"]  # a bit rate or a constant quantizer instead
    for key, value in user.items():
        joins = key.endswith("-params") and key in options
        options[key] = f"{options[key]}:{value}" if joins else value
    return options

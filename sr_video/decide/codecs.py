"""The encoders we know: how they name quality, what they hold, what they refuse.

Any other encoder in PyAV's FFmpeg is refused by name rather than run with settings nobody tried.
"""

from __future__ import annotations

from av.codec.codec import Codec, UnknownCodecError

from sr_core.errors import BadInput, NotAvailable
from sr_core.frame import PixelFormat, rgb
from sr_core.wording import closest, option
from sr_video.decide.hardware_encoders import ELSEWHERE, HARDWARE_ENCODERS
from sr_video.decide.video_codec import VideoCodec
from sr_video.pixels import excess_between, loss_between, pixel_format

_STORED_AS = {"bgr0": rgb()}  # formats only encoders use
_X26X_PRESETS = tuple("ultrafast superfast veryfast faster fast medium slow slower veryslow placebo".split())
VIDEO_CODECS: dict[str, VideoCodec] = {
    "libx264": VideoCodec(
        encoder="libx264",
        codec="h264",
        quality_option="crf",
        quality_default="18",
        quality_worst=51,
        preset_option="preset",
        preset_default="medium",
        presets=_X26X_PRESETS,
        captions_option="a53cc",
        largest=(16384, 16384),
    ),
    "libx265": VideoCodec(
        encoder="libx265",
        codec="hevc",
        quality_option="crf",
        quality_default="20",
        quality_worst=51,
        preset_option="preset",
        preset_default="medium",
        presets=_X26X_PRESETS,
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
        largest=(16384, 8704),
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
    **HARDWARE_ENCODERS,
}
_ALIASES = {"x264": "libx264", "h264": "libx264", "x265": "libx265", "hevc": "libx265", "h265": "libx265"}
_ALIASES |= {"av1": "libsvtav1", "svtav1": "libsvtav1", "prores_ks": "prores"}


def video_codec(name: str) -> VideoCodec:
    """The codec users call `name`.

    Raises:
        BadInput: a name we do not know.
        NotAvailable: known, but missing from this build of FFmpeg.
    """
    if name in ELSEWHERE:
        raise NotAvailable(f"{name} cannot be used here: {ELSEWHERE[name]}", hint=_another_encoder(name))
    known = VIDEO_CODECS.get(_ALIASES.get(name, name))
    if known is None:
        raise BadInput(f"unknown codec {name!r}", hint=f"choose one of: {', '.join(VIDEO_CODECS)}")
    try:
        Codec(known.encoder, "w")
    except UnknownCodecError as error:
        raise NotAvailable(
            f"this build of FFmpeg has no encoder {known.encoder}",
            hint=f"it needs {known.needs}; {_another_encoder(name)}" if known.needs else "install PyAV's own wheel",
        ) from error
    return known


def _another_encoder(name: str) -> str:
    software = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
    return f"{option('codec', software[name.partition('_')[0]])} works anywhere; srkit doctor lists what opens here"


def check_size(codec: VideoCodec, muxer: str, width: int, height: int) -> None:
    """Refuse a frame that the encoder would refuse, naming those that take it.

    Raises:
        BadInput: it is too large.
    """
    if codec.largest is None or (width <= codec.largest[0] and height <= codec.largest[1]):
        return
    across, down = codec.largest
    takers = [
        name
        for name, other in VIDEO_CODECS.items()
        if other.largest is None and not other.needs and muxer != "webm" and (name != "prores" or muxer == "mov")
    ]
    other = f" or another encoder: {', '.join(option('codec', name) for name in takers)}" if takers else ""
    raise BadInput(
        f"{codec.encoder} takes {across}x{down} at most, not {width}x{height}",
        hint=f"ask for a smaller {option('scale')}, {option('width')} or {option('height')}{other}",
    )


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
                hint=f"set an even {option('width')} and {option('height')}, or {option('pix_fmt', 'yuv444p')}",
            )
        return wanted, loss_between(source, _demand_stored_format(wanted))
    if not fitting:
        raise BadInput(
            f"{codec.encoder} cannot store the odd size {width}x{height}",
            hint=f"set an even {option('width')} and {option('height')}, or {option('codec', 'libsvtav1')}",
        )
    best = min(fitting, key=lambda name: _cost(source, name))
    notes = list(loss_between(source, _demand_stored_format(best)))
    if min(names, key=lambda name: _cost(source, name)) not in fitting:
        notes.append(
            f"{width}x{height} is odd, which {codec.codec} cannot store with subsampled chroma: "
            f"stored as {best} ({option('codec', 'libsvtav1')} keeps {source}; an even {option('width')} makes it "
            "4:2:0)"
        )
    return best, tuple(notes)


def _demand_stored_format(name: str) -> PixelFormat:
    fmt = stored_format(name)
    assert fmt is not None  # encoder_pix_fmts has seen to it
    return fmt


def _cost(source: PixelFormat, name: str) -> tuple[int, int]:
    return len(loss_between(source, _demand_stored_format(name))), excess_between(source, _demand_stored_format(name))


def _holds_size(name: str, width: int, height: int) -> bool:
    across, down = _demand_stored_format(name).subsampling
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
        raise BadInput(f"{codec.encoder} has no quality setting", hint=f"leave {option('crf')} out")
    if crf is not None and crf > codec.quality_worst:
        raise BadInput(
            f"{option('crf', f'{crf:g}')} is beyond {codec.encoder}'s worst, {codec.quality_worst:g}",
            hint=f"smaller is better; the default is {codec.quality_default}",
        )
    rivals = {codec.quality_option} | ({"b", "qp"} if codec.quality_option == "crf" else set())
    for key in sorted(rivals & user.keys() if crf is not None else ()):
        raise BadInput(
            f"{option('crf', f'{crf:g}')} and {option('options', f'{key}={user[key]}')} exclude each other",
            hint="leave one of them out",
        )
    if preset is not None and not codec.preset_option:
        raise BadInput(f"{codec.encoder} has no presets", hint=f"leave {option('preset')} out")
    if preset is not None and codec.presets and preset not in codec.presets and not preset.isdecimal():
        raise BadInput(
            f"{codec.encoder} has no preset {preset!r}",
            hint=f"{closest(preset, codec.presets)}choose one of: {', '.join(codec.presets)}",
        )
    if codec.quality_option:
        quality = codec.quality_default if crf is None else f"{crf:g}"
        options |= dict.fromkeys((codec.quality_option, *codec.quality_also), quality)
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

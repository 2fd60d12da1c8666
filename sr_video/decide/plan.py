"""Everything that is decided before the first frame is upscaled, and what will be lost by it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from sr_core.errors import BadInput, StorageError
from sr_core.model_spec import LARGEST_SCALE
from sr_core.steady.window import check_steadiable
from sr_core.wording import option, text_from_bytes
from sr_video.decide.card_frames import card_of_encoder
from sr_video.decide.chapters import Chapter, plan_chapters
from sr_video.decide.codecs import check_size, choose_pix_fmt, encoder_options, video_codec
from sr_video.decide.containers import OutputFormat, lasting_tags, muxer_options, output_format
from sr_video.decide.encoding import EncoderSettings, becomes_limited, stored_tags
from sr_video.decide.geometry import aspect_of_samples, check_aspect, list_lost_layouts, scale_crop, scale_matrix
from sr_video.decide.streams import StreamPlan, plan_streams
from sr_video.decide.timecode import move_timecodes
from sr_video.native import STDOUT, exact
from sr_video.read.deinterlace import MESSAGE as DEINTERLACE_MESSAGE
from sr_video.read.facts import VideoFacts
from sr_video.read.source import Source
from sr_video.timing import text_from_seconds

MODEL_SCALES = (2, 3, 4)
_BITS_PER_PIXEL = {"ffv1": 6.0, "prores": 3.0}  # a guess for the disk check; others as below
_BITS_PER_PIXEL_LOSSY = 0.05
_MAX_CREDIBLE_RATE = 240  # frames a second in an average; beyond, FFmpeg's guess is nearer


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks of one file.

    Attributes:
        scale: output over input size, also a fraction; ignored where `width` or `height` is given.
        engine_scales: what the model gives by itself; the least that reaches the output is taken.
        model: its name, for messages.
        start, end: seconds from the beginning of the video as players count them.
        salvage: keep what a damaged input still gives.
        hwaccel: 'cuda' decodes on the card; None on the CPU.
        device: the GPU's number, for an encoder that is on one.
        steady: average over three frames what flickers.
    """

    source: str
    target: str
    scale: Fraction | int = 4
    engine_scales: tuple[int, ...] = MODEL_SCALES
    model: str = "NAME"
    width: int | None = None
    height: int | None = None
    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    start: Fraction | None = None
    end: Fraction | None = None
    keeps_audio: bool = True
    overwrite: bool = False
    salvage: bool = False
    hwaccel: str | None = None
    device: int | None = None
    steady: bool = False

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise BadInput(f"scale {float(self.scale):g} would make it smaller", hint="ask for 1 or more")
        for name, side in (("width", self.width), ("height", self.height)):
            if side is not None and side < 2:
                raise BadInput(
                    f"{option(name, side)} is too small", hint="pixels, such as 2160; the other side follows"
                )
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise BadInput(
                f"{option('end')} is not after {option('start')}", hint="both count from the video's beginning"
            )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The decisions for one file.

    Attributes:
        engine_scale: what the engine multiplies by; the rest is resampled down.
        tags: of the file as a whole; streams have their own.
        frames_expected: for progress only; None where nobody knows.
        start_seconds, end_seconds: on the file's own clock, None where it is not cut.
        chapters: those of the output.
        steady: each frame is averaged with those before and after it.
        timecodes: of the output's streams, by the input's index, where --start moves them; '' for none.
        shift_seconds: taken from every timestamp, so that a cut, or a clock before 0, begins at 0.
        notes: what is changed or lost, for people.
    """

    engine_scale: int
    container: OutputFormat
    tags: dict[str, str]
    muxer_options: dict[str, str]
    encoder: EncoderSettings
    streams: tuple[StreamPlan, ...]
    start_seconds: Fraction | None
    end_seconds: Fraction | None
    shift_seconds: Fraction
    timecodes: dict[int, str]
    frames_expected: int | None
    notes: tuple[str, ...]
    chapters: tuple[Chapter, ...] = ()
    steady: bool = False


def plan_output(source: Source, request: Request) -> Plan:
    """Decide everything for `request`.

    Raises:
        BadInput: something asked for cannot be done.
        StorageError: there is clearly too little room for the output.
    """
    facts = source.facts
    if request.steady:
        check_steadiable(facts.format, facts.width, facts.height)
    container = output_format(request.target)
    codec = video_codec(request.codec or container.default_codec)
    width, height, engine_scale = _sizes(facts, request)
    check_size(codec, container.muxer, width, height)
    sample_aspect = aspect_of_samples(facts, width, height)
    check_aspect(source, sample_aspect, container, codec)
    pix_fmt, format_notes = choose_pix_fmt(codec, facts.format, width=width, height=height, wanted=request.pix_fmt)
    rate = _frame_rate(source)
    settings = EncoderSettings(
        codec=codec,
        pix_fmt=pix_fmt,
        width=width,
        height=height,
        options=tuple(
            encoder_options(
                codec, crf=request.crf, preset=request.preset, pix_fmt=pix_fmt, user=request.options
            ).items()
        ),
        time_base=facts.time_base,
        frame_rate=rate,
        sample_aspect=sample_aspect,
        color=facts.color,
        tags=facts.tags,
        display_matrix=scale_matrix(facts, width, height),
        crop=scale_crop(source, width, height),
        hdr=facts.hdr,
        keeps_captions=bool(codec.captions_option),
        is_rgb_source=facts.format.family == "rgb",
        device=request.device,
    )
    card, card_notes = card_of_encoder(settings, facts, engine_scale, None if request.steady else source.card)
    settings = replace(settings, card=card)
    _check_tags(settings, container)
    streams, stream_notes = plan_streams(source.container, facts.index, container, keeps_audio=request.keeps_audio)
    tags = lasting_tags(source.container.metadata, is_stream=False)
    has_cover = any(entry.action == "cover" for entry in streams)
    muxing, lost_tags = muxer_options(container, tags, has_cover=has_cover)
    lost = (f"tags lost beside a cover in {container.muxer}: {', '.join(lost_tags)}",) if lost_tags else ()
    start = None if request.start is None else request.start + source.start_seconds
    end = None if request.end is None else request.end + source.start_seconds
    timecodes, timecode_notes = move_timecodes(source, start, rate)
    shift = _first_seconds(source) if start is None else start
    chapters, chapter_notes = plan_chapters(source.container.chapters(), container, start=start, end=end, shift=shift)
    plan = Plan(
        engine_scale=engine_scale,
        container=container,
        tags=tags,
        muxer_options=muxing,
        encoder=settings,
        streams=streams,
        start_seconds=start,
        end_seconds=end,
        shift_seconds=shift,
        chapters=chapters,
        steady=request.steady,
        timecodes=timecodes,
        frames_expected=_frames_expected(facts, request, rate),
        notes=(
            *source.notes,
            *card_notes,
            *_video_notes(facts, settings),
            *list_lost_layouts(source, container),
            *format_notes,
            *stream_notes,
            *lost,
            *_cut_notes(streams, start),
            *_clock_notes(source, start),
            *timecode_notes,
            *chapter_notes,
        ),
    )
    return replace(plan, notes=(*plan.notes, *_room_notes(plan, request)))


def _sizes(facts: VideoFacts, request: Request) -> tuple[int, int, int]:
    """(width, height, engine scale) of the output."""
    if request.width is None and request.height is None:
        width, height = (scaled_side(side, request.scale) for side in (facts.width, facts.height))
        needed = Fraction(request.scale)
    else:
        width, height = _asked_size(facts, request)
        needed = max(Fraction(width, facts.width), Fraction(height, facts.height))
    largest = request.engine_scales[-1]
    if needed > largest:
        raise BadInput(
            f"{width}x{height} is more than {largest} times {facts.width}x{facts.height}, which is all the model gives",
            hint=_how_to_reach(request, needed),
        )
    if needed < 1 or (needed == 1 and 1 not in request.engine_scales and request.scale != 1):
        raise BadInput(
            f"{width}x{height} is not larger than the input's {facts.width}x{facts.height}",
            hint="ask for more, or use a plain scaler",
        )
    return width, height, next(scale for scale in request.engine_scales if scale >= needed)


def _how_to_reach(request: Request, needed: Fraction) -> str:
    """What gives a size beyond the model: a chain of networks up to 16 times, then a second run."""
    side = option("width", request.width) if request.height is None else option("height", request.height)
    if request.width is None and request.height is None:
        side = option("scale", f"{float(needed / request.engine_scales[-1]):g}")
    if needed <= LARGEST_SCALE:
        return f"put another network behind it: {option('model', f'{request.model},clear')}"
    largest = option("scale", request.engine_scales[-1])
    return f"in two runs: {largest} {option('codec', 'ffv1')} into a .mkv, then {side} on that"


def _asked_size(facts: VideoFacts, request: Request) -> tuple[int, int]:
    width, height = request.width, request.height
    if width is None:
        assert height is not None
        width = _even(Fraction(facts.width * height, facts.height))
    if height is None:
        height = _even(Fraction(facts.height * width, facts.width))
    return width, height


def scaled_side(side: int, scale: Fraction | int) -> int:
    """A whole factor gives what it gives; another an even side."""
    return side * int(scale) if Fraction(scale).denominator == 1 else _even(side * Fraction(scale))


def _even(exact: Fraction) -> int:
    return max(2, 2 * round(exact / 2))


def _check_tags(settings: EncoderSettings, container: OutputFormat) -> None:
    """Refuse what would be shown in the wrong colours.

    FFV1 stores no colour tags, and the muxer writes MP4's box for them only where all three are known.
    """
    tags = stored_tags(settings)
    known = [tag != 2 for tag in (tags.primaries, tags.transfer, tags.matrix)]
    is_lost = not all(known) and (any(known) or tags.range == 2)
    if settings.codec.codec == "ffv1" and container.is_mp4_like and is_lost and not settings.is_rgb_source:
        raise BadInput(
            f"ffv1 in {container.muxer} cannot keep the range and the colour tags of a video that lacks some of them",
            hint=f"write .mkv, or use another {option('codec')}",
        )


def _frame_rate(source: Source) -> Fraction | None:
    """For progress and rate control; Matroska's average may be nonsense, such as one frame a millisecond."""
    average = source.facts.frame_rate_from_header
    guessed = exact(source.stream.guessed_rate) if source.stream.guessed_rate else None
    is_credible = average is None or average <= _MAX_CREDIBLE_RATE or not guessed
    return average if is_credible else guessed


def _frames_expected(facts: VideoFacts, request: Request, rate: Fraction | None) -> int | None:
    if request.start is None and request.end is None and facts.frames_from_header:
        return facts.frames_from_header
    duration = facts.duration_seconds
    if rate is None:
        return None
    end = request.end
    if duration is not None:
        end = duration if end is None else min(end, duration)
    return None if end is None else max(1, round((end - (request.start or 0)) * rate))


def _video_notes(facts: VideoFacts, settings: EncoderSettings) -> list[str]:
    notes: list[str] = []
    if settings.sample_aspect not in (facts.sample_aspect, facts.sample_aspect or 1):
        notes.append(
            f"{settings.width}x{settings.height} has another shape than {facts.width}x{facts.height}: samples of "
            f"{settings.sample_aspect} let players show it as it was; {option('height')} alone keeps the shape"
        )
    if facts.is_interlaced:
        notes.append(DEINTERLACE_MESSAGE)
    if facts.drops_alpha:
        notes.append("transparency is lost: the output is opaque")
    notes += [f"{name} metadata is lost: the output keeps the static HDR tags" for name in facts.dynamic_metadata]
    if facts.has_captions and not settings.keeps_captions:
        notes.append(f"closed captions are lost: {settings.codec.encoder} cannot carry them")
    if becomes_limited(settings):
        notes.append(f"full range becomes limited: {settings.codec.codec} knows no other")
    if "matrix" in facts.color.guessed:
        notes.append(f"the colour matrix is not tagged: {facts.color.matrix} is assumed, from the size")
    return notes


def _first_seconds(source: Source) -> Fraction:
    """Where the file's clock begins if that is before 0, which few containers can store; else 0."""
    return min(Fraction(0), Fraction((source.start_seconds * 1000).__floor__(), 1000))


def _clock_notes(source: Source, start: Fraction | None) -> list[str]:
    if start is not None or not _first_seconds(source):
        return []
    return [f"the clock of the input begins at {float(source.start_seconds):.3f} s, that of the output at 0"]


def _cut_notes(streams: tuple[StreamPlan, ...], start: Fraction | None) -> list[str]:
    """What a cut costs the streams that are copied."""
    if start is None:
        return []
    return [
        f"stream {entry.index} is not decoded, so it begins at its first keyframe behind {option('start')}: "
        "it may begin later, or hold nothing"
        for entry in streams
        if entry.kind == "video" and entry.action == "copy"
    ]


def _room_notes(plan: Plan, request: Request) -> tuple[str, ...]:
    """Say that room may be short. An estimate refuses nothing: a container may claim a thousand hours."""
    if request.target == STDOUT or plan.frames_expected is None:
        return ()
    settings = plan.encoder
    bits = _BITS_PER_PIXEL.get(settings.codec.codec, _BITS_PER_PIXEL_LOSSY)
    estimate = int(settings.width * settings.height * plan.frames_expected * bits / 8)
    folder = Path(request.target).absolute().parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StorageError(f"cannot write in {folder}: {error.strerror}", hint="does the folder exist?") from error
    if free >= estimate // 2:
        return ()
    needs = f"the output needs about {text_from_bytes(estimate)}"
    return (f"room may be short: {text_from_bytes(free)} free, and {needs}",)


def no_frame_between(duration_seconds: Fraction | None) -> BadInput:
    """The error of a run that met no frame; `duration_seconds` is the input's, None where nobody knows."""
    known = "the input says nothing of its length"
    if duration_seconds is not None:
        known = f"the video is {text_from_seconds(duration_seconds)} ({float(duration_seconds):.1f} s) long"
    return BadInput(f"no frame lies between {option('start')} and {option('end')}", hint=known)

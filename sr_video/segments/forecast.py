"""What a run would be like, from two seconds of its own work (`srvid --plan`)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import av

from sr_core.errors import Cancelled
from sr_video.decide.plan import Plan, Request, plan_output
from sr_video.decide.streams import Nowhere
from sr_video.read.source import Source
from sr_video.segments.maker import SegmentRecipe
from sr_video.segments.segment import segment_format
from sr_video.segments.speed import Measurement, adapt_seconds, is_short, length_seconds
from sr_video.transcode import folder_of, in_thread
from sr_video.write.rehearsal import rehearse

_MEASURED_SECONDS = 2.0
_MEASURED_FRAMES = 500


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What is known before the work.

    Attributes:
        frames: from the header; None where nobody knows.
        segments: about how many; 1 for a straight run.
        engine: what it says of itself: model, backend, precision, tile.
        fps: frames a second of one worker, decoding and encoding included.
        memory_bytes: the most this process has used while probing.
        output_bytes: of the video; other streams keep their size.
    """

    plan: Plan
    frames: int | None
    segments: int | None
    engine: dict[str, str]
    fps: float
    memory_bytes: int | None
    output_bytes: int | None


def estimate(
    request: Request,
    recipe: SegmentRecipe,
    *,
    segment_seconds: Fraction | None,
    adapts: bool = False,
    doing: Callable[[str], None] = lambda phase: None,
    is_wanted: Callable[[], bool] = lambda: True,
) -> Forecast:
    """Upscale and encode a little from the middle of the input, keep nothing, and extrapolate.

    Args:
        adapts: segments are shorter where that is much work, see `adapt_seconds`.
        doing: told what begins now: the engine may have to be opened or built first.
        is_wanted: asked at every packet that is read and at every frame.

    Raises:
        SrError: what a run would raise.
        Cancelled: it is not wanted any more.
    """
    with in_thread(lambda: Source(request.source, salvage=request.salvage, hwaccel=request.hwaccel)) as source:
        plan, folder = plan_output(source, request), folder_of(request.target)
        reading = partial(doing, "reading sound and subtitles")
        plan = in_thread(partial(rehearse, source, plan, folder, is_wanted=is_wanted, on_reading=reading))
        doing("opening the engine")
        engine_facts, (frames, seconds, coded) = in_thread(lambda: _measure(source, plan, recipe, doing, is_wanted))
        length = length_seconds(source, plan)
        expected = plan.frames_expected
        if (
            adapts
            and segment_seconds
            and length
            and expected
            and not is_short(source, plan, segment_seconds, adapts=True)
        ):
            segment_seconds = adapt_seconds(segment_seconds, float(expected / length), seconds / frames)
        return Forecast(
            plan=plan,
            frames=expected,
            segments=None if length is None else max(1, int(length / segment_seconds)) if segment_seconds else 1,
            engine=engine_facts,
            fps=frames / seconds,
            memory_bytes=_peak_memory(),
            output_bytes=None if expected is None else coded * expected // frames,
        )


def _measure(
    source: Source,
    plan: Plan,
    recipe: SegmentRecipe,
    doing: Callable[[str], None],
    is_wanted: Callable[[], bool],
) -> tuple[dict[str, str], tuple[int, float, int]]:
    """What the engine says of itself; and (frames, seconds they took, bytes they became)"""
    with (
        recipe.open(plan.engine_scale) as engine,
        av.open(Nowhere(), "w", format=segment_format(plan.encoder.codec.codec)) as container,
    ):
        identity = engine.identity(source.facts)
        doing("upscaling two seconds' worth")

        def is_enough(frames: int, seconds: float) -> bool:
            if not is_wanted():
                raise Cancelled("the estimate is not wanted any more")
            return _is_enough(frames, seconds)

        return identity, Measurement(source, plan, engine, container).run(is_enough)


def _is_enough(frames: int, seconds: float) -> bool:
    return frames >= _MEASURED_FRAMES or seconds > _MEASURED_SECONDS


def _peak_memory() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

"""What a run would be like, from two seconds of its own work (`srvid --plan`)."""

from __future__ import annotations

import sys
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction

import av

from sr_core.errors import BadInput
from sr_core.frame import Planes
from sr_core.media.native import STDIN
from sr_core.media.plan import Plan, Request, plan_output
from sr_core.media.source import Source
from sr_core.media.source_frame import SourceFrame
from sr_core.media.streams import Nowhere
from sr_core.media.transcode import FrameEngine, in_thread
from sr_core.segments.crew import EngineChoice
from sr_core.segments.segment import opened_encoder, segment_format

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


def foresee(request: Request, choice: EngineChoice, *, segment_seconds: Fraction | None) -> Forecast:
    """Upscale and encode a little from the middle of the input, keep nothing, and extrapolate.

    Raises:
        SrError: what a run would raise.
    """
    with in_thread(lambda: Source(request.source, salvage=request.salvage, hwaccel=request.hwaccel)) as source:
        plan = plan_output(source, request)
        engine_facts = in_thread(lambda: choice.identity(plan.engine_scale, source.facts))
        frames, seconds, coded = in_thread(lambda: _measured(source, plan, choice.like(engine_facts)))
        length = _length_seconds(source, plan)
        expected = plan.frames_expected
        return Forecast(
            plan=plan,
            frames=expected,
            segments=None if length is None else max(1, int(length / segment_seconds)) if segment_seconds else 1,
            engine=engine_facts,
            fps=frames / seconds,
            memory_bytes=_peak_memory(),
            output_bytes=None if expected is None else coded * expected // frames,
        )


def _length_seconds(source: Source, plan: Plan) -> Fraction | None:
    duration = source.facts.duration_seconds
    if duration is None:
        return None
    end = source.start_seconds + duration if plan.end_seconds is None else plan.end_seconds
    return end - _low(source, plan)


def _low(source: Source, plan: Plan) -> Fraction:
    return source.start_seconds if plan.start_seconds is None else plan.start_seconds


def _middle(source: Source, plan: Plan) -> Fraction | None:
    """Where to measure: beginnings are often black. None: at the beginning."""
    length = _length_seconds(source, plan)
    if length is None or source.path == STDIN:
        return None
    return _low(source, plan) + length / 2


def _measured(source: Source, plan: Plan, choice: EngineChoice) -> tuple[int, float, int]:
    """(frames, seconds they took, bytes they became)"""
    with (
        choice(plan.engine_scale) as engine,
        av.open(Nowhere(), "w", format=segment_format(plan.encoder.codec.codec)) as container,
    ):
        return _Measurement(source, plan, engine, container).run()


class _Measurement:
    """A small, serial pipeline with a clock."""

    def __init__(
        self, source: Source, plan: Plan, engine: FrameEngine, container: av.container.OutputContainer
    ) -> None:
        self._source, self._plan, self._engine = source, plan, engine
        self._encoder = opened_encoder(container, plan.encoder)
        self._pending: deque[tuple[SourceFrame, Future[Planes]]] = deque()
        self._began: float | None = None
        self._timed = self._encoded = self._bytes = 0

    def run(self) -> tuple[int, float, int]:
        self._upscale_from(_middle(self._source, self._plan))
        if not self._encoded:  # a length that counts the sound, or too high an --end: no video in the middle
            self._upscale_from(_low(self._source, self._plan))
        if not self._encoded:
            raise BadInput("no frame lies between --start and --end", hint="how long is the video?")
        self._bytes += sum(packet.size for packet in self._encoder.flush())
        return max(1, self._timed), max(self._elapsed(), 1e-6), self._bytes * max(1, self._timed) // self._encoded

    def _upscale_from(self, start: Fraction | None) -> None:
        facts = self._source.facts
        for unit in self._source.units(copied=frozenset(), start=start, end=self._plan.end_seconds):
            frame = unit.frame
            if frame is None:
                continue
            device = self._engine.device_for(facts.format, facts.width, facts.height)
            self._pending.append((frame, self._engine.submit(frame.planes(device), facts.format, frame.color)))
            if len(self._pending) > self._engine.in_flight:
                self._encode_oldest()
            if self._encoded >= _MEASURED_FRAMES or self._elapsed() > _MEASURED_SECONDS:
                break
        while self._pending:
            self._encode_oldest()

    def _elapsed(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began

    def _encode_oldest(self) -> None:
        frame, future = self._pending.popleft()
        planes = future.result()
        packets = self._encoder.encode(
            planes,
            self._source.facts.format,
            ticks=frame.ticks,
            duration_ticks=frame.duration_ticks,
            source=frame.native,
        )
        self._bytes += sum(packet.size for packet in packets)
        self._encoded += 1
        if self._began is None:
            self._began = time.monotonic()  # the first frame waits for the engine to warm up
        else:
            self._timed += 1


def _peak_memory() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

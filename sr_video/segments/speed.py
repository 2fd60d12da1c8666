"""How fast it goes: a little of the work from the middle of the input, nothing of it kept.

From it the rest is estimated (`--plan`), and how long a segment of the video may be: what takes an engine
a quarter of an hour would be lost by an interruption before the first segment is safe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction

import av

from sr_core.errors import DamagedMedia
from sr_core.frame import Planes
from sr_core.in_order import in_order
from sr_video.decide.plan import Plan, no_frame_between
from sr_video.decide.streams import Nowhere
from sr_video.native import is_local
from sr_video.read.source import Source
from sr_video.read.source_frame import SourceFrame, Unit
from sr_video.segments.segment import open_encoder, segment_format
from sr_video.steadied import steadied
from sr_video.transcode import FrameEngine, submit_frame

WORK_SECONDS = 120.0  # about so much work is lost at most
_MOST_WORK = 1.5 * WORK_SECONDS  # more, and the segment is halved
_LEAST_SECONDS = Fraction(1)
_QUICK_PIXELS = 300_000_000  # of output: seconds for most engines, half an hour for the slowest
_TIMED = 3  # frames after which a fast engine is known as such
_PATIENCE_SECONDS = 3.0


@dataclass(frozen=True)
class SpeedItem:
    """To find out how many seconds a frame takes; travels to a worker as a segment does."""

    plan: Plan
    source: str
    salvage: bool
    hwaccel: str | None
    clearly_fast: float
    number: int = 0


def seconds_per_frame(item: SpeedItem, engine: FrameEngine, report: Callable[[int], None]) -> float | None:
    """As measured; None where the middle of the input is damaged, which is for the run itself to say.

    Args:
        report: told now and then; what it raises stops the work.
    """

    def is_enough(frames: int, seconds: float) -> bool:
        report(0)
        return seconds > _PATIENCE_SECONDS or (frames >= _TIMED and seconds / frames < item.clearly_fast)

    try:
        with (
            Source(item.source, salvage=item.salvage, hwaccel=item.hwaccel) as source,
            av.open(Nowhere(), "w", format=segment_format(item.plan.encoder.codec.codec)) as container,
        ):
            frames, seconds, _ = Measurement(source, item.plan, engine, container).run(is_enough)
    except DamagedMedia:
        return None
    return seconds / frames


def clearly_fast(seconds: Fraction, frame_rate: float) -> float:
    """Seconds a frame may take so that a segment of `seconds` needs no second look."""
    return WORK_SECONDS / 2 / (float(seconds) * frame_rate)


def adapt_seconds(seconds: Fraction, frame_rate: float, per_frame: float | None) -> Fraction:
    """`seconds` of video, halved until they are about two minutes of work.

    In halves, so that another run on a like machine finds the same length, and makes the same bytes.
    """
    work = float(seconds) * frame_rate * (per_frame or 0.0)
    while work > _MOST_WORK and seconds / 2 >= _LEAST_SECONDS:
        seconds, work = seconds / 2, work / 2
    return seconds


def is_short(source: Source, plan: Plan, segment_seconds: Fraction, *, adapts: bool) -> bool:
    """Whether it is one segment, and so little work that an engine's speed need not be measured first."""
    length = length_seconds(source, plan)
    if length is None or length > segment_seconds:
        return False
    pixels = (plan.frames_expected or 0) * plan.encoder.width * plan.encoder.height
    return not adapts or pixels <= _QUICK_PIXELS


def length_seconds(source: Source, plan: Plan) -> Fraction | None:
    """Of what is wanted of the input; None where nobody knows."""
    duration = source.facts.duration_seconds
    if duration is None:
        return None
    end = source.start_seconds + duration if plan.end_seconds is None else plan.end_seconds
    return end - _low(source, plan)


def _low(source: Source, plan: Plan) -> Fraction:
    return source.start_seconds if plan.start_seconds is None else plan.start_seconds


def _middle(source: Source, plan: Plan) -> Fraction | None:
    """Where to measure: beginnings are often black. None: at the beginning."""
    length = length_seconds(source, plan)
    if length is None or not is_local(source.path):
        return None
    return _low(source, plan) + length / 2


class Measurement:
    """A small, serial pipeline with a clock."""

    def __init__(
        self, source: Source, plan: Plan, engine: FrameEngine, container: av.container.OutputContainer
    ) -> None:
        self._source, self._plan, self._engine = source, plan, engine
        self._encoder = open_encoder(container, plan.encoder)
        self._began: float | None = None
        self._timed = self._encoded = self._bytes = 0

    def run(self, is_enough: Callable[[int, float], bool]) -> tuple[int, float, int]:
        """(frames, seconds they took, bytes they became), once there are so many of them."""
        self._is_enough = is_enough
        self._upscale_from(_middle(self._source, self._plan))
        if not self._encoded:  # a length that counts the sound, or too high an --end: no video in the middle
            self._upscale_from(_low(self._source, self._plan))
        if not self._encoded:
            raise no_frame_between(self._source.facts.duration_seconds)
        self._bytes += sum(packet.size for packet in self._encoder.flush())
        return max(1, self._timed), max(self._elapsed(), 1e-6), self._bytes * max(1, self._timed) // self._encoded

    def _upscale_from(self, start: Fraction | None) -> None:
        facts = self._source.facts

        def submit(unit: Unit) -> Future[Planes]:
            assert unit.frame is not None
            return submit_frame(self._engine, facts, unit.frame, self._encoder.device)

        made = in_order(self._frames(start), submit, in_flight=self._engine.in_flight)
        for frame, planes in steadied(made, facts.format, self._engine.scale if self._plan.steady else None):
            self._encode(frame, planes)

    def _frames(self, start: Fraction | None) -> Iterator[Unit]:
        """Frames from `start` on, until enough was measured."""
        for unit in self._source.units(copied=frozenset(), start=start, end=self._plan.end_seconds):
            if self._is_enough(self._timed, self._elapsed()):
                return
            if unit.frame is not None:
                yield unit

    def _elapsed(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began

    def _encode(self, frame: SourceFrame, planes: Planes) -> None:
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

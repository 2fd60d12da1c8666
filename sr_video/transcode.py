"""The pipeline: decode ─► engine ─► encode, in step, bounded, first error wins.

    reader thread          engine's own threads        writer thread
    Source.units ─► submit ─► Future[Planes] ─► bounded queue ─► encode, mux

The main thread only waits, so that Ctrl-C acts at once: FFmpeg blocks inside calls, and a Python
signal handler would have to wait for them.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Protocol, runtime_checkable

from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from sr_core.color import ColorSpec
from sr_core.errors import DamagedMedia, VerificationError
from sr_core.file_stamp import refuse_changed, stamp_of
from sr_core.frame import Device, GivenPlanes, PixelFormat, Planes
from sr_core.wording import option
from sr_video.decide.containers import output_format
from sr_video.decide.paths import check_source, check_target
from sr_video.decide.plan import Plan, Request, plan_output
from sr_video.native import STDOUT, is_local
from sr_video.read.damage import Damage
from sr_video.read.facts import VideoFacts
from sr_video.read.source import Source
from sr_video.read.source_frame import SourceFrame, Unit
from sr_video.steadied import steadied
from sr_video.write.encoder import VideoEncoder
from sr_video.write.rehearsal import rehearse
from sr_video.write.sink import Sink, part_removed_on_failure

_POLL_SECONDS = 0.1
_REPORT_SECONDS = 0.25
_JOIN_SECONDS = 10.0  # an encoder may be in the middle of a large frame
_STUCK_SECONDS = 2.0  # reading takes longer only where a pipe gives nothing
_AHEAD = 2  # frames decoded beyond what the engine works on


class FrameEngine(Protocol):
    """What the pipeline asks of an upscaler."""

    scale: int
    in_flight: int

    def submit(self, planes: GivenPlanes, fmt: PixelFormat, color: ColorSpec) -> Future[Planes]:
        """Same format, `scale` times the size; new arrays that belong to the caller."""

    def device_for(self, fmt: PixelFormat, width: int, height: int) -> Device | None:
        """Where it also takes planes of such frames as they lie; None: arrays only."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far it is. `position_seconds` is how much video is done."""

    frames: int
    frames_expected: int | None
    position_seconds: float
    elapsed_seconds: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What was made."""

    frames: int
    elapsed_seconds: float
    output_bytes: int
    damage: Damage
    retimed_frames: int
    packets_copied: int


class FrameSink(Protocol):
    """What a run writes into: a whole output (`Sink`), or one segment of it."""

    plan: Plan
    encoder: VideoEncoder
    ticks: array[int]

    def copy(self, packets: Iterable[Packet[Stream]]) -> None: ...

    def record_ticks(self, ticks: int) -> int: ...

    def write(self, packets: Iterable[Packet[VideoStream]]) -> None: ...

    def finish(self) -> None: ...


class Listener(Protocol):
    """Who is told: before the first frame, while it runs, before it is checked."""

    def reading(self) -> None:
        """A long input is read to its end, for its sound and subtitles; minutes where it is large."""

    def planned(self, source: Source, plan: Plan) -> None: ...

    def progressed(self, progress: Progress) -> None: ...

    def verifying(self, progress: Progress) -> None: ...


@runtime_checkable
class CardEngine(FrameEngine, Protocol):
    """An upscaler whose frames may stay where an encoder on a card reads them."""

    def lend_frame(
        self, device: Device, fmt: PixelFormat, color: ColorSpec, width: int, height: int
    ) -> GivenPlanes | None:
        """See `sr_core.upscaler.Upscaler.lend_frame`."""

    def submit(
        self, planes: GivenPlanes, fmt: PixelFormat, color: ColorSpec, out: GivenPlanes | None = None
    ) -> Future[Planes]:
        """Into `out`, which is what the future then holds."""


@runtime_checkable
class TimedEngine(FrameEngine, Protocol):
    """An upscaler whose result has something of its moment: film grain."""

    def submit_at(
        self, moment: int, planes: GivenPlanes, fmt: PixelFormat, color: ColorSpec, out: GivenPlanes | None = None
    ) -> Future[Planes]:
        """As `submit`; `moment` is the same for the same frame of a source, wherever one begins to read."""


def submit_frame(
    engine: FrameEngine, facts: VideoFacts, frame: SourceFrame, encoder_device: Device | None
) -> Future[Planes]:
    """`frame` given to `engine`, to be left where the encoder reads it, if that is on a card.

    Args:
        encoder_device: where the encoder takes frames as they lie; None: arrays only.
    """
    size, out = (facts.width, facts.height), None
    if encoder_device is not None and isinstance(engine, CardEngine):
        out = engine.lend_frame(encoder_device, facts.format, frame.color, *size)
    planes = frame.planes(engine.device_for(facts.format, *size))  # asked each time: known when a graph has opened
    if isinstance(engine, TimedEngine):
        return engine.submit_at(frame.ticks, planes, facts.format, frame.color, out)
    if out is not None and isinstance(engine, CardEngine):
        return engine.submit(planes, facts.format, frame.color, out)
    return engine.submit(planes, facts.format, frame.color)


OpenEngine = Callable[[int], AbstractContextManager[FrameEngine]]


def upscale_video(request: Request, open_engine: OpenEngine, listener: Listener) -> Summary:
    """Upscale one file as `request` says; the output has its name only when it is verified.

    Args:
        open_engine: given the scale, opens the engine; closed before this returns.

    Raises:
        SrError: as the parts say; nothing is left behind under the final name.
        KeyboardInterrupt: passed on, after everything was stopped and removed.
    """
    began = time.monotonic()
    check_source(request)
    check_target(request)
    output_format(request.target)
    stamp = stamp_of(request.source) if is_local(request.source) else None
    with (
        in_thread(lambda: Source(request.source, salvage=request.salvage, hwaccel=request.hwaccel)) as source,
        ExitStack() as after_planning,
    ):
        plan = plan_output(source, request)
        plan = in_thread(partial(rehearse, source, plan, folder_of(request.target), on_reading=listener.reading))
        listener.planned(source, plan)
        after_planning.enter_context(part_removed_on_failure(request.target))
        sink = Sink(request.target, source, plan, salvage=request.salvage)
        try:
            with open_engine(plan.engine_scale) as engine:
                run = Run(source, sink, engine)
                run.wait(lambda: listener.progressed(_progress(run, plan, began)))
            if source.damage and not request.salvage:
                raise DamagedMedia(f"{source.name} is damaged: {source.damage}")
            if stamp is not None and not request.salvage:
                hint = f"begin anew once nothing writes it; {option('salvage', True)} keeps what was read"
                refuse_changed(request.source, stamp, hint=hint)
            progress = _progress(run, plan, began)
            listener.verifying(progress)
            in_thread(sink.verify)
            output_bytes = 0 if sink.is_pipe else sink.part.stat().st_size
            sink.publish()
        except VerificationError:
            raise  # complete, but not what it must be: kept as .part, for it may be days of work
        except BaseException:
            sink.discard()
            raise
    return Summary(
        frames=len(sink.ticks),
        elapsed_seconds=time.monotonic() - began,
        output_bytes=output_bytes,
        damage=source.damage + sink.damage,
        retimed_frames=source.retimed.changed,
        packets_copied=sink.packets.total(),
    )


def folder_of(target: str) -> Path | None:
    """Where the output comes to lie; None for a pipe."""
    return None if target == STDOUT else Path(target).absolute().parent


def _progress(run: Run, plan: Plan, began: float) -> Progress:
    ticks = run.sink.ticks
    position = (ticks[-1] - ticks[0]) * plan.encoder.time_base if ticks else Fraction(0)
    return Progress(
        frames=len(ticks),
        frames_expected=plan.frames_expected,
        position_seconds=float(position),
        elapsed_seconds=time.monotonic() - began,
    )


def in_thread[T](work: Callable[[], T]) -> T:
    """Run `work` beside the main thread, which stays free to receive Ctrl-C."""
    future: Future[T] = Future()

    def body() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=body, daemon=True).start()
    while not wait([future], timeout=_POLL_SECONDS).done:
        pass
    return future.result()


class _Stopped(Exception):
    """Another thread failed or was told to stop."""


Work = tuple[Unit, Future[Planes] | None]


class Run:
    """The two threads of one run and the queue between them.

    Args:
        read: what to feed from; `source.units` of everything the sink's plan copies by default.
        fed: called once the engine has been given its last frame, so that another run may begin.
    """

    def __init__(
        self,
        source: Source,
        sink: FrameSink,
        engine: FrameEngine,
        *,
        read: Callable[[], Iterator[Unit]] | None = None,
        fed: Callable[[], None] = lambda: None,
    ) -> None:
        self.source, self.sink, self.engine = source, sink, engine
        self._units, self._fed = read or self._everything, fed
        self._queue: Queue[Work | None] = Queue(engine.in_flight + _AHEAD)
        self._stop = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._guard, args=(work,), name=name, daemon=True)
            for name, work in (("reader", self._read), ("writer", self._write))
        ]

    def wait(self, report: Callable[[], None]) -> None:
        """Start, wait for the end, and raise the first error of any thread."""
        for thread in self._threads:
            thread.start()
        reader, writer = self._threads
        try:
            while writer.is_alive():
                writer.join(_REPORT_SECONDS)
                report()
        finally:
            self._stop.set()
            writer.join(_JOIN_SECONDS)
            reader.join(_STUCK_SECONDS)
            self.source.is_stuck = reader.is_alive()
        if self._errors:
            raise self._errors[0]

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except _Stopped:
            pass
        except BaseException as error:
            self._errors.append(error)
            self._stop.set()

    def _everything(self) -> Iterator[Unit]:
        plan = self.sink.plan
        copied = frozenset(p.index for p in plan.streams if p.action in ("copy", "convert"))
        return self.source.units(copied=copied, start=plan.start_seconds, end=plan.end_seconds, beside=plan.steady)

    def _read(self) -> None:
        for unit in self._units():
            self._put((unit, None if unit.frame is None else self._submit(unit.frame)))
        self._fed()
        self._put(None)

    def _submit(self, frame: SourceFrame) -> Future[Planes]:
        return submit_frame(self.engine, self.source.facts, frame, self.sink.encoder.device)

    def _put(self, work: Work | None) -> None:
        while not self._stop.is_set():
            try:
                return self._queue.put(work, timeout=_POLL_SECONDS)
            except Full:
                continue
        raise _Stopped

    def _get(self) -> Work | None:
        while not self._stop.is_set():
            try:
                return self._queue.get(timeout=_POLL_SECONDS)
            except Empty:
                continue
        raise _Stopped

    def _write(self) -> None:
        for frame, planes in steadied(self._made(), self.source.facts.format, self._steady_scale):
            self._encode(frame, planes)
        self.sink.finish()

    @property
    def _steady_scale(self) -> int | None:
        return self.engine.scale if self.sink.plan.steady else None

    def _made(self) -> Iterator[tuple[Unit, Planes]]:
        """Units with a frame, and what became of it; packets are copied on the way."""
        while (work := self._get()) is not None:
            unit, future = work
            self.sink.copy(unit.packets)
            if future is not None:
                yield unit, self._result(future)

    def _result(self, future: Future[Planes]) -> Planes:
        while not self._stop.is_set():
            if wait([future], timeout=_POLL_SECONDS).done:
                return future.result()
        raise _Stopped

    def _encode(self, frame: SourceFrame, planes: Planes) -> None:
        sink = self.sink
        packets = sink.encoder.encode(
            planes,
            self.source.facts.format,
            ticks=sink.record_ticks(frame.ticks),
            duration_ticks=frame.duration_ticks,
            source=frame.native,
        )
        sink.write(packets)

"""Frames in, larger frames out: tiles, contexts, exact reuse.

    submit(planes) ─► pad to alignment ─► tiles ─► Session.run on a pool of threads ─► own parts ─► Future

Every front end upscales through this class, so the same model, format and backend give the same
bits everywhere. Tiles are exact (Note [halo] in receptive_field) where the network has a finite
reach; where it has none, neighbouring tiles overlap and are blended with a ramp.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, cast

import numpy as np

from sr_core.backend import Backend, DirectSession, LendingSession, Precision, Progress
from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.errors import BadInput, EngineError, OutOfMemory
from sr_core.frame import Array, Device, GivenPlanes, PixelFormat, Planes, rgb
from sr_core.graph.compose import alignment
from sr_core.late_module import LateModule
from sr_core.model_spec import ModelSpec
from sr_core.tiles.blending import Blender
from sr_core.tiles.frame_job import FrameJob, are_arrays
from sr_core.tiles.parts import divisors_of, is_same, own_part, pad_to, read_part
from sr_core.tiles.sessions import TiledSession, TileSessions
from sr_core.tiles.tiling import BegunTile, Tile

if TYPE_CHECKING:
    import onnx
else:
    onnx = LateModule("onnx")


class FrameKind(Protocol):
    """The frames that an engine is for; a video's facts are one."""

    @property
    def format(self) -> PixelFormat: ...

    @property
    def color(self) -> ColorSpec: ...

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...


@dataclass
class TileCounts:
    """How many tiles were computed, and how many were copied because nothing had changed."""

    computed: int = 0
    reused: int = 0


class Upscaler:
    """One model on one backend. Thread-safe; close it (or use `with`) to free the runtime.

    Args:
        model: the network, per `model_spec`'s contract.
        spec: its facts.
        backend: an opened backend; not closed here.
        tile: side, or (width, height), of the region a tile reads, in input pixels; None = chosen here.
        shared_tiles: True compiles one square shape for frames of all sizes (folders of images);
            False fits the shape to the frame (video).
        reuse: copy tiles of `submit` whose whole read region equals the frame before it.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        spec: ModelSpec,
        backend: Backend,
        *,
        precision: Precision = "auto",
        tile: int | tuple[int, int] | BegunTile | None = None,
        shared_tiles: bool = False,
        reuse: bool = True,
        progress: Progress | None = None,
    ) -> None:
        self.spec, self.backend, self._model = spec, backend, model
        self.scale = spec.scale
        self.counts = TileCounts()
        self._sessions = TileSessions(
            model, spec, backend, precision=precision, tile=tile, shared_tiles=shared_tiles, progress=progress
        )
        self._reuse = reuse
        self._lock = threading.Lock()
        self._previous: FrameJob | None = None
        self.in_flight = backend.contexts + 1
        self._pool: ThreadPoolExecutor | None = None  # from the first graph on: only then the backend is settled
        self._here: set[Future[Planes]] = set()  # frames that run on their callers' threads
        self._closed = False

    # ---- what callers use

    @property
    def align(self) -> int:
        """Rows at which a band of RGB or gray may begin: multiples of this."""
        return alignment(self.spec, rgb(packed=True))

    @property
    def halo_px(self) -> int | None:
        """Input rows of context on each side that make a band of RGB or gray exact; None = unbounded."""
        return self._sessions.halo_px(rgb(packed=True), FULL_RANGE_RGB)

    def precision_for(self, fmt: PixelFormat, color: ColorSpec, width: int, height: int) -> str:
        """What the compiled session for such frames really runs in, e.g. 'f32'."""
        return self._sessions.for_frame(fmt, color, width, height).session.precision

    def read_size_for(self, fmt: PixelFormat, color: ColorSpec, width: int, height: int) -> tuple[int, int]:
        """What a tile of such frames reads; given as `tile`, it makes another upscaler do the same."""
        plan = self._sessions.for_frame(fmt, color, width, height).plan
        return plan.read_width, plan.read_height

    def identity(self, frames: FrameKind) -> dict[str, str]:
        """Everything about this engine that decides the bytes it makes of such frames; compiles what they need."""
        kind = (frames.format, frames.color, frames.width, frames.height)
        width, height = self._sessions.first_read(*kind)
        return {
            "model": self.spec.name,
            "model digest": hashlib.sha256(self._model.SerializeToString(deterministic=True)).hexdigest()[:32],
            "backend": self.backend.name,
            "precision": self.precision_for(*kind),
            "tile": f"{width}x{height}",
        } | ({"device": placement} if (placement := str(getattr(self.backend, "placement", ""))) else {})

    def tile_now(self, frames: FrameKind) -> str:
        """What a tile of such frames reads from here on; less than `identity` says where memory ran out."""
        width, height = self.read_size_for(frames.format, frames.color, frames.width, frames.height)
        return f"{width}x{height}"

    def device_for(self, fmt: PixelFormat, width: int, height: int) -> Device | None:
        """Where planes of such frames may lie as well as in arrays; None: arrays only.

        A frame that has to be padded for the network is padded in ordinary memory.
        """
        align = alignment(self.spec, fmt)
        return None if width % align or height % align else self.backend.plane_device

    def lend_frame(
        self, device: Device, fmt: PixelFormat, color: ColorSpec, width: int, height: int
    ) -> GivenPlanes | None:
        """Planes on `device` for one such frame enlarged, to be given to `submit` as `out`; None: use arrays.

        They are given back when nobody holds them, nor what was made of them by DLPack.
        """
        compiled = self._sessions.for_frame(fmt, color, width, height)
        session, reads = compiled.session, self.device_for(fmt, width, height)
        if reads != device or compiled.blends or not isinstance(session, LendingSession):
            return None
        return session.lend_frame(fmt, width * self.scale, height * self.scale)

    def submit(
        self, planes: GivenPlanes, fmt: PixelFormat, color: ColorSpec, out: GivenPlanes | None = None
    ) -> Future[Planes]:
        """Queue one frame of a sequence; the future holds planes `scale` times as large.

        Args:
            planes: read only, may be strided views, and may lie on the device that `device_for`
                names; must stay alive and unchanged until the future is done. Planes on a device
                are never compared with the frame before: every tile is computed.
            out: planes to write into (views allowed), in memory or as `lend_frame` gives them; new ones by default,
                and instead of lent ones where tiles have become so small that they are blended.

        The result belongs to the caller, who must not write into it before the next frame's
        future is done: exact reuse copies unchanged tiles from it. Keep about `in_flight` futures
        unfinished; results come in the order they are waited for.

        Raises:
            BadInput: planes do not fit the format.
        """
        return self._start(planes, fmt, color, out, in_sequence=self._reuse, waits=False).done

    def next_planes(self, planes: Planes, fmt: PixelFormat, color: ColorSpec, out: Planes | None = None) -> Planes:
        """As `submit`, and wait: for callers with threads of their own, whose thread then does the work."""
        return self._start(planes, fmt, color, out, in_sequence=self._reuse, waits=True).done.result()

    def planes(self, planes: Planes, fmt: PixelFormat, color: ColorSpec, out: Planes | None = None) -> Planes:
        """Upscale one frame and wait for it. As `submit`, without reuse."""
        return self._start(planes, fmt, color, out, in_sequence=False, waits=True).done.result()

    def image(self, array: Array) -> Array:
        """Upscale an H×W or H×W×{1,2,3,4} image; the last of 2 or 4 channels is alpha.

        uint8, uint16, float16 or float32 (0..1), gamma-encoded; the same dtype comes back.
        """
        from sr_core.array import upscale_image

        return upscale_image(self, array)

    def close(self) -> None:
        """Wait for frames under way, then free every session."""
        if self._closed:
            return
        self._closed = True
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        wait_for(self._here.copy())
        self._previous = None
        self._sessions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- one frame

    def _start(
        self,
        planes: GivenPlanes,
        fmt: PixelFormat,
        color: ColorSpec,
        out: GivenPlanes | None,
        *,
        in_sequence: bool,
        waits: bool,
    ) -> FrameJob:
        if self._closed:
            raise EngineError("this upscaler is closed")
        width, height = fmt.check(planes)
        compiled = self._sessions.for_frame(fmt, color, width, height)
        plan = compiled.plan
        planes = tuple(
            pad_to(plane, shape) for plane, shape in zip(planes, fmt.plane_shapes(plan.width, plan.height), strict=True)
        )
        job = self._job(compiled, planes, fmt, color, (width, height), out)
        job.open_tiles = len(plan)
        job.tiles = {tile: Future() for tile in plan}
        if in_sequence and are_arrays(planes) and job.fills_arrays:
            job.planes = job.kept = tuple(np.array(plane) for plane in planes)
        runs_here = waits and len(plan) == 1  # handing it to another thread and back takes 0.2 ms of CPU
        # One step: tiles wait for those of the frame before, so these must be ahead of them in the pool's queue.
        with self._lock:
            if in_sequence:
                before, self._previous = self._previous, job
                if before is not None and before.compiled is compiled:
                    job.previous = before
            if not runs_here:
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(self.backend.contexts, thread_name_prefix="srvid-tile")
                    self.in_flight = self.backend.contexts + 1
                for tile in plan:
                    self._pool.submit(self._run_tile, job, tile)
        if runs_here:
            self._here.add(job.done)
            job.done.add_done_callback(self._here.discard)
            self._run_tile(job, *plan)
        return job

    def _job(
        self,
        compiled: TiledSession,
        planes: GivenPlanes,
        fmt: PixelFormat,
        color: ColorSpec,
        size: tuple[int, int],
        out: GivenPlanes | None,
    ) -> FrameJob:
        width, height = size[0] * self.scale, size[1] * self.scale
        plan = compiled.plan
        wanted = fmt.plane_shapes(width, height)
        if out is not None and [plane.shape for plane in out] != list(wanted):
            raise BadInput(f"output planes are {[plane.shape for plane in out]}, expected {list(wanted)}")
        if compiled.blends and out is not None and not are_arrays(out):
            out = None  # tiles are summed in memory; it was lent before memory ran out for a whole frame
        is_padded = (plan.width, plan.height) != size
        if is_padded and out is not None and not are_arrays(out):
            raise BadInput("a frame that has to be padded cannot be made on a device")
        target = fmt.empty(plan.width * self.scale, plan.height * self.scale) if is_padded or out is None else out
        result: GivenPlanes = tuple(plane[: shape[0], : shape[1]] for plane, shape in zip(target, wanted, strict=True))
        job = FrameJob(fmt, color, compiled, planes, target, Future(), result if out is None else out)
        if compiled.blends:
            job.blender = Blender(plan, fmt, self.scale)
        return job

    def _run_tile(self, job: FrameJob, tile: Tile) -> None:
        try:
            if job.done.done():
                raise EngineError("another tile of this frame failed")
            if not self._copy_from_previous(job, tile):
                self._compute(job, tile)
            job.tiles[tile].set_result(None)
        except OutOfMemory as error:  # not the frame's end: see `_compute_smaller`
            job.tiles[tile].set_exception(error)
            with job.lock:
                job.too_large[tile] = error
        except BaseException as error:  # handed to whoever waits for the frame
            job.tiles[tile].set_exception(error)
            with job.lock:
                if not job.done.done():
                    job.done.set_exception(error)
            return
        with job.lock:
            job.open_tiles -= 1
            finished = job.open_tiles == 0 and not job.done.done()
        if finished:
            self._finish(job)

    def _compute(self, job: FrameJob, tile: Tile) -> None:
        plan = job.compiled.plan
        read = [
            read_part(plane, tile.across.read, plan.read_width, tile.down.read, plan.read_height, divisor)
            for plane, divisor in zip(job.planes, divisors_of(job.fmt), strict=True)
        ]

        own, corners = [], []
        for target, (across, down) in zip(job.out, divisors_of(job.fmt), strict=True):
            own.append(own_part(target, tile, self.scale, (across, down)))
            top = (tile.down.start - tile.down.read) * self.scale // down
            corners.append((top, (tile.across.start - tile.across.read) * self.scale // across))

        def deliver(outputs: Sequence[Array]) -> None:
            if job.blender is not None:
                job.blender.add(tile, outputs)
                return
            for source, target, (top, left) in zip(outputs, cast(Sequence[Array], own), corners, strict=True):
                np.copyto(target, source[top : top + target.shape[0], left : left + target.shape[1]])

        session = job.compiled.session
        arrays = cast(Sequence[Array], read)  # what is not an array lies where the backend said its sessions read
        if job.blender is None and isinstance(session, DirectSession):
            session.run_into(arrays, cast(Sequence[Array], own), corners)
        else:
            session.run(arrays, deliver)
        with self._lock:
            self.counts.computed += 1

    def _compute_smaller(self, job: FrameJob) -> None:
        """Compute with smaller tiles what the device had no memory for; the other tiles stay as they are.

        Raises:
            OutOfMemory: nothing smaller may be tried.
        """
        width, height = job.fmt.check(job.planes)
        again, (error, *_) = job, job.too_large.values()
        while True:
            compiled = self._sessions.shrink(job.fmt, job.color, width, height, than=again.compiled.plan, error=error)
            there = None if job.fills_arrays else job.out  # on a device all of the frame is made again, in its place
            again = self._job(compiled, job.planes, job.fmt, job.color, (width, height), there)
            try:
                for tile in compiled.plan:
                    self._compute(again, tile)
                break
            except OutOfMemory as another:
                error = another
        job.take_over(again, self.scale)
        job.compiled = compiled  # nothing holds the session that was too large for this frame's sake

    def _copy_from_previous(self, job: FrameJob, tile: Tile) -> bool:
        """Copy the tile from the frame before, if every sample it reads is the same there."""
        before, plan = job.previous, job.compiled.plan
        if before is None or before.kept is None or job.kept is None or job.blender is not None:
            return False
        for now, then, divisor in zip(job.kept, before.kept, divisors_of(job.fmt), strict=True):
            area = (tile.across.read, plan.read_width, tile.down.read, plan.read_height)
            if not is_same(read_part(now, *area, divisor), read_part(then, *area, divisor)):
                return False
        its_tile = before.tiles.get(tile)  # None: it was begun with larger tiles
        if its_tile is None or its_tile.exception() is not None:
            return False
        out, made = cast(Planes, job.out), cast(Planes, before.out)  # `kept` is of frames in arrays alone
        for source, target, divisor in zip(made, out, divisors_of(job.fmt), strict=True):
            np.copyto(own_part(target, tile, self.scale, divisor), own_part(source, tile, self.scale, divisor))
        with self._lock:
            self.counts.reused += 1
        return True

    def _finish(self, job: FrameJob) -> None:
        try:
            if job.too_large:
                self._compute_smaller(job)
            result = job.finish()
        except BaseException as error:  # handed to whoever waits for the frame
            job.done.set_exception(error)
        else:
            job.done.set_result(result)
        job.previous = None

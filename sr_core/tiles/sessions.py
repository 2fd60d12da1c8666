"""Which tiles a frame is cut into, and the compiled session that runs them.

    format, colours, frame size ──► plan (chosen once) ──► session of the plan's read size (compiled once)

Chosen for the CPU's caches, by the caller's `tile`, or as large as a GPU's memory allows; a network
without a finite reach gets tiles that overlap, to be blended.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sr_core.backend import Backend, Precision, Progress, Session
from sr_core.backends.handover import HandoverSession
from sr_core.backends.next_best import LEAST_READ
from sr_core.color import ColorSpec
from sr_core.errors import BadInput, OutOfMemory
from sr_core.frame import PixelFormat
from sr_core.graph.compose import alignment, compose, halo_of
from sr_core.graph.cost import GraphCost, cost_of
from sr_core.model_spec import ModelSpec
from sr_core.tiles.read_size import best_read, shared_side
from sr_core.tiles.tiling import BegunTile, TilePlan, balanced_read, plan_tiles, round_up
from sr_core.wording import option

if TYPE_CHECKING:
    from onnx import ModelProto

log = logging.getLogger(__name__)
SESSIONS_KEPT = 6  # compiled shapes held at once; images of mixed sizes need a few
PLANS_KEPT = 64  # frame sizes whose tile plan is remembered; a plan is small, choosing one takes a millisecond
BLEND_OVERLAP = 32  # input pixels that tiles of an unbounded network share on each side
HALO_SIDE = 96  # input pixels of the graph that the halo is read from
GPU_READ = 512  # tile side on a GPU where nobody chose and a whole frame is too much
# A whole frame costs the host a third of what tiles of 512 cost it (benchmarks/host_work.py). It is taken where
WHOLE_SHARE = 1 / 3  # its estimated activations and planes take no more of the device's memory than this,
ESTIMATE_LEAVES = 1.5  # the estimate taken so many times, for what a builder adds,
WHOLE_MULTIPLICATIONS = 1e12  # and it is not work beside which tiles cost nothing; FP32 on a CPU checks it in seconds
SLOTS_OF_PLANES = 4  # of a session: three under way, and what is bound to the engine


@dataclass(frozen=True)
class _Key:
    fmt: PixelFormat
    color: ColorSpec
    width: int
    height: int


@dataclass(frozen=True)
class TiledSession:
    """A session and the plan it belongs to."""

    session: Session
    plan: TilePlan
    blends: bool


class TileSessions:
    """The sessions of one model on one backend. Thread-safe; arguments as for `Upscaler`."""

    def __init__(
        self,
        model: ModelProto,
        spec: ModelSpec,
        backend: Backend,
        *,
        precision: Precision,
        tile: int | tuple[int, int] | BegunTile | None,
        shared_tiles: bool,
        progress: Progress | None,
    ) -> None:
        if isinstance(tile, int) and tile < 16:
            raise BadInput(f"a tile of {tile} pixels is too small", hint=f"use {option('tile', 64)} or more")
        self._model, self._spec, self._backend = model, spec, backend
        self._precision, self._shared_tiles, self._progress = precision, shared_tiles, progress
        self._begun = tile if isinstance(tile, BegunTile) else None
        self._tile = None if isinstance(tile, BegunTile) else tile
        self._now = self._begun.now if self._begun else None
        self._firsts: dict[_Key, tuple[int, int]] = {}
        self._compiled: OrderedDict[_Key, TiledSession] = OrderedDict()
        self._halos: dict[tuple[PixelFormat, ColorSpec], int | None] = {}
        self._plans: OrderedDict[_Key, TilePlan] = OrderedDict()
        self._gpu_read = GPU_READ
        self._takes_whole = True  # until a device's memory runs out
        self._costs: dict[tuple[PixelFormat, ColorSpec], GraphCost | None] = {}
        self._lock = threading.Lock()

    def for_frame(self, fmt: PixelFormat, color: ColorSpec, width: int, height: int) -> TiledSession:
        """What a frame of that size and meaning is run with; compiled on the first call."""
        color = replace(color, guessed=())
        align = alignment(self._spec, fmt)
        padded = self._padded(width, align, 0), self._padded(height, align, 1)
        with self._lock:
            plan = self._plan(fmt, color, padded, align)
            blends = self._halo(fmt, color, align) is None
            key = _Key(fmt, color, plan.read_width, plan.read_height)
            known = self._compiled.get(key)
            if known is None:
                plan, session = self._compile(fmt, color, padded, align)
                key = _Key(fmt, color, plan.read_width, plan.read_height)
                known = TiledSession(session, plan, blends and len(plan) > 1)
            elif known.plan != plan:
                known = TiledSession(known.session, plan, blends and len(plan) > 1)
            if isinstance(known.session, HandoverSession) and (session := known.session.current()) is not known.session:
                known = replace(known, session=session)
            self._firsts.setdefault(_Key(fmt, color, *padded), (known.plan.read_width, known.plan.read_height))
            self._compiled[key] = known
            self._compiled.move_to_end(key)
            while len(self._compiled) > SESSIONS_KEPT:
                self._compiled.popitem(last=False)  # freed when its last frame is done
            return known

    def first_read(self, fmt: PixelFormat, color: ColorSpec, width: int, height: int) -> tuple[int, int]:
        """What a tile of such frames read when they began, whatever memory has made of it since."""
        if self._begun is not None:
            return self._begun.first
        plan = self.for_frame(fmt, color, width, height).plan
        return self._firsts[_Key(fmt, replace(color, guessed=()), plan.width, plan.height)]

    def _compile(
        self, fmt: PixelFormat, color: ColorSpec, size: tuple[int, int], align: int
    ) -> tuple[TilePlan, Session]:
        """The tiles of a frame of `size`, as large as the device has memory for, and their session."""
        while True:
            plan, on_cpu = self._plan(fmt, color, size, align), self._backend.on_cpu
            try:
                session = self._open(fmt, color, plan.read_width, plan.read_height)
            except OutOfMemory as error:
                if self._plan_smaller(fmt, color, size, align, plan, error) is None:
                    raise
            else:
                if self._backend.on_cpu == on_cpu:
                    return plan, session
                session.close()  # another device was taken (`next_best`): tiles of other sizes pay there
                self._plans.clear()

    def shrink(
        self, fmt: PixelFormat, color: ColorSpec, width: int, height: int, *, than: TilePlan, error: OutOfMemory
    ) -> TiledSession:
        """What such a frame goes on with, and all later ones, after `error` came while tiles of `than` ran.

        Raises:
            OutOfMemory: `error`, where nothing smaller may be tried.
        """
        plain = replace(color, guessed=())
        with self._lock:
            align = alignment(self._spec, fmt)
            padded = self._padded(width, align, 0), self._padded(height, align, 1)
            now = self._plan(fmt, plain, padded, align)  # another frame under way may have met it first
            is_smaller = now.read_width * now.read_height < than.read_width * than.read_height
            if not is_smaller and self._plan_smaller(fmt, plain, padded, align, than, error) is None:
                raise error
            # freed when the last frame that runs on it is done
            self._compiled.pop(_Key(fmt, plain, than.read_width, than.read_height), None)
        return self.for_frame(fmt, color, width, height)

    def _plan_smaller(
        self, fmt: PixelFormat, color: ColorSpec, size: tuple[int, int], align: int, plan: TilePlan, why: OutOfMemory
    ) -> TilePlan | None:
        """The plan for half the side, for this and all later frames; None where nothing smaller may be tried."""
        side = max(plan.read_width, plan.read_height) // 2
        if self._tile is not None or self._spec.fixed_size or self._backend.on_cpu or side < LEAST_READ:
            return None
        self._gpu_read, self._takes_whole, self._now = side, False, None
        self._plans.clear()
        smaller = self._plan(fmt, color, size, align)
        is_smaller = smaller.read_width * smaller.read_height < plan.read_width * plan.read_height
        if not is_smaller:
            return None  # a wide halo sets a least side
        log.warning(
            "%s has too little memory for tiles of %dx%d (%s): going on with %dx%d",
            *(self._backend.device, plan.read_width, plan.read_height, why.message.partition("\n")[0]),
            *(smaller.read_width, smaller.read_height),
        )
        return smaller

    def _padded(self, length: int, align: int, axis: int) -> int:
        """What a side of the frame becomes: aligned, and as long as the network needs."""
        least = self._spec.fixed_size[axis] if self._spec.fixed_size else self._spec.smallest
        return round_up(max(length, least), align)

    def halo_px(self, fmt: PixelFormat, color: ColorSpec) -> int | None:
        """Input pixels of context on each side that make a tile exact; None = unbounded."""
        with self._lock:
            return self._halo(fmt, color, alignment(self._spec, fmt))

    def close(self) -> None:
        """Free every session. None may be running."""
        for compiled in self._compiled.values():
            compiled.session.close()
        self._compiled.clear()

    def _plan(self, fmt: PixelFormat, color: ColorSpec, size: tuple[int, int], align: int) -> TilePlan:
        """The tiles of a frame of `size`, chosen once."""
        key = _Key(fmt, color, *size)
        if key not in self._plans:
            halo = self._halo(fmt, color, align)
            overlap = BLEND_OVERLAP if halo is None else halo
            read = self._read_size(fmt, color, size, overlap, align)
            if halo is None:
                overlap = min(overlap, min(read) // 4 // align * align)
            self._plans[key] = plan_tiles(*size, read=read, halo=overlap, align=align)
            while len(self._plans) > PLANS_KEPT:
                self._plans.popitem(last=False)
        return self._plans[key]

    def _open(self, fmt: PixelFormat, color: ColorSpec, width: int, height: int) -> Session:
        composed = compose(self._model, self._spec, fmt, color, width=width, height=height)
        return self._backend.open(composed, precision=self._precision, progress=self._progress)

    def _halo(self, fmt: PixelFormat, color: ColorSpec, align: int) -> int | None:
        if (fmt, color) not in self._halos:
            side = self._padded(HALO_SIDE, align, 0), self._padded(HALO_SIDE, align, 1)
            width, height = self._spec.fixed_size or side
            composed = compose(self._model, self._spec, fmt, color, width=width, height=height)
            halo = halo_of(composed, fmt, align)
            fixed = self._spec.fixed_size
            if halo is not None and fixed is not None and min(fixed) < 2 * round_up(halo, align) + align:
                halo = None  # tiles of that size own nothing beside it: they are blended
            self._halos[fmt, color] = halo
        return self._halos[fmt, color]

    def _read_size(
        self, fmt: PixelFormat, color: ColorSpec, size: tuple[int, int], halo: int, align: int
    ) -> tuple[int, int]:
        if self._spec.fixed_size is not None:
            fixed = self._spec.fixed_size
            if self._tile is not None and self._tile not in (fixed, *({fixed[0]} if fixed[0] == fixed[1] else ())):
                raise BadInput(
                    f"model {self._spec.name!r} only takes tiles of {fixed[0]}x{fixed[1]}",
                    hint=f"leave {option('tile')} out",
                )
            return fixed
        if isinstance(self._tile, tuple):
            return self._tile
        if self._tile is not None:
            side = max(self._tile, round_up(2 * halo + align, align), self._spec.smallest)
            return side, side
        if self._now is not None:
            return self._now
        if self._backend.on_cpu:
            if self._shared_tiles:
                side = shared_side(halo=halo, align=align, smallest=self._spec.smallest)
                return side, side
            return best_read(size, halo=halo, align=align, smallest=self._spec.smallest)
        if not self._shared_tiles and self._fits_whole(fmt, color, size, align):
            return size
        side = max(self._gpu_read, 4 * halo)
        if self._shared_tiles:
            return side, side
        width, height = (balanced_read(length, read=side, halo=halo, align=align) for length in size)
        return width, height

    def _fits_whole(self, fmt: PixelFormat, color: ColorSpec, size: tuple[int, int], align: int) -> bool:
        """Whether a device is to take frames of `size` as one tile. One that does not tell its memory gets tiles."""
        memory = int(getattr(self._backend, "memory_bytes", 0))
        if not memory or not self._takes_whole:
            return False
        if (fmt, color) not in self._costs:
            side = self._padded(HALO_SIDE, align, 0), self._padded(HALO_SIDE, align, 1)
            self._costs[fmt, color] = cost_of(
                compose(self._model, self._spec, fmt, color, width=side[0], height=side[1])
            )
        cost, scale = self._costs[fmt, color], self._spec.scale
        if cost is None:
            return False
        samples = sum(math.prod(shape) for shape in fmt.plane_shapes(*size))
        planes = samples * (1 + scale**2) * fmt.dtype.itemsize * SLOTS_OF_PLANES
        pixels = size[0] * size[1]
        needed = cost.activation_bytes * pixels * ESTIMATE_LEAVES + planes
        return needed <= memory * WHOLE_SHARE and cost.multiplications * pixels <= WHOLE_MULTIPLICATIONS

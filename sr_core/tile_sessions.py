"""Which tiles a frame is cut into, and the compiled session that runs them.

    format, colours, frame size ──► plan (chosen once) ──► session of the plan's read size (compiled once)

Chosen by the backend's measured costs, by the caller's `tile`, or as large as memory allows; a network
without a finite reach gets tiles that overlap, to be blended.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sr_core import graph
from sr_core.backend import Backend, Precision, Progress, Session
from sr_core.color import ColorSpec
from sr_core.errors import BadInput
from sr_core.frame import PixelFormat
from sr_core.handover import HandoverSession
from sr_core.model_spec import ModelSpec
from sr_core.tile_tuning import best_read, measured_costs
from sr_core.tiling import TilePlan, balanced_read, plan_tiles, round_up

if TYPE_CHECKING:
    from onnx import ModelProto

SESSIONS_KEPT = 6  # compiled shapes held at once; images of mixed sizes need a few
PLANS_KEPT = 64  # frame sizes whose tile plan is remembered; a plan is small, choosing one takes a millisecond
BLEND_OVERLAP = 32  # input pixels that tiles of an unbounded network share on each side
GPU_READ = 512  # tile side where a backend does not tune and nobody chose


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
        tile: int | tuple[int, int] | None,
        shared_tiles: bool,
        progress: Progress | None,
    ) -> None:
        if isinstance(tile, int) and tile < 16:
            raise BadInput(f"a tile of {tile} pixels is too small", hint="use --tile 64 or more")
        self._model, self._spec, self._backend = model, spec, backend
        self._precision, self._tile, self._shared_tiles, self._progress = precision, tile, shared_tiles, progress
        self._compiled: OrderedDict[_Key, TiledSession] = OrderedDict()
        self._halos: dict[tuple[PixelFormat, ColorSpec], int | None] = {}
        self._plans: OrderedDict[_Key, TilePlan] = OrderedDict()
        self._lock = threading.Lock()

    def for_frame(self, fmt: PixelFormat, color: ColorSpec, width: int, height: int) -> TiledSession:
        """What a frame of that size and meaning is run with; compiled on the first call."""
        color = replace(color, guessed=())
        align = graph.alignment(self._spec, fmt)
        padded = (round_up(width, align), round_up(height, align))
        with self._lock:
            plan = self._plan(fmt, color, padded, align)
            blends = self._halo(fmt, color, align) is None
            key = _Key(fmt, color, plan.read_width, plan.read_height)
            known = self._compiled.get(key)
            if known is None:
                session = self._open(fmt, color, plan.read_width, plan.read_height)
                known = TiledSession(session, plan, blends and len(plan) > 1)
            elif known.plan != plan:
                known = TiledSession(known.session, plan, blends and len(plan) > 1)
            if isinstance(known.session, HandoverSession) and (session := known.session.current()) is not known.session:
                known = replace(known, session=session)
            self._compiled[key] = known
            self._compiled.move_to_end(key)
            while len(self._compiled) > SESSIONS_KEPT:
                self._compiled.popitem(last=False)  # freed when its last frame is done
            return known

    def halo_px(self, fmt: PixelFormat, color: ColorSpec) -> int | None:
        """Input pixels of context on each side that make a tile exact; None = unbounded."""
        with self._lock:
            return self._halo(fmt, color, graph.alignment(self._spec, fmt))

    def close(self) -> None:
        """Free every session. None may be running."""
        for compiled in self._compiled.values():
            compiled.session.close()
        self._compiled.clear()

    def _plan(self, fmt: PixelFormat, color: ColorSpec, size: tuple[int, int], align: int) -> TilePlan:
        """The tiles of a frame of `size`, chosen once: measured costs are read from a file, under the model's hash."""
        key = _Key(fmt, color, *size)
        if key not in self._plans:
            halo = self._halo(fmt, color, align)
            overlap = BLEND_OVERLAP if halo is None else halo
            read = self._read_size(fmt, color, size, overlap, align)
            self._plans[key] = plan_tiles(*size, read=read, halo=overlap, align=align)
            while len(self._plans) > PLANS_KEPT:
                self._plans.popitem(last=False)
        return self._plans[key]

    def _open(self, fmt: PixelFormat, color: ColorSpec, width: int, height: int) -> Session:
        composed = graph.compose(self._model, self._spec, fmt, color, width=width, height=height)
        return self._backend.open(composed, precision=self._precision, progress=self._progress)

    def _halo(self, fmt: PixelFormat, color: ColorSpec, align: int) -> int | None:
        if (fmt, color) not in self._halos:
            composed = graph.compose(self._model, self._spec, fmt, color, width=align * 4, height=align * 4)
            self._halos[fmt, color] = graph.halo_of(composed, fmt, align)
        return self._halos[fmt, color]

    def _read_size(
        self, fmt: PixelFormat, color: ColorSpec, size: tuple[int, int], halo: int, align: int
    ) -> tuple[int, int]:
        if isinstance(self._tile, tuple):
            return self._tile
        if self._tile is not None:
            side = max(self._tile, round_up(2 * halo + align, align))
            return side, side
        if not self._backend.tunes_tiles:
            side = max(GPU_READ, 4 * halo)
            if self._shared_tiles:
                return side, side
            width, height = (balanced_read(length, read=side, halo=halo, align=align) for length in size)
            return width, height
        costs = measured_costs(
            self._model,
            self._backend,
            fmt,
            lambda side: self._open(fmt, color, side, side),
            scale=self._spec.scale,
            align=align,
            progress=self._progress,
        )
        return best_read(costs, size, halo=halo, align=align, shared=self._shared_tiles)

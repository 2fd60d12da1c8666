"""Frames by models, and what a whole run would take: one thread owns the engines.

    still (decoded once) ─► engine of each model (at most four open) ─► PNG, lossless
                       └──► bicubic

Frames that somebody waits for come before estimates. Results are kept until they fill a budget:
swapping between models asks nothing again.
"""

from __future__ import annotations

import itertools
import os
import struct
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from queue import PriorityQueue
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sr_core.errors import Cancelled
from sr_core.frame import Array, PixelFormat, Planes
from sr_ui.library import Kind

if TYPE_CHECKING:
    from sr_video.still import Still
    from srvid.recipe import Engine

SOURCE, BICUBIC = "source", "bicubic"  # names beside the models'
MAX_PIXELS = 36_000_000  # of a picture that is shown: 1080p at ×4 whole; of larger ones the middle
_ENGINES = 4
_STILLS = 4
_KEPT_BYTES = 300_000_000
_MAX_IMAGE_PIXELS = 500_000_000
Priority = Literal[0, 1]  # 0: somebody waits for a frame


@dataclass(frozen=True, kw_only=True)
class Look:
    """One picture.

    Attributes:
        seconds: when the frame is shown; 0 for an image.
        engine_seconds: in the engine; 0 for what is no model's.
    """

    png: bytes
    width: int
    height: int
    seconds: float
    engine_seconds: float


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which picture."""

    path: Path
    kind: Kind
    seconds: Fraction
    model: str
    scale: int


class Looks:
    """Makes pictures and estimates; close it, or its engines stay open."""

    def __init__(self) -> None:
        self._tasks: PriorityQueue[tuple[int, int, Callable[[], Any] | None, Future[Any]]] = PriorityQueue()
        self._numbers = itertools.count()
        self._engines: OrderedDict[tuple[str, int], tuple[Engine, ExitStack]] = OrderedDict()
        self._stills: OrderedDict[tuple[object, ...], Still] = OrderedDict()
        self._kept: OrderedDict[tuple[object, ...], Look] = OrderedDict()
        self._waited_for: set[Future[Any]] = set()
        self._thread = threading.Thread(target=self._work, name="looks", daemon=True)
        self._thread.start()

    def let_go(self) -> None:
        """Let everybody who waits for a picture or an estimate go: the server ends, and the work may take long."""
        for future in list(self._waited_for):
            _settle(future, Cancelled("the server ends"))

    def close(self) -> None:
        """Close the engines; what still waits is cancelled."""
        self._tasks.put((-1, next(self._numbers), None, Future()))
        self._thread.join(30)

    def look(self, asked: Asked) -> Look:
        """The picture, from what is kept or made now.

        Raises:
            SrError: it cannot be read, or the model cannot run.
        """
        return self._soon(0, lambda: self._look(asked))

    def estimate(self, path: Path, target: Path, options: dict[str, Any]) -> dict[str, Any]:
        """`srvid --plan` for a video, as JSON.

        Raises:
            SrError: what a run would raise.
        """
        return self._soon(1, lambda: _estimate(path, target, options))

    def _soon[Result](self, priority: Priority, task: Callable[[], Result]) -> Result:
        future: Future[Result] = Future()
        self._waited_for.add(future)
        try:
            self._tasks.put((priority, next(self._numbers), task, future))
            return future.result()
        finally:
            self._waited_for.discard(future)

    # on the thread ----------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            _, _, task, future = self._tasks.get()
            if task is None:
                break
            if future.done():
                continue  # nobody waits any more
            try:
                _settle(future, task())
            except Exception as error:  # raised again where somebody waits
                _settle(future, error)
        self.let_go()
        for _, stack in self._engines.values():
            stack.close()

    def _look(self, asked: Asked) -> Look:
        key = (*_stamp(asked.path), asked.seconds, asked.model, asked.scale)
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        look = self._image(asked) if asked.kind == "image" else self._frame(asked)
        self._kept[key] = look
        while sum(len(other.png) for other in self._kept.values()) > _KEPT_BYTES and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return look

    def _frame(self, asked: Asked) -> Look:
        from sr_video.still import display_code_points, to_rgb8

        still = self._still(asked)
        facts, planes = still.facts, _middle(still.planes, still.facts.format, asked.scale)
        took = 0.0
        if asked.model not in (SOURCE, BICUBIC):
            engine = self._engine(asked.model, asked.scale)
            began = time.perf_counter()
            planes = engine.submit(planes, facts.format, facts.color).result()
            took = time.perf_counter() - began
        picture = to_rgb8(planes, facts.format, facts.color, facts.display_matrix)
        if asked.model == BICUBIC:
            picture = _bicubic(picture, asked.scale)
        return _look(picture, display_code_points(facts), still.seconds, took)

    def _image(self, asked: Asked) -> Look:
        from sr_image.view import to_rgb8

        pixels = to_rgb8(asked.path, max_pixels=_MAX_IMAGE_PIXELS)
        (pixels,) = _middle((pixels,), None, asked.scale)
        took = 0.0
        if asked.model == BICUBIC:
            pixels = _bicubic(pixels, asked.scale)
        elif asked.model != SOURCE:
            engine = self._engine(asked.model, asked.scale)
            began = time.perf_counter()
            pixels = _enlarge(engine, pixels)
            took = time.perf_counter() - began
        return _look(pixels, None, 0.0, took)

    def _still(self, asked: Asked) -> Still:
        from sr_video.still import still_at

        key = (*_stamp(asked.path), asked.seconds)
        if key not in self._stills:
            self._stills[key] = still_at(str(asked.path), asked.seconds)
            if len(self._stills) > _STILLS:
                self._stills.popitem(last=False)
        return self._stills[key]

    def _engine(self, model: str, scale: int) -> Engine:
        from srvid.recipe import EngineRecipe

        key = (model, scale)
        if key not in self._engines:
            while len(self._engines) >= _ENGINES:
                _, (_, stack) = self._engines.popitem(last=False)
                stack.close()
            stack = ExitStack()
            opened: AbstractContextManager[Engine] = EngineRecipe(model=model).open(scale)
            self._engines[key] = (stack.enter_context(opened), stack)
        self._engines.move_to_end(key)
        return self._engines[key][0]


def _settle(future: Future[Any], found: object) -> None:
    """Give `future` its result, or an error to raise, unless it has one."""
    with suppress(InvalidStateError):
        future.set_exception(found) if isinstance(found, Exception) else future.set_result(found)


def _estimate(path: Path, target: Path, options: dict[str, Any]) -> dict[str, Any]:
    from sr_video.decide.plan import Request
    from sr_video.segments.forecast import estimate
    from sr_video.segments.terms import DEFAULT_SECONDS
    from srvid.recipe import EngineRecipe

    recipe = EngineRecipe(model=options["model"])
    scale, engine_scales = recipe.scales(Fraction(options["scale"]))
    request = Request(
        source=str(path),
        target=str(target),
        scale=scale,
        engine_scales=engine_scales,
        codec=options.get("codec"),
        crf=options.get("crf"),
        preset=options.get("preset"),
        keeps_audio=not options.get("no_audio"),
    )
    found = estimate(request, recipe, segment_seconds=DEFAULT_SECONDS)
    encoder = found.plan.encoder
    return {
        "frames": found.frames,
        "fps": round(found.fps, 3),
        "seconds": None if found.frames is None else round(found.frames / found.fps, 1),
        "output_bytes": found.output_bytes,
        "width": encoder.width,
        "height": encoder.height,
        "codec": encoder.codec.encoder,
        "notes": list(found.plan.notes),
    }


def _enlarge(engine: Engine, pixels: Array) -> Array:
    from sr_core.array import upscale_image

    return upscale_image(engine, pixels)


def _bicubic(picture: Array, scale: int) -> Array:
    from PIL import Image

    height, width = picture.shape[:2]
    enlarged = Image.fromarray(picture).resize((width * scale, height * scale), Image.Resampling.BICUBIC)
    return np.asarray(enlarged)


def _middle(planes: Planes, fmt: PixelFormat | None, scale: int) -> Planes:
    """The part that fits MAX_PIXELS once enlarged; the planes themselves where all of it does."""
    height, width = planes[0].shape[:2]
    shrink = (width * height * scale * scale / MAX_PIXELS) ** 0.5
    if shrink <= 1:
        return planes
    inner_width, inner_height = (int(side / shrink) & ~15 for side in (width, height))
    left, top = ((width - inner_width) // 2) & ~15, ((height - inner_height) // 2) & ~15
    names = fmt.plane_names if fmt is not None else ("rgb",)
    parts = []
    for name, plane in zip(names, planes, strict=True):
        across, down = (1, 1) if fmt is None else fmt.plane_divisor(name)
        rows = slice(top // down, (top + inner_height) // down)
        parts.append(np.ascontiguousarray(plane[rows, left // across : (left + inner_width) // across]))
    return tuple(parts)


def _look(picture: Array, code_points: tuple[int, int] | None, seconds: float, took: float) -> Look:
    height, width = picture.shape[:2]
    return Look(png=_png(picture, code_points), width=width, height=height, seconds=seconds, engine_seconds=took)


def _png(picture: Array, code_points: tuple[int, int] | None) -> bytes:
    """Lossless, and stored without compression: a tenth of the time, and it never leaves the machine.

    HDR carries a cICP chunk (PNG, third edition, §11.3.2.6), so that browsers show it as HDR.
    """
    height, width = picture.shape[:2]
    rows = np.zeros((height, 1 + width * 3), np.uint8)  # each begins with its filter: 0, none
    rows[:, 1:] = picture.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header)]
    if code_points is not None:
        parts.append(_chunk(b"cICP", bytes([*code_points, 0, 1])))  # RGB, full range
    return b"".join([*parts, _chunk(b"IDAT", zlib.compress(rows, 0)), _chunk(b"IEND", b"")])


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))


def _stamp(path: Path) -> tuple[object, ...]:
    status = os.stat(path)
    return str(path), status.st_size, status.st_mtime_ns

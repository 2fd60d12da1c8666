"""Frames by models, and what a whole run would take.

    still (decoded once) ─► engine of each model (at most four open) ─► kept ─┐
                       └──► bicubic, the source ──────────────────────────────┴─► PNG

One lane owns the engines: frames that somebody waits for come before estimates. Another makes what needs no engine,
beside it. Enlarged planes are kept until they fill a budget: swapping between models and zooming ask no engine again.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sr_core.file_stamp import stamp_of
from sr_core.model_spec import LARGEST_SIDE
from sr_ui.lane import IsWanted, Lane
from sr_ui.library import Kind

if TYPE_CHECKING:
    from sr_core.frame import Planes
    from sr_ui.pictures import Picture
    from sr_video.decide.plan import Request
    from srvid.recipe import Engine, EngineRecipe

SOURCE, BICUBIC = "source", "bicubic"  # names beside the models'
_ENGINES = 4
_SOURCES = 4
_KEPT_BYTES = 300_000_000
_MAX_IMAGE_PIXELS = 500_000_000
Key = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Look:
    """One picture, encoded.

    Attributes:
        width, height: of the whole; the PNG may be a reduced one.
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
    """Which picture.

    Attributes:
        model: as `--model` takes it, or SOURCE or BICUBIC.
        scale: what the model does not give is resized down.
        width: a wider picture is reduced to it.
    """

    path: Path
    kind: Kind
    seconds: Fraction
    model: str
    scale: Fraction
    strength: float = 1.0
    sharpen: float = 0.0
    grain: float | Literal["keep"] = 0.0
    width: int = LARGEST_SIDE


class Looks:
    """Makes pictures and estimates; close it, or its engines stay open."""

    def __init__(self) -> None:
        self._with_engines, self._without = Lane("engines"), Lane("pictures")
        self._sources_lock, self._kept_lock = threading.Lock(), threading.Lock()
        self._sources: OrderedDict[Key, Picture] = OrderedDict()
        self._kept: OrderedDict[Key, Picture] = OrderedDict()
        self._engines: OrderedDict[Key, tuple[Engine, ExitStack]] = OrderedDict()  # of its lane alone

    def let_go(self) -> None:
        """Let everybody who waits for a picture or an estimate go: the server ends, and the work may take long."""
        self._with_engines.let_go()
        self._without.let_go()

    def close(self) -> None:
        """Close the engines; what still waits is cancelled."""
        self._with_engines.close(self._close_engines)
        self._without.close()

    def look(self, asked: Asked) -> Look:
        """The picture, from what is kept or made now: once, also for two that ask at the same time.

        Raises:
            SrError: it cannot be read, or the model cannot run.
        """
        if asked.model in (SOURCE, BICUBIC):
            return self._without.soon(lambda: self._plain(asked))
        key = (*_stamp(asked.path), asked.seconds, asked.model, asked.scale, asked.strength, asked.sharpen)
        kept = self._find_kept(key)
        if kept is None:
            kept = self._with_engines.soon(lambda: self._find_kept(key) or self._enlarged(asked, key))
        return self._without.soon(lambda: _look(self._grainy(kept, asked), asked))

    def estimate(self, path: Path, target: Path, options: dict[str, Any]) -> dict[str, Any]:
        """`srvid --plan` for a video, as JSON.

        Raises:
            SrError: what a run would raise.
        """
        return self._with_engines.later(lambda is_wanted: _estimate(path, target, options, is_wanted))

    # on the lanes -----------------------------------------------------------------------------

    def _plain(self, asked: Asked) -> Look:
        source = self._source(asked)
        if asked.model == SOURCE:
            return _look(source, asked)
        return _look(source, asked, size=_size_of(source, asked.scale))

    def _find_kept(self, key: Key) -> Picture | None:
        with self._kept_lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
            return kept

    def _enlarged(self, asked: Asked, key: Key) -> Picture:
        source = self._source(asked)
        engine = self._engine(asked)
        began = time.perf_counter()
        planes: Planes
        if source.facts is None:
            planes = (_enlarge(engine, source.planes[0]),)
        else:
            planes = engine.submit(source.planes, source.facts.format, source.facts.color).result()
        took = time.perf_counter() - began
        made = replace(source, planes=planes, size=_size_of(source, asked.scale), engine_seconds=took)
        with self._kept_lock:
            self._kept[key] = made
            while sum(other.bytes for other in self._kept.values()) > _KEPT_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return made

    def _grainy(self, made: Picture, asked: Asked) -> Picture:
        """`made` with the grain that is asked for: laid anew each time, so that no engine is asked for it."""
        from sr_core.grain import film_of, lay, lay_as_asked

        if not asked.grain:
            return made
        given, facts = self._source(asked), made.facts
        if facts is None:
            return replace(made, planes=(lay_as_asked(asked.grain, given.planes[0], made.planes[0]),))
        film = film_of(asked.grain, given.planes, made.planes, facts.format, facts.color)
        return replace(made, planes=lay(film, made.planes, facts.format, facts.color, moment=made.moment))

    def _source(self, asked: Asked) -> Picture:
        """What is enlarged: the frame or image itself, or of a large one the middle."""
        key = (*_stamp(asked.path), asked.seconds, asked.scale)
        with self._sources_lock:  # of two that want it, one decodes it
            if key not in self._sources:
                self._sources[key] = _image(asked) if asked.kind == "image" else _frame(asked)
                if len(self._sources) > _SOURCES:
                    self._sources.popitem(last=False)
            return self._sources[key]

    def _engine(self, asked: Asked) -> Engine:
        from srvid.recipe import EngineRecipe

        key = (asked.model, asked.scale, asked.strength, asked.sharpen)
        if key not in self._engines:
            while len(self._engines) >= _ENGINES:
                _, (_, stack) = self._engines.popitem(last=False)
                stack.close()
            recipe = EngineRecipe(model=asked.model, strength=asked.strength, sharpen=asked.sharpen)
            stack = ExitStack()
            opened: AbstractContextManager[Engine] = recipe.open(_engine_scale(recipe, asked.scale))
            self._engines[key] = (stack.enter_context(opened), stack)
        self._engines.move_to_end(key)
        return self._engines[key][0]

    def _close_engines(self) -> None:
        for _, stack in self._engines.values():
            stack.close()


def _frame(asked: Asked) -> Picture:
    from sr_ui.pictures import Picture, is_on_its_side, middle_of
    from sr_video.still import still_at

    still = still_at(str(asked.path), asked.seconds)
    planes = middle_of(still.planes, still.facts.format, float(asked.scale))
    height, width = planes[0].shape[:2]
    size = (height, width) if is_on_its_side(still.facts) else (width, height)
    return Picture(planes=planes, facts=still.facts, size=size, seconds=still.seconds, moment=still.ticks)


def _image(asked: Asked) -> Picture:
    from sr_image.view import to_rgb8
    from sr_ui.pictures import Picture, middle_of

    planes = middle_of((to_rgb8(asked.path, max_pixels=_MAX_IMAGE_PIXELS),), None, float(asked.scale))
    height, width = planes[0].shape[:2]
    return Picture(planes=planes, facts=None, size=(width, height))


def _size_of(source: Picture, scale: Fraction) -> tuple[int, int]:
    from sr_video.decide.plan import scaled_side

    width, height = source.size
    return scaled_side(width, scale), scaled_side(height, scale)


def _engine_scale(recipe: EngineRecipe, wanted: Fraction) -> int:
    """The smallest that gives so much."""
    from sr_core.errors import BadInput

    _, scales = recipe.scales(wanted)
    found = next((scale for scale in scales if scale >= wanted), None)
    if found is None:
        raise BadInput(f"{recipe.model} enlarges {scales[-1]} times at most", hint="choose a smaller size")
    return found


def _look(picture: Picture, asked: Asked, *, size: tuple[int, int] | None = None) -> Look:
    """It encoded; `size`: enlarged to that by bicubic."""
    from sr_ui.pictures import bicubic_of, fitted, png_of, rgb_of
    from sr_video.still import display_code_points

    whole = size or picture.size
    shown = fitted(whole, asked.width)
    pixels = rgb_of(picture, shown) if size is None else bicubic_of(picture, shown)
    code_points = None if picture.facts is None else display_code_points(picture.facts)
    return Look(
        png=png_of(pixels, code_points),
        width=whole[0],
        height=whole[1],
        seconds=picture.seconds,
        engine_seconds=picture.engine_seconds,
    )


def _enlarge(engine: Engine, pixels: Any) -> Any:
    from sr_core.array import upscale_image

    return upscale_image(engine, pixels)


def _request_of(path: Path, target: Path, recipe: EngineRecipe, options: dict[str, Any]) -> Request:
    """What a run with these options of the API is asked for."""
    from sr_video.decide.plan import Request

    scale, engine_scales = recipe.scales(exact(options["scale"]))
    return Request(
        source=str(path),
        target=str(target),
        scale=scale,
        height=options.get("height"),
        engine_scales=engine_scales,
        codec=options.get("codec"),
        crf=options.get("crf"),
        preset=options.get("preset"),
        keeps_audio=not options.get("no_audio"),
        steady=options.get("steady", False),
    )


def exact(number: float) -> Fraction:
    """As it is written: 1.5 is 3/2, 1.1 is 11/10."""
    return Fraction(str(number))


def _estimate(path: Path, target: Path, options: dict[str, Any], is_wanted: IsWanted) -> dict[str, Any]:
    from sr_video.segments.forecast import estimate
    from sr_video.segments.terms import DEFAULT_SECONDS
    from srvid.recipe import EngineRecipe

    shown = {name: options[name] for name in ("model", "strength", "sharpen", "grain") if name in options}
    recipe = EngineRecipe(**shown)
    request = _request_of(path, target, recipe, options)
    found = estimate(request, recipe, segment_seconds=DEFAULT_SECONDS, is_wanted=is_wanted)
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


def _stamp(path: Path) -> Key:
    return str(path), stamp_of(str(path))

"""Whole files from Python: what `srvid` and `srbatch` do, as functions. Parameters are named as options are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from fractions import Fraction
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sr_core.backend import Precision
from sr_core.errors import BadInput, OutputExists
from sr_core.wording import as_argument, option, spell
from sr_video.decide.plan import Plan, Request
from sr_video.read.source import Source
from sr_video.segments.run import upscale
from sr_video.segments.terms import DEFAULT_SECONDS, Segmenting
from sr_video.transcode import Progress, Summary
from sr_zoo.models import DEFAULT_MODEL
from srvid.front_door import open_upscaler
from srvid.recipe import EngineRecipe, check_steady
from srvid.upscaler import Upscaler

if TYPE_CHECKING:
    from sr_image.enlarge import EnlargeOptions

AnyPath = str | PathLike[str]


def upscale_video(
    source: AnyPath,
    target: AnyPath,
    *,
    scale: float | Fraction | None = None,
    width: int | None = None,
    height: int | None = None,
    model: str = DEFAULT_MODEL,
    backend: str = "auto",
    precision: Precision = "auto",
    tile: int | None = None,
    threads: int | None = None,
    strength: float = 1.0,
    sharpen: float = 0.0,
    self_ensemble: bool = False,
    grain: float | Literal["keep"] = 0.0,
    steady: bool = False,
    device: int | str | None = None,
    hwaccel: Literal["cuda"] | None = None,
    codec: str | None = None,
    crf: float | None = None,
    preset: str | None = None,
    pix_fmt: str | None = None,
    options: Mapping[str, str] | None = None,
    start: float | str | None = None,
    end: float | str | None = None,
    no_audio: bool = False,
    salvage: bool = False,
    segment: float | None = None,
    no_segments: bool = False,
    restart: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Summary:
    """Upscale the video `source` into `target`; everything else it carries is kept, as the command `srvid` does.

    Sound, subtitles, chapters, tags, colours, HDR and every timestamp are kept. `target` gets its name only
    when it is complete and verified. Anything longer than 20 seconds is made in segments: after a crash the
    same call goes on where it was.

    Args:
        source: a file, or an http(s) URL.
        target: a file; its ending is the container.
        scale: any factor from 1 on; None takes the model's own. Ignored where `width` or `height` is given.
        options: for the encoder, such as {"g": "48"}.
        start, end: seconds, or a text such as "1:30".
        segment: seconds of video in a segment.
        on_progress: called a few times a second.
        on_note: called with each thing that is changed or lost, in words.

    The other parameters are the options of `srvid --help`, named alike.

    Raises:
        SrError: with what to do next; nothing is left under the name of `target`.
    """
    check_steady(steady, grain)
    recipe = EngineRecipe(
        model=model,
        backend=backend,
        precision=precision,
        tile=tile,
        threads=threads,
        strength=strength,
        sharpen=sharpen,
        self_ensemble=self_ensemble,
        grain=grain,
        device=device,
    )
    factor, engine_scales = recipe.scales(None if scale is None else Fraction(scale).limit_denominator(1000))
    request = Request(
        source=fspath(source),
        target=fspath(target),
        scale=factor,
        engine_scales=engine_scales,
        model=recipe.model,
        width=width,
        height=height,
        codec=codec,
        crf=crf,
        preset=preset,
        pix_fmt=pix_fmt,
        options=dict(options or {}),
        start=_seconds(start),
        end=_seconds(end),
        keeps_audio=not no_audio,
        overwrite=overwrite,
        salvage=salvage,
        hwaccel=f"{hwaccel}:{device}" if hwaccel and isinstance(device, int) else hwaccel,
        device=device if isinstance(device, int) else None,
        steady=steady,
    )
    length = DEFAULT_SECONDS if segment is None else Fraction(str(segment))
    segmenting = Segmenting(seconds=None if no_segments else length, adapts=segment is None, restart=restart)
    return upscale(request, recipe, _Listener(on_progress, on_note), segmenting)


def upscale_image(
    source: AnyPath,
    target: AnyPath,
    *,
    upscaler: Upscaler | None = None,
    model: str = DEFAULT_MODEL,
    scale: int | None = None,
    width: int | None = None,
    height: int | None = None,
    max_size: int | None = None,
    megapixels: float | None = None,
    quality: int | None = None,
    profile: Literal["keep", "srgb"] = "keep",
    dpi: Literal["keep", "scale"] = "keep",
    background: tuple[int, int, int] | None = None,
    grain: float | Literal["keep"] = 0.0,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Upscale the image file `source` into `target`, meaning the same: depth, alpha, profile, EXIF, pages.

    Args:
        target: its ending is the format.
        upscaler: an open one to use; `model` and `scale` open one for this call otherwise.
        width, height, max_size, megapixels: exact output size.
        quality: 1 to 100, for lossy formats.
        background: colour under transparency, where the format has none.
        grain: film grain over the result, 0 to 1, or 'keep' for what the input had; at 0 that of `upscaler`.

    Returns:
        What changed besides the size, in words; () for nothing.

    Raises:
        SrError: with what to do next; nothing is left under the name of `target`.
    """
    place = Path(target)
    sizes = (width, height, max_size, megapixels)
    chosen = _enlarge_options(
        place.suffix, sizes, quality=quality, profile=profile, dpi=dpi, background=background, grain=grain
    )
    with _use_or_open(upscaler, model, scale) as engine:
        return _enlarge_file(Path(source), place, engine, chosen, overwrite=overwrite)


def upscale_images(
    sources: Iterable[AnyPath],
    folder: AnyPath,
    *,
    upscaler: Upscaler | None = None,
    model: str = DEFAULT_MODEL,
    scale: int | None = None,
    format: str | None = None,  # noqa: A002  # the option's name
    overwrite: bool = False,
    on_done: Callable[[Path, Path], None] | None = None,
    on_error: Callable[[Path, Exception], None] | None = None,
    **settings: Any,
) -> list[Path]:
    """Upscale image files into `folder`, under their own names, with one engine.

    Args:
        sources: files; folders are for `srbatch`, which also resumes.
        format: 'png', 'jpeg', …; None keeps each file's own.
        on_done: called with (source, target) of each finished file.
        on_error: called with (source, error) of one that fails, and the rest goes on; without it, the
            first error is raised.
        settings: those of `upscale_image`: width, height, max_size, megapixels, quality, profile, dpi,
            background, grain.

    Returns:
        The finished files, in order.

    Raises:
        SrError: see `on_error`.
    """
    into = Path(folder)
    into.mkdir(parents=True, exist_ok=True)
    sizes = tuple(settings.pop(name, None) for name in ("width", "height", "max_size", "megapixels"))
    finished: list[Path] = []
    with _use_or_open(upscaler, model, scale) as engine:
        for source in map(Path, sources):
            target = into / (source.name if format is None else f"{source.stem}.{format}")
            try:
                _enlarge_file(
                    source, target, engine, _enlarge_options(target.suffix, sizes, **settings), overwrite=overwrite
                )
            except Exception as error:
                if on_error is None:
                    raise
                on_error(source, error)
                continue
            finished.append(target)
            if on_done is not None:
                on_done(source, target)
    return finished


def _use_or_open(upscaler: Upscaler | None, model: str, scale: int | None) -> AbstractContextManager[Upscaler]:
    if upscaler is None:
        return open_upscaler(model, scale=scale, shared_tiles=True)
    if scale is not None and scale != upscaler.scale:
        raise BadInput(f"the upscaler enlarges {upscaler.scale} times, not {scale}", hint="leave scale out")
    return nullcontext(upscaler)


def _enlarge_options(
    suffix: str,
    sizes: tuple[Any, ...],
    *,
    quality: int | None = None,
    profile: str = "keep",
    dpi: str = "keep",
    background: tuple[int, int, int] | None = None,
    grain: float | Literal["keep"] = 0.0,
) -> EnlargeOptions:
    from sr_image.enlarge import EnlargeOptions
    from sr_image.formats.capabilities import format_named
    from sr_image.sizing import SizeTarget

    width, height, max_size, megapixels = sizes
    return EnlargeOptions(
        format=format_named(suffix).name,
        quality=quality,
        profile=profile,
        dpi=dpi,
        background=background,
        grain=grain,
        target=SizeTarget(width=width, height=height, max_side=max_size, megapixels=megapixels),
    )


def _enlarge_file(
    source: Path, target: Path, engine: Upscaler, chosen: EnlargeOptions, *, overwrite: bool
) -> tuple[str, ...]:
    from sr_image.enlarge import enlarge

    if engine.grain and not chosen.grain:
        chosen = replace(chosen, grain=engine.grain)
    if not source.is_file():
        raise BadInput(f"no file {source}", hint="check the path")
    if target.exists():
        if target.samefile(source):
            raise BadInput("input and output are the same file", hint="write under another name")
        if not overwrite:
            raise OutputExists(f"{target} exists already", hint=f"{option('overwrite', True)} replaces it")
    return tuple(spell(note, as_argument) for note in enlarge(source, target, engine, chosen).notes)


def _seconds(time: float | str | None) -> Fraction | None:
    from sr_video.timing import seconds_from_text

    return None if time is None else seconds_from_text(str(time))


class _Listener:
    """Hands a run's news to the caller's functions."""

    def __init__(self, on_progress: Callable[[Progress], None] | None, on_note: Callable[[str], None] | None) -> None:
        self._progress, self._note = on_progress, on_note

    def reading(self) -> None:
        pass  # before the first frame

    def planned(self, source: Source, plan: Plan) -> None:
        for note in plan.notes:
            self.noted(note)

    def progressed(self, progress: Progress) -> None:
        if self._progress is not None:
            self._progress(progress)

    def noted(self, text: str) -> None:
        if self._note is not None:
            self._note(spell(text, as_argument))

    def verifying(self, progress: Progress) -> None:
        self.progressed(progress)

    def indexing(self, share: float) -> None:
        pass  # short, and before the first frame

    def resuming(self, *, segments_done: int, segments: int, frames_done: int) -> None:
        self.noted(f"going on: {segments_done} of {segments} segments are there")

"""One image file in, one larger image file out, meaning the same.

`plan_enlarging` decides everything from headers alone (a dry run stops there); `enlarge` does it.
Small images go through memory whole; where that would pass the memory budget, rows are streamed
from disk to disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from sr_core.errors import BadInput
from sr_core.frame import Array
from sr_core.image.bands import BandUpscaler, context_rows, enlarged_bands, made_ahead, resized_bands
from sr_core.image.exif import has_thumbnail
from sr_core.image.formats import FORMATS, ImageFormat
from sr_core.image.jpeg_writer import oversized
from sr_core.image.meaning import Frame, Header, plays, rebanded
from sr_core.image.outcome import meaning_for_output, thumbnail_jpeg
from sr_core.image.pixels import INFINITY, PixelRoad, Survey, oriented, plan_road, survey
from sr_core.image.reader import DEFAULT_MAX_PIXELS, ImageFile, decoded_frames, open_image
from sr_core.image.sizing import SizeTarget
from sr_core.image.writer import check_writable, lost_metadata, write_image
from sr_core.wording import counted

DEFAULT_MEMORY_BYTES = 1 << 30
BAND_PIXELS = 2 << 20  # source pixels upscaled at a time: the grain of progress and of stopping
_MIN_BAND_ROWS = 64
_WHOLE_COST = 3.0  # bytes in use per byte of decoded input and output while an image is in memory
_BAND_SHARE = 8  # a band's output takes this part of the budget


@dataclass(frozen=True, kw_only=True)
class EnlargeOptions:
    """How files are enlarged.

    Attributes:
        format: output format name; None = as the input.
        quality: 1 to 100 for lossy formats; None = the format's default.
        profile: 'keep' embeds the input's ICC profile again, 'srgb' converts to sRGB.
        dpi: 'keep' leaves the resolution (the print grows), 'scale' multiplies it.
        background: colour under transparency, for formats without alpha.
        target: exact output size.
        memory_bytes: budget of one image.
        max_pixels: largest input accepted.
    """

    format: str | None = None
    quality: int | None = None
    profile: str = "keep"
    dpi: str = "keep"
    background: tuple[int, int, int] | None = None
    target: SizeTarget = field(default_factory=SizeTarget)
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    max_pixels: int = DEFAULT_MAX_PIXELS

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in FORMATS:
            raise BadInput(f"unknown image format {self.format!r}", hint=f"one of: {', '.join(FORMATS)}")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise BadInput(f"quality is 1 to 100, got {self.quality}")
        if self.profile not in ("keep", "srgb") or self.dpi not in ("keep", "scale"):
            raise BadInput(f"profile {self.profile!r}, dpi {self.dpi!r}", hint="keep or srgb; keep or scale")
        if self.memory_bytes < 64 << 20:
            raise BadInput("at least 64 MiB of memory are needed", hint="raise --memory")


@dataclass(frozen=True, kw_only=True)
class EnlargePlan:
    """What will happen to one file, known from its header.

    Attributes:
        source, output: headers; `output.orientation` is kept where rows are streamed.
        model_size: (width, height) after the network, as stored, before any resize.
        streams: the decoded image is never in memory whole.
        memory_bytes: estimate of what the work holds at its peak.
        notes: what changes besides the size, one sentence each.
    """

    source: Header
    output: Header
    model_size: tuple[int, int]
    streams: bool
    memory_bytes: int
    road: PixelRoad
    notes: tuple[str, ...]


def plan_enlarging(image: ImageFile, scale: int, options: EnlargeOptions) -> EnlargePlan:
    """Decide how `image` will be enlarged, or refuse it.

    Raises:
        BadInput: the output format cannot hold it, or memory does not allow it.
    """
    source = image.header
    kind = FORMATS[options.format or source.format]
    road = plan_road(source, image.meaning, kind, profile=options.profile, background=options.background)
    wanted = options.target.size_for(source.size, scale)
    notes = [*image.meaning.notes, *road.notes, *lost_metadata(road.meaning(image.meaning), kind.name)]
    if kind.name == "jpeg":
        notes += oversized(image.meaning)
    if kind.name == "avif" and source.durations and (count := plays(source)):
        notes.append(f"plays for ever instead of {counted(count, 'time')}: AVIF is written without a count")
    seen = source.size[0] * scale, source.size[1] * scale
    if wanted != seen:
        grows = wanted[0] > seen[0] or wanted[1] > seen[1]
        notes.append(f"resized from {seen[0]}x{seen[1]}" + (", past what the model gives" if grows else ""))
    output = Header(
        format=kind.name, width=wanted[0], height=wanted[1], channels=road.channels, dtype=road.dtype,
        alpha=road.alpha, frames=source.frames, durations=source.durations, loop=source.loop,
        lossless=source.lossless,
    )  # fmt: skip
    whole = int(_WHOLE_COST * (source.frame_bytes + output.frame_bytes + _model_bytes(source, scale)))
    if kind.name == "gif":
        whole += output.pixels  # the encoder keeps every frame, a byte a pixel
    if whole <= options.memory_bytes:
        check_writable(output)
        return EnlargePlan(
            source=source, output=output, model_size=seen, streams=False, memory_bytes=whole, road=road,
            notes=tuple(notes),
        )  # fmt: skip
    if source.banded and image.meaning.exif is not None and has_thumbnail(image.meaning.exif):
        notes.append("EXIF thumbnail left out: the image is too large to shrink in memory")
    return _plan_streaming(source, output, kind, road, scale, options, tuple(notes))


def _plan_streaming(
    source: Header, output: Header, kind: ImageFormat, road: PixelRoad, scale: int, options: EnlargeOptions,
    notes: tuple[str, ...],
) -> EnlargePlan:  # fmt: skip
    if not kind.banded:
        raise BadInput(
            f"{output.width} x {output.height} pixels need more than the memory budget, "
            f"and {kind.name.upper()} cannot be written in bands",
            hint="use --format png or --format tiff, or raise --memory",
        )
    held = 0 if source.banded else source.frame_bytes
    if held * 2 > options.memory_bytes:
        raise BadInput(
            f"{source.width} x {source.height} pixels of a {source.format.upper()} "
            "that cannot be read in bands need more than the memory budget",
            hint=f"raise --memory to {held * 2 // (1 << 20) + 1}M, or convert it to a plain PNG or TIFF",
        )
    model_size = source.size[0] * scale, source.size[1] * scale
    if source.banded and source.orientation != 1:
        if source.orientation >= 5:
            output = replace(output, width=output.height, height=output.width)
        output = replace(output, orientation=source.orientation)
        model_size = source.width * scale, source.height * scale
        notes = (*notes, "orientation kept as a tag: the image is too large to turn in memory")
        if kind.name == "exr":
            raise BadInput("EXR has no orientation tag", hint="raise --memory, so that the image can be turned")
    output = replace(output, banded=True)
    check_writable(output)
    return EnlargePlan(
        source=source, output=output, model_size=model_size, streams=True, road=road, notes=notes,
        memory_bytes=min(held * 2 + options.memory_bytes // 2, options.memory_bytes),
    )  # fmt: skip


def enlarge(
    source: Path,
    target: Path,
    upscaler: BandUpscaler,
    options: EnlargeOptions,
    *,
    on_pixels: Callable[[int], None] | None = None,
    on_complete: Callable[[Path], None] | None = None,
) -> EnlargePlan:
    """Enlarge the file `source` into `target`; returns what was done.

    Args:
        on_pixels: called with source pixels done since the last call (also 0, often); may raise
            to stop, and then nothing is left behind.
        on_complete: gets the finished file just before it becomes `target`.

    Raises:
        BadInput, DamagedMedia: the source cannot be used.
        StorageError: the target cannot be written.
    """
    with (
        open_image(source, max_pixels=options.max_pixels) as image,
        ThreadPoolExecutor(1, thread_name_prefix="srvid-band") as ahead,  # ends before the file is closed
    ):
        plan = plan_enlarging(image, upscaler.scale, options)
        work = _Work(source, upscaler, options, plan, on_pixels)
        frames = decoded_frames(image)
        first, thumbnail = next(frames), None
        if not work.reads_in_bands:
            upright = oriented(first.whole(), plan.source.orientation)
            first = Frame([upright], first.duration)
            thumbnail = partial(thumbnail_jpeg, upright, is_linear=image.meaning.is_linear)
        meaning = meaning_for_output(
            plan.road.meaning(image.meaning), plan.source, plan.output, dpi=options.dpi, thumbnail=thumbnail
        )

        def enlarged() -> Iterator[Frame]:
            yield Frame(made_ahead(ahead, work.bands(first)), first.duration)
            for frame in frames:
                upright = oriented(frame.whole(), plan.source.orientation)
                yield Frame(made_ahead(ahead, work.bands(Frame([upright]))), frame.duration)

        write_image(target, plan.output, meaning, enlarged(), quality=options.quality, on_complete=on_complete)
    return replace(plan, notes=(*plan.notes, *work.notes))


class _Work:
    """One file under way."""

    def __init__(
        self,
        path: Path,
        upscaler: BandUpscaler,
        options: EnlargeOptions,
        plan: EnlargePlan,
        on_pixels: Callable[[int], None] | None,
    ) -> None:
        self._path, self._upscaler, self._options, self._plan = path, upscaler, options, plan
        self._on_pixels = on_pixels
        self._not_finite = 0  # pixels
        self.reads_in_bands = plan.streams and plan.source.banded
        self._width, self._height = (plan.source.width, plan.source.height) if self.reads_in_bands else plan.source.size

    @property
    def notes(self) -> tuple[str, ...]:
        """What only the pixels tell."""
        count = self._not_finite
        if not count:
            return ()
        return (f"{counted(count, 'pixel', verb='holds/hold')} NaN or infinity, written as 0 or {INFINITY:g}",)

    def bands(self, frame: Frame) -> Iterator[Array]:
        """Rows of the output for one upright frame (or one that keeps its orientation tag)."""
        plan, road = self._plan, self._plan.road
        seen = self._survey(frame) if road.needs_survey(plan.source.dtype) else Survey()
        curve = road.curve(seen)
        rows = self._rows()
        pieces = rebanded(frame.bands, rows)
        large = enlarged_bands(
            self._upscaler,
            (road.encoded(road.prepared(piece), curve) for piece in pieces),
            rows=rows,
            context=context_rows(self._upscaler.halo_px),
            is_premultiplied=road.is_premultiplied,
            alpha_is_constant=seen.alpha_is_constant,
            on_rows=self._tell,
        )
        result: Iterator[Array] = (road.decoded(band, curve) for band in large)
        size = plan.output.width, plan.output.height
        if size != plan.model_size:
            is_straight = road.source_alpha != "none" and not road.is_premultiplied
            result = resized_bands(result, plan.model_size, size, is_straight=is_straight)
        return (road.finished(band) for band in result)

    def _survey(self, frame: Frame) -> Survey:
        has_alpha = self._plan.source.alpha != "none"
        if not self.reads_in_bands:
            return survey(map(self._prepared, rebanded(frame.bands, self._rows())), has_alpha=has_alpha)
        with open_image(self._path, max_pixels=self._options.max_pixels) as again:
            frame = next(decoded_frames(again))
            return survey(map(self._prepared, frame.bands), has_alpha=has_alpha)

    def _prepared(self, band: Array) -> Array:
        """A band for the survey, which sees each pixel once: what is not finite is counted here."""
        if band.dtype.kind == "f":
            self._not_finite += int(np.count_nonzero(~np.isfinite(band).all(axis=2)))
        return self._plan.road.prepared(band)

    def _rows(self) -> int:
        """Source rows upscaled at a time."""
        if self._upscaler.halo_px is None and not self._plan.streams:
            return self._height
        rows = max(_MIN_BAND_ROWS, BAND_PIXELS // self._width)
        if self._plan.streams:
            row_bytes = _model_bytes(self._plan.source, self._upscaler.scale) // self._plan.source.height
            rows = min(rows, max(_MIN_BAND_ROWS, self._options.memory_bytes // _BAND_SHARE // row_bytes))
        return rows

    def _tell(self, rows: int) -> None:
        if self._on_pixels is not None:
            self._on_pixels(rows * self._width)


def _model_bytes(source: Header, scale: int) -> int:
    """Bytes of what the network gives for one frame."""
    return source.frame_bytes * scale * scale

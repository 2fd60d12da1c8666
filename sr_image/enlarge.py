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
from typing import Literal

import numpy as np

from sr_core.errors import BadInput
from sr_core.frame import Array
from sr_core.grain import KEEP, check_grain, given_to, lay_on_strips
from sr_core.lost_grain import LostGrain
from sr_core.wording import count_of, option
from sr_image.formats.capabilities import FORMATS, ImageFormat
from sr_image.formats.jpeg_writer import list_oversized
from sr_image.formats.reader import DEFAULT_MAX_PIXELS, ImageFile, decode_frames, open_image
from sr_image.formats.writer import check_writable, list_lost_metadata, write_image
from sr_image.metadata.carried import Frame, Header, plays, regroup_rows
from sr_image.metadata.exif import has_thumbnail
from sr_image.metadata.update import metadata_for_output, thumbnail_jpeg
from sr_image.pipeline import INFINITY, PixelPipeline, Statistics, measure_statistics, orient, plan_pipeline
from sr_image.sizing import SizeTarget
from sr_image.strips import StripUpscaler, context_rows, enlarge_strips, held_on_disk, make_ahead, resize_strips

DEFAULT_MEMORY_BYTES = 1 << 30
STRIP_PIXELS = 2 << 20  # source pixels upscaled at a time: the grain of progress and of stopping
_MIN_STRIP_ROWS = 64
_WHOLE_COST = 3.0  # bytes in use per byte of decoded input and output while an image is in memory
_STRIP_SHARE = 8  # a strip's output takes this part of the budget


@dataclass(frozen=True, kw_only=True)
class EnlargeOptions:
    """How files are enlarged.

    Attributes:
        format: output format name; None = as the input.
        quality: 1 to 100 for lossy formats; None = the format's default.
        profile: 'keep' embeds the input's ICC profile again, 'srgb' converts to sRGB.
        dpi: 'keep' leaves the resolution (the print grows), 'scale' multiplies it.
        background: colour under transparency, for formats without alpha.
        grain: film grain over what the network makes, 0 to 1, or 'keep' (`sr_core.grain`).
        target: exact output size.
        memory_bytes: budget of one image.
        max_pixels: largest input accepted.
    """

    format: str | None = None
    quality: int | None = None
    profile: str = "keep"
    dpi: str = "keep"
    background: tuple[int, int, int] | None = None
    grain: float | Literal["keep"] = 0.0
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
        check_grain(self.grain)
        if self.memory_bytes < 64 << 20:
            raise BadInput("at least 64 MiB of memory are needed", hint=f"raise {option('memory')}")


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
    pipeline: PixelPipeline
    notes: tuple[str, ...]


def plan_enlarging(image: ImageFile, scale: int, options: EnlargeOptions) -> EnlargePlan:
    """Decide how `image` will be enlarged, or refuse it.

    Raises:
        BadInput: the output format cannot hold it, or memory does not allow it.
    """
    source = image.header
    kind = FORMATS[options.format or source.format]
    pipeline = plan_pipeline(source, image.metadata, kind, profile=options.profile, background=options.background)
    wanted = options.target.size_for(source.size, scale)
    notes = [*image.metadata.notes, *pipeline.notes, *list_lost_metadata(pipeline.metadata(image.metadata), kind.name)]
    if kind.name == "jpeg":
        notes += list_oversized(image.metadata)
    if kind.name == "avif" and source.durations and (count := plays(source)):
        notes.append(f"plays for ever instead of {count_of(count, 'time')}: AVIF is written without a count")
    seen = source.size[0] * scale, source.size[1] * scale
    if wanted != seen:
        grows = wanted[0] > seen[0] or wanted[1] > seen[1]
        notes.append(f"resized from {seen[0]}x{seen[1]}" + (", past what the model gives" if grows else ""))
    output = Header(
        format=kind.name, width=wanted[0], height=wanted[1], channels=pipeline.channels, dtype=pipeline.dtype,
        alpha=pipeline.alpha, frames=source.frames, durations=source.durations, loop=source.loop,
        lossless=source.lossless,
    )  # fmt: skip
    whole = int(_WHOLE_COST * (source.frame_bytes + output.frame_bytes + _model_bytes(source, scale)))
    if kind.name == "gif":
        whole += output.pixels  # the encoder keeps every frame, a byte a pixel
    if whole <= options.memory_bytes:
        check_writable(output)
        return EnlargePlan(
            source=source, output=output, model_size=seen, streams=False, memory_bytes=whole, pipeline=pipeline,
            notes=tuple(notes),
        )  # fmt: skip
    if source.banded and image.metadata.exif is not None and has_thumbnail(image.metadata.exif):
        notes.append("EXIF thumbnail left out: the image is too large to shrink in memory")
    return _plan_streaming(source, output, kind, pipeline, scale, options, tuple(notes))


def _plan_streaming(
    source: Header, output: Header, kind: ImageFormat, pipeline: PixelPipeline, scale: int, options: EnlargeOptions,
    notes: tuple[str, ...],
) -> EnlargePlan:  # fmt: skip
    if not kind.banded:
        raise BadInput(
            f"{output.width} x {output.height} pixels need more than the memory budget, "
            f"and {kind.name.upper()} cannot be written in bands",
            hint=f"use {option('format', 'png')} or {option('format', 'tiff')}, or raise {option('memory')}",
        )
    held = 0 if source.banded else source.frame_bytes
    if held * 2 > options.memory_bytes:
        raise BadInput(
            f"{source.width} x {source.height} pixels of a {source.format.upper()} "
            "that cannot be read in bands need more than the memory budget",
            hint=f"use {option('memory', f'{held * 2 // (1 << 20) + 1}M')}, or convert it to a plain PNG or TIFF",
        )
    model_size = source.size[0] * scale, source.size[1] * scale
    if source.banded and source.orientation != 1:
        if source.orientation >= 5:
            output = replace(output, width=output.height, height=output.width)
        output = replace(output, orientation=source.orientation)
        model_size = source.width * scale, source.height * scale
        notes = (*notes, "orientation kept as a tag: the image is too large to turn in memory")
        if kind.name == "exr":
            raise BadInput(
                "EXR has no orientation tag", hint=f"raise {option('memory')}, so that the image can be turned"
            )
    output = replace(output, banded=True)
    check_writable(output)
    return EnlargePlan(
        source=source, output=output, model_size=model_size, streams=True, pipeline=pipeline, notes=notes,
        memory_bytes=min(held * 2 + options.memory_bytes // 2, options.memory_bytes),
    )  # fmt: skip


def enlarge(
    source: Path,
    target: Path,
    upscaler: StripUpscaler,
    options: EnlargeOptions,
    *,
    plan: EnlargePlan | None = None,
    on_pixels: Callable[[int], None] | None = None,
    on_complete: Callable[[Path], None] | None = None,
) -> EnlargePlan:
    """Enlarge the file `source` into `target`; returns what was done.

    Args:
        plan: decided before by `plan_enlarging` for this file, scale and options; None: it is decided now.
        on_pixels: called with source pixels done since the last call (also 0, often); may raise
            to stop, and then nothing is left behind.
        on_complete: gets the finished file just before it becomes `target`.

    Raises:
        BadInput, DamagedMedia: the source cannot be used, or is no longer what was planned for.
        StorageError: the target cannot be written.
    """
    with (
        open_image(source, max_pixels=options.max_pixels) as image,
        ThreadPoolExecutor(1, thread_name_prefix="srvid-band") as ahead,  # ends before the file is closed
    ):
        if plan is None:
            plan = plan_enlarging(image, upscaler.scale, options)
        elif image.header != plan.source:
            raise BadInput(f"{source.name} changed while this ran", hint="run the same command again")
        work = _Work(source, upscaler, options, plan, on_pixels, folder=target.absolute().parent)
        frames = decode_frames(image)
        first, thumbnail = next(frames), None
        if not work.reads_in_strips:
            upright = orient(first.whole(), plan.source.orientation)
            first = Frame([upright], first.duration)
            thumbnail = partial(thumbnail_jpeg, upright, is_linear=image.metadata.is_linear)
        metadata = metadata_for_output(
            plan.pipeline.metadata(image.metadata), plan.source, plan.output, dpi=options.dpi, thumbnail=thumbnail
        )

        def enlarged() -> Iterator[Frame]:
            yield Frame(make_ahead(ahead, work.strips(first)), first.duration)
            for frame in frames:
                upright = orient(frame.whole(), plan.source.orientation)
                yield Frame(make_ahead(ahead, work.strips(Frame([upright]))), frame.duration)

        write_image(target, plan.output, metadata, enlarged(), quality=options.quality, on_complete=on_complete)
    return replace(plan, notes=(*plan.notes, *work.notes))


class _Work:
    """One file under way."""

    def __init__(
        self,
        path: Path,
        upscaler: StripUpscaler,
        options: EnlargeOptions,
        plan: EnlargePlan,
        on_pixels: Callable[[int], None] | None,
        *,
        folder: Path,
    ) -> None:
        self._folder = folder
        self._path, self._upscaler, self._options, self._plan = path, upscaler, options, plan
        self._on_pixels = on_pixels
        self._not_finite = 0  # pixels
        self._frames_begun = 0
        self.reads_in_strips = plan.streams and plan.source.banded
        self._width, self._height = (
            (plan.source.width, plan.source.height) if self.reads_in_strips else plan.source.size
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What only the pixels tell."""
        count = self._not_finite
        if not count:
            return ()
        return (f"{count_of(count, 'pixel', verb='holds/hold')} NaN or infinity, written as 0 or {INFINITY:g}",)

    def strips(self, frame: Frame) -> Iterator[Array]:
        """Rows of the output for one upright frame (or one that keeps its orientation tag)."""
        plan, pipeline = self._plan, self._plan.pipeline
        seen = self._statistics(frame) if pipeline.needs_statistics(plan.source.dtype) else Statistics()
        curve = pipeline.curve(seen)
        rows, grain = self._rows(), self._options.grain
        pieces = regroup_rows(frame.strips, rows)
        encoded = (pipeline.encode(pipeline.prepare(piece), curve) for piece in pieces)
        lost = LostGrain() if grain == KEEP else None
        large = enlarge_strips(
            self._upscaler,
            given_to(lost, encoded),
            rows=rows,
            context=context_rows(self._upscaler.halo_px),
            is_premultiplied=pipeline.is_premultiplied,
            alpha_is_constant=seen.alpha_is_constant,
            on_rows=self._tell,
        )
        large = lay_on_strips(
            large,
            grain,
            lost=lost,
            hold=partial(held_on_disk, self._folder) if plan.streams else list,
            moment=self._frames_begun,
            is_premultiplied=pipeline.is_premultiplied,
        )
        self._frames_begun += 1
        result: Iterator[Array] = (pipeline.decode(strip, curve) for strip in large)
        size = plan.output.width, plan.output.height
        if size != plan.model_size:
            is_straight = pipeline.source_alpha != "none" and not pipeline.is_premultiplied
            result = resize_strips(result, plan.model_size, size, is_straight=is_straight)
        return (pipeline.finish(strip) for strip in result)

    def _statistics(self, frame: Frame) -> Statistics:
        has_alpha = self._plan.source.alpha != "none"
        if not self.reads_in_strips:
            return measure_statistics(map(self._prepare, regroup_rows(frame.strips, self._rows())), has_alpha=has_alpha)
        with open_image(self._path, max_pixels=self._options.max_pixels) as again:
            frame = next(decode_frames(again))
            return measure_statistics(map(self._prepare, frame.strips), has_alpha=has_alpha)

    def _prepare(self, strip: Array) -> Array:
        """A strip for the statistics pass, which sees each pixel once: what is not finite is counted here."""
        if strip.dtype.kind == "f":
            self._not_finite += int(np.count_nonzero(~np.isfinite(strip).all(axis=2)))
        return self._plan.pipeline.prepare(strip)

    def _rows(self) -> int:
        """Source rows upscaled at a time."""
        if self._upscaler.halo_px is None and not self._plan.streams:
            return self._height
        rows = max(_MIN_STRIP_ROWS, STRIP_PIXELS // self._width)
        if self._plan.streams:
            row_bytes = _model_bytes(self._plan.source, self._upscaler.scale) // self._plan.source.height
            rows = min(rows, max(_MIN_STRIP_ROWS, self._options.memory_bytes // _STRIP_SHARE // row_bytes))
        return rows

    def _tell(self, rows: int) -> None:
        if self._on_pixels is not None:
            self._on_pixels(rows * self._width)


def _model_bytes(source: Header, scale: int) -> int:
    """Bytes of what the network gives for one frame."""
    return source.frame_bytes * scale * scale

"""Frames and their Metadata → an image file, complete under its name or not there at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sr_core.errors import BadInput
from sr_core.storage import published
from sr_core.wording import option
from sr_image.formats.capabilities import FORMATS, require_package
from sr_image.metadata.carried import Frame, Header, Metadata

_SINGLES = {"icc", "exif", "xmp", "iptc", "dpi", "comment", "georeference"}
PART_PREFIX, PART_SUFFIX = ".srbatch-", ".part"
_MAX_PART_BYTES = 200  # file systems take 255, and a writer may put an ending of its own behind
_NAMES = {
    "icc": "ICC profile", "exif": "EXIF", "xmp": "XMP", "iptc": "IPTC", "dpi": "resolution",
    "comment": "comment", "text": "text entries", "attributes": "OpenEXR attributes",
    "georeference": "georeference",
}  # fmt: skip


def check_writable(header: Header) -> None:
    """Refuse, before any work, what the format cannot state.

    Raises:
        BadInput: too large, alpha, depth or animation the format has no room for.
        NotAvailable: the format needs a package that is not installed.
    """
    kind = FORMATS[header.format]
    require_package(kind)
    name = kind.name.upper()
    if max(header.width, header.height) > kind.side_px:
        raise BadInput(
            f"{header.width} x {header.height} is more than {name} can hold ({kind.side_px} a side)",
            hint=_hint("png", "tiff"),
        )
    if header.alpha != "none" and not kind.alpha:
        raise BadInput(
            f"{name} cannot hold transparency",
            hint=f"{_hint('png')}; or {option('background', 'white')}",
        )
    if header.dtype not in kind.depths:
        raise BadInput(f"{name} cannot hold {header.dtype} samples")
    if header.frames > 1 and not (kind.animation if header.durations else kind.pages):
        what = "an animation" if header.durations else "several pages"
        others = [other.name for other in FORMATS.values() if (other.animation if header.durations else other.pages)]
        raise BadInput(f"{name} cannot hold {what}", hint=_hint(*sorted(others)))


def _hint(*names: str) -> str:
    """To write another format: OUT's ending names it as well as the option does."""
    return f"write {' or '.join(names)}, by OUT's ending or {option('format', names[0])}"


def list_lost_metadata(metadata: Metadata, format_name: str) -> tuple[str, ...]:
    """Sentences about the metadata `format_name` has no place for."""
    lost = metadata.carried() - FORMATS[format_name].keeps
    return tuple(f"{_NAMES[name]} left out: {format_name.upper()} has no place for it" for name in sorted(lost))


def write_image(
    path: Path,
    header: Header,
    metadata: Metadata,
    frames: Iterable[Frame],
    *,
    quality: int | None = None,
    on_complete: Callable[[Path], None] | None = None,
) -> None:
    """Write `frames` as `header` states them to `path`.

    The frames' strips are consumed as they come; formats that stream (`banded`) hold one at a time.

    Args:
        quality: 1 to 100; 100 is lossless where the format can be (WebP). None = its default, or
            lossless where `header.lossless`.
        on_complete: see `complete_or_absent`.

    Raises:
        BadInput: see `check_writable`.
        StorageError: the disk is full or the folder is read-only; nothing is left behind.
    """
    check_writable(header)
    kind = FORMATS[header.format]
    if quality is None and kind.quality is not None:
        quality = 100 if header.lossless and kind.name == "webp" else kind.quality
    lost: dict[str, Any] = dict.fromkeys(_SINGLES & (metadata.carried() - kind.keeps))
    kept = replace(metadata, **lost)
    with complete_or_absent(path, on_complete) as part:
        _write(part, header, kept, iter(frames), quality if quality is not None else 100)


def _write(part: Path, header: Header, metadata: Metadata, frames: Iterator[Frame], quality: int) -> None:
    if header.format == "png":
        from sr_image.formats.png_writer import write_png

        write_png(part, header, metadata, frames)
    elif header.format == "tiff":
        from sr_image.formats.tiff_writer import write_tiff

        write_tiff(part, header, metadata, frames)
    elif header.format == "jpeg":
        from sr_image.formats.jpeg_writer import write_jpeg

        write_jpeg(part, header, metadata, next(frames), quality=quality)
    elif header.format in ("exr", "jxl"):
        from sr_image.formats.scanline_writer import write_exr, write_jxl

        (write_exr if header.format == "exr" else write_jxl)(part, header, metadata, next(frames))
    elif header.format == "heic":
        from sr_image.formats.heif import write_heif

        write_heif(part, next(frames).whole(), metadata, quality=quality)
    else:
        from sr_image.formats.pillow_writer import write_pillow

        write_pillow(part, header, metadata, frames, quality=quality)


@contextmanager
def complete_or_absent(path: Path, on_complete: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """A temporary path beside `path` that gets its name once everything is on the disk.

    Args:
        on_complete: gets the temporary path, complete, just before it gets its name.
    """
    part = path.with_name(f"{PART_PREFIX}{os.getpid()}-{path.name}{PART_SUFFIX}")
    if len(os.fsencode(part.name)) > _MAX_PART_BYTES:
        part = path.with_name(f"{PART_PREFIX}{os.getpid()}-{abs(hash(path.name))}{PART_SUFFIX}")
    with published(path, part=part, on_complete=on_complete):
        yield part

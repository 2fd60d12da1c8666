"""A path → an open image: Header, Metadata, and frames as strips of rows."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from sr_core.errors import BadInput, DamagedMedia, SrError
from sr_image.formats.capabilities import require_package, sniff
from sr_image.metadata.attached import DEPTH, FURTHER, GAIN_MAP, MOTION, attached_notes, without_promises
from sr_image.metadata.behind import note_behind
from sr_image.metadata.carried import Frame, Header, Metadata, refuse_bomb
from sr_image.metadata.exif import is_readable

DEFAULT_MAX_PIXELS = 1_000_000_000  # one frame; a bomb states more than it could ever hold


class ImageFile(Protocol):
    """An image file whose header was read and whose pixels were not."""

    header: Header
    metadata: Metadata

    def frames(self) -> Iterator[Frame]:
        """Decode, frame by frame; each frame's strips must be read before the next is asked for."""

    def close(self) -> None:
        """Close the file."""


@contextmanager
def open_image(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Iterator[ImageFile]:
    """Open the image at `path`, whatever its name says.

    Args:
        max_pixels: largest width x height x frames accepted, checked before anything is decoded.

    Raises:
        BadInput: not an image, larger than `max_pixels`, a kind of pixels srvid cannot keep.
        DamagedMedia: empty, truncated or corrupt; also while frames are read.
        NotAvailable: the format needs a package that is not installed.
    """
    with ExitStack() as opened:
        with decoding_errors():
            image = _open(path, max_pixels)
            opened.callback(image.close)
            image.metadata = _without_promises(_drop_damaged_exif(image.metadata), image.header.format)
            image.metadata = _said_behind(image.metadata, image.header.format, path)
        header = image.header
        refuse_bomb(header.width, header.height, header.frames, max_pixels)
        yield image


def _open(path: Path, max_pixels: int) -> ImageFile:
    kind = sniff(path)
    require_package(kind)
    if kind.name == "png":
        from sr_image.formats.png_reader import open_png

        return open_png(path, max_pixels)
    if kind.name == "tiff":
        from sr_image.formats.tiff_reader import TiffImage

        return TiffImage(path, max_pixels)
    if kind.name in ("exr", "jxl"):
        from sr_image.formats.exr_jxl_reader import ExrImage, JxlImage

        return ExrImage(path) if kind.name == "exr" else JxlImage(path)
    if kind.name == "heic":
        from sr_image.formats.heif import HeifImage

        return HeifImage(path, max_pixels)
    from sr_image.formats.pillow_reader import PillowImage

    return PillowImage(path, kind.name, max_pixels=max_pixels)


def _drop_damaged_exif(metadata: Metadata) -> Metadata:
    """Drop unparsable EXIF instead of refusing the image."""
    if metadata.exif is None or is_readable(metadata.exif):
        return metadata
    notes = (*metadata.notes, "EXIF left out: it is damaged") if metadata.exif else metadata.notes
    return replace(metadata, exif=None, notes=notes)


def _without_promises(metadata: Metadata, format_name: str) -> Metadata:
    """XMP must not announce a gain map or a video that stayed behind; JPEG's reader has said so already."""
    if metadata.xmp is None:
        return metadata
    said = () if format_name == "jpeg" else tuple(attached_notes(metadata.xmp))
    notes = (*metadata.notes, *(note for note in said if note not in metadata.notes))
    return replace(metadata, xmp=without_promises(metadata.xmp), notes=notes)


def _said_behind(metadata: Metadata, format_name: str, path: Path) -> Metadata:
    """What follows the picture in its file is left out: said, unless the video there has been spoken of."""
    if MOTION in metadata.notes:
        return metadata
    has_pictures = any(note in metadata.notes for note in (GAIN_MAP, FURTHER, DEPTH))
    note = note_behind(path, format_name, skips_pictures=has_pictures)
    return replace(metadata, notes=(*metadata.notes, note)) if note else metadata


def decode_frames(image: ImageFile) -> Iterator[Frame]:
    """`image.frames()`, where everything a decoder raises comes out as DamagedMedia."""
    for frame in _guard(image.frames()):
        yield Frame(_guard(iter(frame.strips)), frame.duration)


def _guard[T](items: Iterator[T]) -> Iterator[T]:
    while True:
        with decoding_errors():
            try:
                item = next(items)
            except StopIteration:
                return
        yield item


@contextmanager
def decoding_errors() -> Iterator[None]:
    """Turn what decoders raise for broken files into DamagedMedia, keeping the cause."""
    try:
        yield
    except SrError:
        raise
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise BadInput(f"cannot read the file: {error.strerror}") from error
    except MemoryError as error:
        raise BadInput("there is not enough memory to decode it", hint="is its size what it should be?") from error
    except Exception as error:  # decoders raise whatever the last line they reached raises
        raise DamagedMedia(f"the image does not decode: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """A decoder's complaint in one line; errors of the system and of Python say nothing to a user."""
    if isinstance(error, OSError) and error.errno is not None:
        return "it refers to a place beyond its end"
    if isinstance(error, (TypeError, AttributeError, LookupError, ArithmeticError, struct.error, UnicodeError)):
        return "a value in it makes no sense"
    text = " ".join(str(error).split())
    return text[:200] if " " in text and text.isprintable() else "it is damaged"

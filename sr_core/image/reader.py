"""A path → an open image: Header, Meaning, and frames as bands of rows."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from sr_core.errors import BadInput, DamagedMedia, SrError
from sr_core.image.exif import is_readable
from sr_core.image.formats import require_package, sniff
from sr_core.image.meaning import Frame, Header, Meaning, refuse_bomb

DEFAULT_MAX_PIXELS = 1_000_000_000  # one frame; a bomb states more than it could ever hold


class ImageFile(Protocol):
    """An image file whose header was read and whose pixels were not."""

    header: Header
    meaning: Meaning

    def frames(self) -> Iterator[Frame]:
        """Decode, frame by frame; each frame's bands must be read before the next is asked for."""

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
    image: ImageFile | None = None
    with decoding_errors():
        image = _open(path, max_pixels)
        image.meaning = _without_damaged_exif(image.meaning)
    try:
        header = image.header
        refuse_bomb(header.width, header.height, header.frames, max_pixels)
        yield image
    finally:
        image.close()


def _open(path: Path, max_pixels: int) -> ImageFile:
    kind = sniff(path)
    require_package(kind)
    if kind.name == "png":
        from sr_core.image.png_reader import open_png

        return open_png(path, max_pixels)
    if kind.name == "tiff":
        from sr_core.image.tiff_reader import TiffImage

        return TiffImage(path)
    if kind.name in ("exr", "jxl"):
        from sr_core.image.exr_jxl_reader import ExrImage, JxlImage

        return ExrImage(path) if kind.name == "exr" else JxlImage(path)
    if kind.name == "heic":
        from sr_core.image.heif import HeifImage

        return HeifImage(path)
    from sr_core.image.pillow_reader import PillowImage

    return PillowImage(path, kind.name)


def _without_damaged_exif(meaning: Meaning) -> Meaning:
    """A sound picture is not lost to what an application wrote beside it."""
    if meaning.exif is None or is_readable(meaning.exif):
        return meaning
    notes = (*meaning.notes, "EXIF left out: it is damaged") if meaning.exif else meaning.notes
    return replace(meaning, exif=None, notes=notes)


def decoded_frames(image: ImageFile) -> Iterator[Frame]:
    """`image.frames()`, where everything a decoder raises comes out as DamagedMedia."""
    for frame in _guarded(image.frames()):
        yield Frame(_guarded(iter(frame.bands)), frame.duration)


def _guarded[T](items: Iterator[T]) -> Iterator[T]:
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
    except (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, struct.error) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise DamagedMedia(f"the image does not decode: {text}") from error

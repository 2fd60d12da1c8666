"""What each image format can hold, and how its first bytes look.

A file is what its bytes say, never what its name says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sr_core.errors import BadInput, DamagedMedia, NotAvailable
from sr_image.formats.camera_raw import refuse_camera_raw

SNIFF_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """One file format as srvid writes it.

    Attributes:
        name: what users type after --format.
        suffixes: file name endings, the first one is given to new files.
        depths: sample types that can be written, numpy names.
        alpha, gray: whether a file can carry alpha, one-channel colour.
        animation: more than one frame with durations.
        pages: more than one image without durations (TIFF).
        keeps: which metadata the format carries: icc exif xmp iptc dpi text.
        side_px: largest width or height the format can state.
        banded: rows can be written as they come, in bounded memory.
        quality: default of --quality; None where compression loses nothing.
        needs: package that must be installed, and the extra that brings it.
    """

    name: str
    suffixes: tuple[str, ...]
    depths: tuple[str, ...]
    alpha: bool
    gray: bool
    keeps: frozenset[str]
    side_px: int
    animation: bool = False
    pages: bool = False
    banded: bool = False
    quality: int | None = None
    needs: tuple[str, str] | None = None


def _keeps(names: str) -> frozenset[str]:
    return frozenset(names.split())


_INTS = ("uint8", "uint16")
_FLOATS = ("float16", "float32")

FORMATS: dict[str, ImageFormat] = {
    entry.name: entry
    for entry in (
        ImageFormat(
            name="png", suffixes=(".png", ".apng"), depths=_INTS, alpha=True, gray=True, animation=True,
            keeps=_keeps("icc exif xmp iptc dpi text"), side_px=2**31 - 1, banded=True,
        ),
        ImageFormat(
            name="jpeg", suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"), depths=("uint8",), alpha=False,
            gray=True, keeps=_keeps("icc exif xmp iptc dpi comment"), side_px=65_500, banded=True, quality=92,
        ),
        ImageFormat(
            name="webp", suffixes=(".webp",), depths=("uint8",), alpha=True, gray=False, animation=True,
            keeps=_keeps("icc exif xmp"), side_px=16_383, quality=90,
        ),
        ImageFormat(
            name="tiff", suffixes=(".tif", ".tiff"), depths=_INTS + _FLOATS, alpha=True, gray=True,
            pages=True, keeps=_keeps("icc exif xmp iptc dpi georeference"), side_px=2**31 - 1, banded=True,
        ),
        ImageFormat(
            name="bmp", suffixes=(".bmp", ".dib"), depths=("uint8",), alpha=False, gray=True,
            keeps=_keeps("dpi"), side_px=2**31 - 1,
        ),
        ImageFormat(
            name="gif", suffixes=(".gif",), depths=("uint8",), alpha=True, gray=False, animation=True,
            keeps=_keeps("comment"), side_px=65_535,
        ),
        ImageFormat(
            name="avif", suffixes=(".avif", ".avifs"), depths=("uint8",), alpha=True, gray=False,
            animation=True, keeps=_keeps("icc exif xmp"), side_px=65_536, quality=80,
        ),
        ImageFormat(
            name="heic", suffixes=(".heic", ".heif", ".hif"), depths=_INTS, alpha=True, gray=False,
            keeps=_keeps("icc exif xmp"), side_px=16_384, quality=85, needs=("pillow_heif", "images"),
        ),
        ImageFormat(
            name="exr", suffixes=(".exr",), depths=_FLOATS, alpha=True, gray=True,
            keeps=_keeps("attributes"), side_px=2**31 - 1, banded=True,
        ),
        ImageFormat(
            name="jxl", suffixes=(".jxl",), depths=("uint8", "uint16", "float32"), alpha=True, gray=True,
            keeps=_keeps("icc exif xmp"), side_px=2**30,
        ),
    )
}  # fmt: skip

# (offset, bytes, format); ISO media brands are told apart in `sniff`
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (8, b"WEBP", "webp"),
    (0, b"II*\x00", "tiff"),
    (0, b"MM\x00*", "tiff"),
    (0, b"II+\x00", "tiff"),
    (0, b"MM\x00+", "tiff"),
    (0, b"BM", "bmp"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"\x76\x2f\x31\x01", "exr"),
    (0, b"\xff\x0a", "jxl"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jxl"),
)
_BRANDS = {
    b"avif": "avif", b"avis": "avif", b"heic": "heic", b"heix": "heic", b"hevc": "heic",
    b"heim": "heic", b"heis": "heic", b"mif1": "heic", b"msf1": "heic",
}  # fmt: skip

ALL_SUFFIXES = frozenset(suffix for entry in FORMATS.values() for suffix in entry.suffixes)


def format_named(name: str) -> ImageFormat:
    """The format a user named, by its name or one of its suffixes.

    Raises:
        BadInput: unknown name.
        NotAvailable: the package it needs is not installed.
    """
    wanted = name.lower().lstrip(".")
    for entry in FORMATS.values():
        if wanted == entry.name or f".{wanted}" in entry.suffixes:
            require_package(entry)
            return entry
    raise BadInput(f"unknown image format {name!r}", hint=f"one of: {', '.join(FORMATS)}")


def require_package(entry: ImageFormat) -> None:
    """Raise NotAvailable where the package `entry` needs is missing."""
    from importlib.util import find_spec

    if entry.needs is not None and find_spec(entry.needs[0]) is None:
        package, extra = entry.needs
        raise NotAvailable(
            f"{entry.name.upper()} images need the package {package.replace('_', '-')}",
            hint=f"pip install 'srvid[{extra}]'",
        )


def sniff(path: Path) -> ImageFormat:
    """The format of the file at `path`, by its first bytes.

    Raises:
        DamagedMedia: an empty file.
        BadInput: not an image srvid reads, or no file: a pipe would be waited on for ever.
    """
    try:
        if path.exists() and not path.is_file():
            raise BadInput("not a regular file", hint="copy it to a file first")
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BadInput(f"cannot read the file: {error.strerror}") from error
    with path.open("rb") as file:
        head = file.read(SNIFF_BYTES)
    if not head:
        raise DamagedMedia("the file is empty (0 bytes)")
    refuse_camera_raw(path, head)
    if head[4:8] == b"ftyp" and (brand := _BRANDS.get(head[8:12])) is not None:
        # the major brand may be the generic 'mif1'; a compatible 'avif' decides then
        return FORMATS["avif" if b"avif" in head[16:] or b"avis" in head[16:] else brand]
    for offset, magic, name in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return FORMATS[name]
    raise BadInput("not an image of a known format", hint=f"known formats: {', '.join(FORMATS)}")

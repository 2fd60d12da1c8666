"""TIFF and BigTIFF: directories for the meaning, OpenImageIO for the pixels of every page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sr_core.errors import BadInput, DamagedMedia
from sr_core.frame import Array
from sr_image.color.profile import icc_is_linear, icc_space, rgb_from_cmyk, rgb_from_lab, srgb_icc
from sr_image.formats.camera_raw import refuse_raw_directory
from sr_image.formats.scanline_reader import ScanlineFile
from sr_image.metadata import exif as exif_tags
from sr_image.metadata import georeference
from sr_image.metadata.carried import Alpha, Frame, Header, Metadata, refuse_bomb
from sr_image.metadata.georeference import georeference_of
from sr_image.metadata.ifd import TYPE_BYTES, Directory, Layout, read_directory, read_header
from sr_image.metadata.iptc import iptc_from_resources

SUBFILE_TYPE, BITS, COMPRESSION, PHOTOMETRIC, EXTRA_SAMPLES = 254, 258, 259, 262, 338
XMP, IPTC, PHOTOSHOP, ICC = 700, 33723, 34377, 34675
WIDTH, LENGTH, SUB_DIRECTORIES = 256, 257, 330
STRIP_OFFSETS, ROWS_PER_STRIP, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS = 273, 278, 322, 323, 324
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType, TIFF 6.0 §8
_WHITE_IS_ZERO, _PALETTE, _SEPARATED, _CIELAB, _ICCLAB, _ITULAB = 0, 3, 5, 8, 9, 10
_JPEG_COMPRESSIONS = (6, 7)
_MAX_PAGES = 10_000
_MAX_PARENTS, _MAX_CHILDREN = 8, 16  # directories whose SubIFDs are looked at
_PHOTOMETRICS = (0, 1, 2, 3, 5, 6, 8)
_OTHER_PHOTOMETRICS = {
    4: "a mask as their picture", 9: "ICC Lab", 10: "ITU Lab", 32844: "LogL samples", 32845: "LogLuv samples",
}  # fmt: skip
# how the pixels are stored, or carried elsewhere; every other tag of the first picture is said to be left out
_KNOWN_TAGS = frozenset(
    (
        *range(254, 267), *range(270, 275), *range(277, 285), *range(288, 294), 296, 305, 306, 315, 316, 317,
        *range(320, 348), *range(512, 522), *range(529, 533), *exif_tags.DESCRIPTIVE, *georeference.TAGS,
        XMP, IPTC, ICC, 34665, 34853,
    )
)  # fmt: skip
_TAG_NAMES = {
    269: "DocumentName", 285: "PageName", 297: "PageNumber", 301: "TransferFunction", 318: "WhitePoint",
    319: "PrimaryChromaticities", 34377: "Photoshop resources", 37724: "Photoshop layers", 50838: "ImageJ counts",
    50839: "ImageJ metadata", 50844: "RPC coefficients",
}  # fmt: skip
_CONVERTED = (_SEPARATED, _CIELAB)


@dataclass(frozen=True)
class _Page:
    index: int
    directory: Directory


class TiffImage:
    """A TIFF; reduced-resolution pages (thumbnails, pyramids) are left out and said."""

    def __init__(self, path: Path, max_pixels: int) -> None:
        self._path = path
        self._layout, directories, below = _directories(path)
        first = directories[0]
        refuse_raw_directory(first, {self._number(d, PHOTOMETRIC, 1) for d in (*directories, *below)})
        refuse_bomb(self._number(first, WIDTH, 1), self._number(first, LENGTH, 1), 1, max_pixels)
        skipped = _REDUCED | _MASK
        pages = [_Page(i, d) for i, d in enumerate(directories) if not self._number(d, SUBFILE_TYPE, 0) & skipped]
        self._pages = pages or [_Page(0, first)]
        first = self._pages[0].directory
        self._photometric = self._number(first, PHOTOMETRIC, 1)
        if self._photometric not in _PHOTOMETRICS:
            kind = _OTHER_PHOTOMETRICS.get(self._photometric, f"samples of kind {self._photometric}")
            hint = "convert it to OpenEXR first" if kind.startswith("Log") else "convert it to RGB first"
            raise BadInput(f"TIFFs with {kind} are not supported", hint=hint)
        self._file: ScanlineFile | None = self._open(self._pages[0])
        self._icc = _bytes(first, ICC)
        notes = self._notes(len(directories))
        is_converted = self._photometric in _CONVERTED
        has_alpha = self._file.has_alpha and not is_converted
        blob = exif_tags.exif_from_directory(first, self._layout)
        self.metadata = Metadata(
            icc=srgb_icc() if is_converted else self._icc,
            exif=blob,
            xmp=_bytes(first, XMP),
            iptc=_bytes(first, IPTC) or iptc_from_resources(_bytes(first, PHOTOSHOP) or b""),
            dpi=self._dpi(first),
            georeference=georeference_of(first, self._layout) if self._orientation(first) == 1 else None,
            is_linear=icc_is_linear(self._icc) and not is_converted,
            notes=notes,
        )
        self.header = Header(
            format="tiff",
            width=self._file.width,
            height=self._file.height,
            channels=3 if is_converted else len(self._file.channel_indices),
            dtype="uint8" if is_converted else self._file.dtype,
            alpha=self._alpha(first) if has_alpha else "none",
            frames=len(self._pages),
            orientation=self._orientation(first),
            banded=len(self._pages) == 1 and self._photometric != _PALETTE,
            lossless=self._number(first, COMPRESSION, 1) not in _JPEG_COMPRESSIONS,
        )

    def frames(self) -> Iterator[Frame]:
        """Every page; all must be of one size and kind."""
        for page in self._pages:
            self._refuse_missing(page.directory)
            photometric = self._number(page.directory, PHOTOMETRIC, 1)
            if self._file is None:
                self._file = self._open(page)
                self._refuse_other_kind(page, self._file, photometric)
            if photometric == _PALETTE:
                yield Frame([_palette_pixels(self._path, page.index)])
            else:
                yield Frame(self._strips(self._file, photometric))
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, page: _Page) -> ScanlineFile:
        return ScanlineFile(self._path, page=page.index, keep_raw_color=self._photometric in _CONVERTED)

    def _strips(self, file: ScanlineFile, photometric: int) -> Iterator[Array]:
        for strip in file.strips():
            if photometric == _SEPARATED:
                if strip.dtype != np.uint8:
                    strip = (strip >> 8).astype(np.uint8) if strip.dtype == np.uint16 else strip
                yield rgb_from_cmyk(strip, self._icc)
            elif photometric == _CIELAB:
                yield rgb_from_lab(strip)
            elif photometric == _WHITE_IS_ZERO:
                yield _black_is_zero(strip, has_alpha=file.has_alpha)
            else:
                yield strip

    def _refuse_other_kind(self, page: _Page, file: ScanlineFile, photometric: int) -> None:
        """What the header says of all pages must be true of this one."""
        header = self.header
        number, hint = page.index + 1, "split the pages into files"
        if (file.width, file.height) != (header.width, header.height):
            raise BadInput(
                f"page {number} is {file.width}x{file.height}, page 1 {header.width}x{header.height}", hint=hint
            )
        if self._orientation(page.directory) != header.orientation:
            raise BadInput(f"page {number} is to be turned otherwise than page 1 (Orientation)", hint=hint)
        if photometric != self._photometric and {photometric, self._photometric} & {*_CONVERTED, _ICCLAB, _ITULAB}:
            raise BadInput(f"page {number} is of another colour space than page 1", hint=hint)
        here = len(file.channel_indices), file.dtype
        there = here if self._photometric in _CONVERTED else (header.channels, header.dtype)
        if here != there:
            raise BadInput(
                f"page {number} has {here[0]} channels of {here[1]}, page 1 has {there[0]} of {there[1]}", hint=hint
            )
        if header.alpha != "none" and self._alpha(page.directory) != header.alpha:
            raise BadInput(f"page {number} has {self._alpha(page.directory)} alpha, page 1 {header.alpha}", hint=hint)

    def _orientation(self, directory: Directory) -> int:
        return min(8, max(1, self._number(directory, exif_tags.ORIENTATION, 1)))

    def _alpha(self, directory: Directory) -> Alpha:
        return "premultiplied" if self._number(directory, EXTRA_SAMPLES, 2) == 1 else "straight"

    def _notes(self, directories: int) -> tuple[str, ...]:
        notes = []
        file = self._file
        assert file is not None
        if directories > len(self._pages):
            notes.append(f"{directories - len(self._pages)} reduced pages (thumbnails) or masks left out")
        if PHOTOMETRIC not in self._pages[0].directory.entries:
            notes.append("the TIFF does not say what its samples mean: read as gray or RGB, black is 0")
        if self._photometric == _PALETTE:
            notes.append("palette read as full color")
        if self._photometric == _SEPARATED:
            if file.dtype not in ("uint8", "uint16"):
                raise BadInput("CMYK in floating point is not supported")
            how = "its profile" if icc_space(self._icc or b"") == "CMYK" else "plain inks (it has no profile)"
            notes.append(f"CMYK converted to sRGB by {how}" + (", in 8 bits" if file.dtype == "uint16" else ""))
        if self._photometric == _CIELAB:
            if file.dtype != "uint8":
                raise BadInput("16-bit Lab TIFFs are not supported", hint="convert it to 16-bit RGB first")
            notes.append("Lab converted to sRGB")
        if file.is_narrowed:
            notes.append("64-bit floats read as 32-bit")
        if file.dropped:
            notes.append(f"channels left out: {', '.join(file.dropped)}")
        first = self._pages[0].directory
        if self._orientation(first) != 1 and georeference_of(first, self._layout) is not None:
            notes.append("georeference left out: the picture is stored turned")
        if unknown := sorted(first.entries.keys() - _KNOWN_TAGS):
            shown = ", ".join(_TAG_NAMES.get(tag, str(tag)) for tag in unknown[:8])
            notes.append(f"TIFF tags left out: {shown}" + (" and more" if len(unknown) > 8 else ""))
        bits = self._number(self._pages[0].directory, BITS, 1)
        if bits < 8 and self._photometric != _PALETTE:
            notes.append(f"{bits}-bit samples read as 8 bits")
        return tuple(notes)

    def _dpi(self, directory: Directory) -> tuple[float, float] | None:
        x = directory.entries.get(exif_tags.X_RESOLUTION)
        y = directory.entries.get(exif_tags.Y_RESOLUTION)
        unit = self._number(directory, exif_tags.RESOLUTION_UNIT, 2)
        if x is None or y is None or unit not in (2, 3):
            return None
        across = exif_tags.dpi_from_rational(x[2], self._layout)
        down = exif_tags.dpi_from_rational(y[2], self._layout)
        factor = 2.54 if unit == 3 else 1.0
        return (across * factor, down * factor) if across and down else None

    def _refuse_missing(self, directory: Directory) -> None:
        """Strips or tiles that the directory does not list would be black, without a word.

        Raises:
            DamagedMedia: it lists fewer than its size needs.
        """
        width, length = self._number(directory, WIDTH, 1), self._number(directory, LENGTH, 1)
        if TILE_OFFSETS in directory.entries:
            across, down = (max(1, self._number(directory, tag, 1)) for tag in (TILE_WIDTH, TILE_LENGTH))
            needed, listed, what = -(-width // across) * -(-length // down), TILE_OFFSETS, "tiles"
        else:
            rows = max(1, self._number(directory, ROWS_PER_STRIP, length))
            needed, listed, what = -(-length // rows), STRIP_OFFSETS, "strips"
        found = directory.entries[listed][1] if listed in directory.entries else needed
        if found < needed:
            raise DamagedMedia(f"it lists {found} of the {needed} {what} of {width}x{length} pixels")

    def _number(self, directory: Directory, tag: int, default: int) -> int:
        entry = directory.entries.get(tag)
        return default if entry is None else self._layout.number(entry)


def _black_is_zero(strip: Array, *, has_alpha: bool) -> Array:
    """A strip whose gray counted from white; OpenImageIO turns 8 bits round, alpha with them, and no others."""
    strip = strip.copy()
    channel = -1 if strip.dtype == np.uint8 else 0
    if channel == 0 or has_alpha:
        peak = np.iinfo(strip.dtype).max if strip.dtype.kind == "u" else 1
        strip[..., channel] = peak - strip[..., channel]
    return strip


def _palette_pixels(path: Path, index: int) -> Array:
    """RGB of a palette page, by Pillow: OpenImageIO rounds the palette's 16 bits down."""
    from PIL.TiffImagePlugin import TiffImageFile

    with TiffImageFile(str(path)) as image:
        image.seek(index)
        return np.asarray(image.convert("RGB"))


def _directories(path: Path) -> tuple[Layout, list[Directory], list[Directory]]:
    """(layout, the chain of directories, those below the first ones: SubIFDs)."""
    with path.open("rb") as file:
        layout, offset = read_header(file)
        found: list[Directory] = []
        seen: set[int] = set()
        while offset and offset not in seen and len(found) < _MAX_PAGES:
            seen.add(offset)
            found.append(read_directory(file, layout, offset))
            offset = found[-1].next_offset
        if not found:
            raise DamagedMedia("the TIFF has no directory")
        below = [child for parent in found[:_MAX_PARENTS] for child in _below(file, layout, parent)]
    return layout, found, below


def _below(file: BinaryIO, layout: Layout, parent: Directory) -> Iterator[Directory]:
    """The directories that a SubIFDs entry leads to; damaged ones are passed over."""
    kind, many, data = parent.entries.get(SUB_DIRECTORIES, (0, 0, b""))
    size = TYPE_BYTES.get(kind, 0)
    for at in range(0, min(many, _MAX_CHILDREN) * size, size or 1):
        with suppress(DamagedMedia):
            yield read_directory(file, layout, layout.number((kind, 1, data[at : at + size])))


def _bytes(directory: Directory, tag: int) -> bytes | None:
    entry = directory.entries.get(tag)
    return entry[2] if entry is not None else None

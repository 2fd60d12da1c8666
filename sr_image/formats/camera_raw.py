"""Camera raw files, which are told apart to be refused: what opens in them is their thumbnail.

Most are TIFF structures whose first picture is small and finished, and whose real one is a mosaic of
single-colour samples in a directory below (DNG 1.7 §SubIFDs). A raw converter must develop that first.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from sr_core.errors import BadInput
from sr_image.metadata.ifd import Directory

DNG_VERSION, CFA_PATTERN = 50706, 33422
COLOR_FILTER_ARRAY, LINEAR_RAW = 32803, 34892  # PhotometricInterpretation, DNG 1.7
SUFFIXES = frozenset(
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw "
    ".rw2 .rwl .sr2 .srf .srw .x3f".split()
)
# first bytes of those that are no ordinary TIFF
_MAGIC: tuple[tuple[int, bytes], ...] = (
    (0, b"IIRO"), (0, b"IIRS"), (0, b"MMOR"), (0, b"IIU\0"), (0, b"FUJIFILMCCD-RAW"), (0, b"FOVb"), (0, b"\0MRM"),
    (6, b"HEAPCCDR"), (4, b"ftypcrx "), (8, b"CR\x02"),
)  # fmt: skip
_TIFF = (b"II*\0", b"MM\0*")


def refuse_camera_raw(path: Path, head: bytes) -> None:
    """Raise BadInput where the first bytes, or the name of a TIFF, are those of a camera raw file."""
    is_raw_magic = any(head[at : at + len(magic)] == magic for at, magic in _MAGIC)
    if is_raw_magic or (head[:4] in _TIFF and path.suffix.lower() in SUFFIXES):
        refuse()


def refuse_raw_directory(directory: Directory, photometrics: set[int]) -> None:
    """Raise BadInput where a TIFF's first directory, or the pictures below it, are camera raw.

    Args:
        photometrics: PhotometricInterpretation of every picture in the file.
    """
    if DNG_VERSION in directory.entries or photometrics & {COLOR_FILTER_ARRAY, LINEAR_RAW}:
        refuse()


def refuse() -> NoReturn:
    """Say that it is one."""
    raise BadInput(
        "a camera raw file: its picture has yet to be developed, and only its thumbnail is finished",
        hint="develop it first (darktable, RawTherapee, Lightroom), and give the TIFF or JPEG that comes out",
    )

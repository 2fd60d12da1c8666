"""Before/after pictures: the middle of each image, bicubic beside srvid's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sr_core.errors import BadInput, SrError, StorageError
from sr_image.formats.reader import decode_frames, open_image
from sr_image.formats.writer import complete_or_absent
from sr_image.pipeline import orient
from sr_image.view import rgb8_seen
from srvid.sheet import Cell, sheet_of
from srvid_cli.outputs import check_output

if TYPE_CHECKING:
    from PIL.Image import Image

    from srvid_cli.batch.plan import Job
    from srvid_cli.batch.run import Result

DETAIL_PX = 320  # side of the square shown, in output pixels
_MARK = b"srbatch --compare"  # in a PNG text chunk, before its pixels
_GAP_PX = 8
_SHEET_LIMIT = 200  # rows of a contact sheet
_ANY_PIXELS = sys.maxsize  # both files were read or written by this run: it has been decided that they may


def check_comparisons(jobs: Iterable[Job], where: Path, out: Path, *, overwrite: bool) -> None:
    """Refuse, before any work, comparisons that would replace something else.

    What an earlier run with --compare has written is replaced without --overwrite.

    Raises:
        BadInput: a comparison would have the name of an input or an output.
        OutputExists: a file of somebody else has its name.
    """
    jobs = tuple(jobs)
    taken = {os.path.realpath(path) for job in jobs for path in (job.source, job.target)}
    for path in (where,) if is_sheet(where) else (_place(job.target, where, out) for job in jobs):
        if os.path.realpath(path) in taken:
            raise BadInput(f"{path} is an image of this run, it would be replaced", hint="give --compare another name")
        check_output(path, overwrite=overwrite or _is_comparison(path))


def is_sheet(where: Path) -> bool:
    """Whether --compare names one contact sheet, not a folder."""
    return where.suffix.lower() == ".png"


def _place(target: Path, where: Path, out: Path) -> Path:
    """The picture in the folder `where` of one output."""
    return where / f"{os.path.relpath(os.path.normpath(target), os.path.normpath(out))}.png"


def _is_comparison(path: Path) -> bool:
    """Whether an earlier run has written it: it says so in its first bytes."""
    try:
        with path.open("rb") as file:
            return _MARK in file.read(256)
    except OSError:
        return False


def write_comparisons(results: list[Result], where: Path, out: Path) -> Iterator[Path | SrError]:
    """One picture per image in the folder `where`, placed as in `out`, or one contact sheet where it is called *.png.

    Yields what was written, and why one was not: the images themselves are done by then.
    """
    done = sorted((r for r in results if r.state != "failed"), key=lambda result: result.source)
    if not is_sheet(where):
        for result in done:
            path = _place(result.target, where, out)
            try:
                _save(sheet_of([_pair(result)], gap_px=_GAP_PX, least_px=DETAIL_PX), path)
            except Exception as error:  # as for the images: it costs this picture
                yield _failure(error, path)
            else:
                yield path
        return
    rows = []
    for result in done[:_SHEET_LIMIT]:
        try:
            rows.append(_pair(result))
        except Exception as error:
            yield _failure(error, where)
    if not rows:
        return
    sheet = sheet_of(rows, gap_px=_GAP_PX, least_px=DETAIL_PX)
    try:
        _save(sheet, where)
    except StorageError as error:
        yield error
    else:
        yield where


def _save(picture: Image, path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Software", _MARK.decode())
    with complete_or_absent(path) as part:
        picture.save(part, format="PNG", pnginfo=info)


def _failure(error: Exception, path: Path) -> SrError:
    if isinstance(error, SrError):
        return error
    return SrError(f"{path}: unexpected {type(error).__name__}: {error}")


def _pair(result: Result) -> tuple[Cell, Cell]:
    from PIL import Image

    small, large = _size(result.source), _size(result.target)
    side_large = min(DETAIL_PX, *large)
    side_small = max(1, round(side_large * small[0] / large[0]))
    after = _middle(result.target, side_large)
    before = _middle(result.source, side_small).resize(after.size, Image.Resampling.BICUBIC)
    return Cell(label=f"{result.source.name}   bicubic", picture=before), Cell(label="srvid", picture=after)


def _size(path: Path) -> tuple[int, int]:
    with open_image(path, max_pixels=_ANY_PIXELS) as image:
        return image.header.size


def _middle(path: Path, side: int) -> Image:
    """A square of `side` pixels out of the centre, as people see it, on gray where it is transparent."""
    from PIL import Image

    with open_image(path, max_pixels=_ANY_PIXELS) as image:
        header = image.header
        top, left = max(0, (header.height - side) // 2), max(0, (header.width - side) // 2)
        rows, row = [], 0
        for strip in next(decode_frames(image)).strips:
            first, last = max(top - row, 0), min(top + side - row, len(strip))
            if first < last:
                rows.append(strip[first:last, left : left + side].copy())
            row += len(strip)
            if row >= top + side:
                break
        return Image.fromarray(rgb8_seen(orient(np.concatenate(rows), header.orientation)))

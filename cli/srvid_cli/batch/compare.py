"""Before/after pictures: the middle of each image, bicubic beside srvid's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sr_core.errors import SrError, StorageError
from sr_core.frame import Array
from sr_core.image.pixels import oriented
from sr_core.image.reader import decoded_frames, open_image
from sr_core.image.writer import complete_or_absent

if TYPE_CHECKING:
    from PIL.Image import Image

    from srvid_cli.batch.run import Result

DETAIL_PX = 320  # side of the square shown, in output pixels
_LABEL_PX = 22
_GAP_PX = 8
_SHEET_LIMIT = 200  # rows of a contact sheet
_ANY_PIXELS = sys.maxsize  # both files were read or written by this run: it has been decided that they may


def write_comparisons(results: list[Result], where: Path, out: Path) -> Iterator[Path | SrError]:
    """One picture per image in the folder `where`, placed as in `out`, or one contact sheet where it is called *.png.

    Yields what was written, and why one was not: the images themselves are done by then.
    """
    done = sorted((r for r in results if r.state != "failed"), key=lambda result: result.source)
    if where.suffix.lower() != ".png":
        for result in done:
            place = os.path.relpath(os.path.normpath(result.target), os.path.normpath(out))
            path = where / f"{place}.png"
            try:
                _save(_pair(result), path)
            except Exception as error:  # as for the images: it costs this picture
                yield _failure(error, path)
            else:
                yield path
        return
    pairs = []
    for result in done[:_SHEET_LIMIT]:
        try:
            pairs.append(_pair(result))
        except Exception as error:
            yield _failure(error, where)
    if not pairs:
        return
    from PIL import Image

    sheet = Image.new("RGB", (max(pair.width for pair in pairs), sum(p.height + _GAP_PX for p in pairs)), "black")
    top = 0
    for pair in pairs:
        sheet.paste(pair, (0, top))
        top += pair.height + _GAP_PX
    try:
        _save(sheet, where)
    except StorageError as error:
        yield error
    else:
        yield where


def _save(picture: Image, path: Path) -> None:
    with complete_or_absent(path) as part:
        picture.save(part, format="PNG")


def _failure(error: Exception, path: Path) -> SrError:
    if isinstance(error, SrError):
        return error
    return SrError(f"{path}: unexpected {type(error).__name__}: {error}")


def _pair(result: Result) -> Image:
    from PIL import Image, ImageDraw

    small, large = _size(result.source), _size(result.target)
    side_large = min(DETAIL_PX, *large)
    side_small = max(1, round(side_large * small[0] / large[0]))
    after = _middle(result.target, side_large)
    before = _middle(result.source, side_small).resize(after.size, Image.Resampling.BICUBIC)
    picture = Image.new("RGB", (2 * DETAIL_PX + _GAP_PX, DETAIL_PX + _LABEL_PX), "black")
    draw = ImageDraw.Draw(picture)
    draw.text((4, 4), f"{result.source.name}   bicubic", fill="white")
    draw.text((DETAIL_PX + _GAP_PX + 4, 4), "srvid", fill="white")
    picture.paste(before, (0, _LABEL_PX))
    picture.paste(after, (DETAIL_PX + _GAP_PX, _LABEL_PX))
    return picture


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
        for band in next(decoded_frames(image)).bands:
            first, last = max(top - row, 0), min(top + side - row, len(band))
            if first < last:
                rows.append(band[first:last, left : left + side].copy())
            row += len(band)
            if row >= top + side:
                break
        return Image.fromarray(_rgb8(oriented(np.concatenate(rows), header.orientation)))


def _rgb8(pixels: Array) -> Array:
    values = pixels.astype(np.float64)
    if pixels.dtype.kind == "u":
        values /= np.iinfo(pixels.dtype).max
    if pixels.shape[2] in (2, 4):
        values = values[..., :-1] * values[..., -1:] + 0.5 * (1 - values[..., -1:])
    if values.shape[2] == 1:
        values = np.repeat(values, 3, axis=2)
    return np.ascontiguousarray(np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.uint8))

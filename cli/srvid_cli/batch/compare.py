"""Before/after pictures: the middle of each image, bicubic beside srvid's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sr_core.frame import Array
from sr_core.image.pixels import oriented
from sr_core.image.reader import decoded_frames, open_image

if TYPE_CHECKING:
    from PIL.Image import Image

    from srvid_cli.batch.run import Result

DETAIL_PX = 320  # side of the square shown, in output pixels
_LABEL_PX = 22
_GAP_PX = 8
_SHEET_LIMIT = 200  # rows of a contact sheet


def write_comparisons(results: list[Result], where: Path) -> list[Path]:
    """One picture per image in the folder `where`, or one contact sheet where it is called *.png."""
    done = sorted((r for r in results if r.state != "failed"), key=lambda result: result.source)
    if where.suffix.lower() != ".png":
        written = []
        for result in done:
            path = where / f"{'_'.join(result.target.parts[-2:])}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            _pair(result).save(path)
            written.append(path)
        return written
    pairs = [_pair(result) for result in done[:_SHEET_LIMIT]]
    if not pairs:
        return []
    from PIL import Image

    sheet = Image.new("RGB", (max(pair.width for pair in pairs), sum(p.height + _GAP_PX for p in pairs)), "black")
    top = 0
    for pair in pairs:
        sheet.paste(pair, (0, top))
        top += pair.height + _GAP_PX
    where.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(where)
    return [where]


def _pair(result: Result) -> Image:
    from PIL import Image, ImageDraw

    small, large = _middle(result.source), _middle(result.target)
    ratio = large.full[0] / small.full[0]
    side_large = min(DETAIL_PX, *large.full)
    side_small = max(1, round(side_large / ratio))
    after = large.crop(side_large)
    before = small.crop(side_small).resize(after.size, Image.Resampling.BICUBIC)
    picture = Image.new("RGB", (2 * DETAIL_PX + _GAP_PX, DETAIL_PX + _LABEL_PX), "black")
    draw = ImageDraw.Draw(picture)
    draw.text((4, 4), f"{result.source.name}   bicubic", fill="white")
    draw.text((DETAIL_PX + _GAP_PX + 4, 4), "srvid", fill="white")
    picture.paste(before, (0, _LABEL_PX))
    picture.paste(after, (DETAIL_PX + _GAP_PX, _LABEL_PX))
    return picture


class _Middle:
    """The middle of an image, at most twice `DETAIL_PX` a side."""

    def __init__(self, full: tuple[int, int], pixels: Array) -> None:
        self.full, self._pixels = full, pixels

    def crop(self, side: int) -> Image:
        """A square of `side` pixels out of the centre, on gray where it is transparent."""
        from PIL import Image

        height, width = self._pixels.shape[:2]
        side_y, side_x = min(side, height), min(side, width)
        top, left = (height - side_y) // 2, (width - side_x) // 2
        return Image.fromarray(_rgb8(self._pixels[top : top + side_y, left : left + side_x]))


def _middle(path: Path) -> _Middle:
    with open_image(path) as image:
        header = image.header
        top = max(0, header.height // 2 - DETAIL_PX)
        left = max(0, header.width // 2 - DETAIL_PX)
        rows, row = [], 0
        for band in next(decoded_frames(image)).bands:
            first, last = max(top - row, 0), min(top + 2 * DETAIL_PX - row, len(band))
            if first < last:
                rows.append(band[first:last, left : left + 2 * DETAIL_PX].copy())
            row += len(band)
            if row >= top + 2 * DETAIL_PX:
                break
        return _Middle(header.size, oriented(np.concatenate(rows), header.orientation))


def _rgb8(pixels: Array) -> Array:
    values = pixels.astype(np.float64)
    if pixels.dtype.kind == "u":
        values /= np.iinfo(pixels.dtype).max
    if pixels.shape[2] in (2, 4):
        values = values[..., :-1] * values[..., -1:] + 0.5 * (1 - values[..., -1:])
    if values.shape[2] == 1:
        values = np.repeat(values, 3, axis=2)
    return np.ascontiguousarray(np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.uint8))

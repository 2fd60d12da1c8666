"""Where the pixels of a TIFF lie on the ground (GeoTIFF 1.1, OGC 19-008), for more pixels of the same ground.

A picture s times as large covers the same ground with pixels 1/s as wide: scales are divided, tie points
move with their pixels, the matrix takes the division in. Keys (the projection) stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sr_image.metadata.ifd import DOUBLE, Directory, Layout

PIXEL_SCALE, TIE_POINTS, MATRIX = 33550, 33922, 34264
KEYS, KEY_DOUBLES, KEY_TEXT = 34735, 34736, 34737
GDAL_METADATA, GDAL_NODATA = 42112, 42113
_KEPT = (KEYS, KEY_DOUBLES, KEY_TEXT, GDAL_METADATA, GDAL_NODATA)
TAGS = (PIXEL_SCALE, TIE_POINTS, MATRIX, *_KEPT)
_RASTER_TYPE, _PIXEL_IS_POINT = 1025, 2  # GTRasterTypeGeoKey: what coordinates of pixels mean


@dataclass(frozen=True, kw_only=True)
class Georeference:
    """The georeference of one picture.

    Attributes:
        pixel_scale: ground units per pixel (x, y, z); empty = not said.
        tie_points: pixel (i, j, k) and ground (x, y, z), six numbers each.
        matrix: 4 x 4 by rows, from pixels to ground; empty = not said.
        is_point: whole coordinates are the middles of pixels, not their corners.
        kept: other entries, tag → (type, count, bytes), in the byte order `order`.
    """

    pixel_scale: tuple[float, ...] = ()
    tie_points: tuple[float, ...] = ()
    matrix: tuple[float, ...] = ()
    is_point: bool = False
    kept: tuple[tuple[int, tuple[int, int, bytes]], ...] = ()
    order: str = "<"

    def scaled(self, across: float, down: float) -> Georeference:
        """The same ground under a picture `across` times as wide and `down` times as high."""
        middle = 0.5 if self.is_point else 0.0
        shift = (across / 2 - middle, down / 2 - middle) if self.is_point else (0.0, 0.0)
        points = list(self.tie_points)
        for at in range(0, len(points) - 5, 6):
            points[at] = points[at] * across + shift[0]
            points[at + 1] = points[at + 1] * down + shift[1]
        matrix = list(self.matrix)
        for row in range(0, len(matrix), 4):
            x, y = matrix[row] / across, matrix[row + 1] / down
            matrix[row : row + 4] = [x, y, matrix[row + 2], matrix[row + 3] - x * shift[0] - y * shift[1]]
        scale = self.pixel_scale
        if scale:
            scale = (scale[0] / across, scale[1] / down, *scale[2:])
        return replace(self, pixel_scale=scale, tie_points=tuple(points), matrix=tuple(matrix))

    def entries(self, layout: Layout) -> dict[int, tuple[int, int, bytes]]:
        """The TIFF entries in the byte order of `layout`."""
        found = {
            tag: (kind, many, _swap(data, kind, self.order, layout.order)) for tag, (kind, many, data) in self.kept
        }
        for tag, values in ((PIXEL_SCALE, self.pixel_scale), (TIE_POINTS, self.tie_points), (MATRIX, self.matrix)):
            if values:
                found[tag] = (DOUBLE, len(values), layout.pack_doubles(values))
        return found


def georeference_of(directory: Directory, layout: Layout) -> Georeference | None:
    """The georeference in a TIFF's directory; None where it has none, or a broken one."""

    def doubles(tag: int, least: int) -> tuple[float, ...]:
        kind, _, data = directory.entries.get(tag, (0, 0, b""))
        values = layout.unpack_doubles(data) if kind == DOUBLE else ()
        return values if len(values) >= least and len(values) % (6 if tag == TIE_POINTS else 1) == 0 else ()

    scale, points, matrix = doubles(PIXEL_SCALE, 2), doubles(TIE_POINTS, 6), doubles(MATRIX, 16)[:16]
    kept = tuple((tag, directory.entries[tag]) for tag in _KEPT if tag in directory.entries)
    if not (scale or points or matrix or kept):
        return None
    return Georeference(
        pixel_scale=scale, tie_points=points, matrix=matrix, is_point=_is_point(directory, layout), kept=kept,
        order=layout.order,
    )  # fmt: skip


def _is_point(directory: Directory, layout: Layout) -> bool:
    """Whether the keys (four SHORTs each after the first four) say that coordinates are middles of pixels."""
    kind, many, data = directory.entries.get(KEYS, (0, 0, b""))
    if kind != 3 or len(data) < 2 * many:
        return False
    numbers = [layout.unpack("H", data[2 * at : 2 * at + 2]) for at in range(many)]
    return any(numbers[at] == _RASTER_TYPE and numbers[at + 3] == _PIXEL_IS_POINT for at in range(4, many - 3, 4))


def _swap(data: bytes, kind: int, before: str, after: str) -> bytes:
    """Values in another byte order."""
    size = {3: 2, 4: 4, 12: 8}.get(kind, 1)
    if before == after or size == 1:
        return data
    return b"".join(data[at : at + size][::-1] for at in range(0, len(data), size))

"""Planes whose samples lie in the channels of a coarser grid, and how they are spread out.

A network that enlarges ends in a shuffle: every pixel of a coarse grid holds a block of samples.

    tensor [cells down, cells across, channels]        plane
    cell: a b c d u v  ─────────────────────────────►  a b     u   v     block 2x2 of luma,
          first=0 ─ 2x2      first=4, 5 ─ 1x1          c d               1x1 of each chroma

A graph that stops before the shuffle leaves it to the copy into the caller's planes, which is
made anyway: one strided copy, of elements as wide as the block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sr_core.frame import Array

if TYPE_CHECKING:
    from onnx import ModelProto

_WIDE = {size: np.dtype(kind) for size, kind in ((1, "u1"), (2, "u2"), (4, "u4"), (8, "u8"), (16, "c16"))}


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A rectangle of a plane, held in channels [first, first + rows * columns) of a tensor.

    Attributes:
        plane: which plane, as an index.
        tensor: the name of the graph's output, [1, cells down, cells across, channels].
        first: channel of the block's first sample; the others follow row by row.
        block: samples per cell (down, across).
        top, left: where the rectangle begins in the plane.
    """

    plane: int
    tensor: str
    first: int
    block: tuple[int, int]
    top: int = 0
    left: int = 0


@dataclass(frozen=True, kw_only=True)
class PackedGraph:
    """A composed graph whose outputs are packed. Later pieces overwrite earlier ones.

    Attributes:
        shapes: of the planes (rows, columns).
    """

    model: ModelProto
    pieces: tuple[Piece, ...]
    shapes: tuple[tuple[int, int], ...]


def copy_piece(piece: Piece, tensor: Array, target: Array, *, row: int, column: int) -> None:
    """Copy what `piece` has of the window `target`, whose first sample is (row, column) of the plane.

    The window's borders inside the piece lie between cells; tiles see to that.
    """
    (rows, columns), cells = piece.block, tensor.shape[:2]
    top, left = max(row, piece.top), max(column, piece.left)
    bottom = min(row + target.shape[0], piece.top + cells[0] * rows)
    right = min(column + target.shape[1], piece.left + cells[1] * columns)
    if top >= bottom or left >= right:
        return
    part = target[top - row : bottom - row, left - column : right - column]
    tensor = tensor[
        (top - piece.top) // rows : (bottom - piece.top) // rows,
        (left - piece.left) // columns : (right - piece.left) // columns,
    ]
    unit = math.gcd(columns * part.itemsize, 16)  # bytes moved at once; a row of the block is `units` of them
    units, width = columns * part.itemsize // unit, tensor.shape[2] * part.itemsize
    first = piece.first * part.itemsize
    if part.strides[1] == part.itemsize and not (first % unit or width % unit):
        lines = part.view(_WIDE[unit]).reshape(tensor.shape[0], rows, -1, units)  # splits axes: a view
        cells_of_tensor = tensor.view(_WIDE[unit])[..., first // unit : first // unit + rows * units]
        np.copyto(lines, cells_of_tensor.reshape(*tensor.shape[:2], rows, units).transpose(0, 2, 1, 3))
        return
    for line in range(rows):
        for place in range(columns):
            np.copyto(part[line::rows, place::columns], tensor[..., piece.first + line * columns + place])

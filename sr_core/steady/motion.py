"""Where each block of 8x8 input pixels lies in a neighbouring frame: hierarchical block matching, in integers.

    /4   blocks of 32x32 input pixels, 9x9 positions around none     as far as 16 pixels
    /2   blocks of 16x16, 3x3 positions around their parent's         18
    /1   blocks of 8x8: 5x5 around none, 3x3 around their parent's    19, then parts of a pixel, then the neighbours'

The finest level begins at none too: fine texture shrunk four times matches anywhere, and slow motion is what counts.
A block that hardly changed is not searched. The first axis of what is computed is a block's rows, the last one blocks,
so that numpy's inner loops are long.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
Ints = NDArray[np.int64]

BLOCK = 8  # side of a block, in input pixels
_LEVELS = 3  # each half as large as the one below
_REACH = 4  # pixels of the coarsest level
_STILL = 64  # sum of differences of a block that is not searched: one code a pixel
_CHANCE = 24  # what a vector must gain beyond a quarter of the sum: so much noise alone gives, measured on coded clips
_SMOOTHING = 16  # what a vector between pixels must gain: interpolation alone lowers noise
_MISMATCH = 5 * BLOCK * BLOCK  # a block whose match differs by 5 codes a pixel was not found
_FLAT = 8  # codes between the least and the largest sample of a block that would match anywhere


@dataclass(frozen=True)
class Look:
    """Luma of one input frame, 8 bits, (H, W), as motion is found by it."""

    luma: Luma

    @cached_property
    def levels(self) -> tuple[Luma, ...]:
        """The luma and its halves, each padded by its edge to whole blocks of the coarsest level."""
        whole = BLOCK << (_LEVELS - 1)
        height, width = self.luma.shape
        levels = [np.pad(self.luma, ((0, -height % whole), (0, -width % whole)), mode="edge")]
        while len(levels) < _LEVELS:
            fine = levels[-1].astype(np.uint16)
            rows = fine[::2] + fine[1::2]
            levels.append(((rows[:, ::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8))
        return tuple(levels)


@dataclass(frozen=True)
class Motion:
    """What became of the blocks of a frame in its neighbour.

    Attributes:
        vectors: (rows of blocks, columns, 2) y and x from a block to its match, in parts of a pixel; where both are
            0 the block stands still.
        unit: parts of a pixel.
        sums: (rows of blocks, columns) absolute differences of each block from its match.
        is_cut: the neighbour shows something else.
    """

    vectors: Ints
    unit: int
    sums: Ints
    is_cut: bool


@dataclass(frozen=True)
class _Blocks:
    """Some blocks of one level, to be found in `other`: (BLOCK, BLOCK, N) samples, and their corners (N)."""

    samples: Luma
    other: Luma
    tops: Ints
    lefts: Ints

    def only(self, which: Ints) -> _Blocks:
        return _Blocks(self.samples[..., which], self.other, self.tops[which], self.lefts[which])


def find_motion(this: Look, other: Look, unit: int) -> Motion:
    """The motion from `this` to `other`, in 1/`unit` pixels; both at least a block high and wide."""
    sums = _sums_at_rest(this.levels[0], other.levels[0])
    vectors = np.zeros((*sums.shape, 2), np.int64)
    moving = sums > _STILL
    if moving.any():
        start = np.zeros((*(side // BLOCK for side in this.levels[-1].shape), 2), np.int64)
        for level in range(_LEVELS - 1, 0, -1):
            reach = _REACH if level == _LEVELS - 1 else 1
            picked = _any_of(moving, 1 << level)
            found = _matched(this.levels[level], other.levels[level], start, picked, reach)
            start = 2 * found.repeat(2, axis=0).repeat(2, axis=1)
        vectors[moving], sums[moving] = _search_fine(this, other, start, moving, sums[moving], unit)
    return Motion(vectors, unit, sums, _is_cut(this, sums))


def difference(a: Luma, b: Luma) -> Luma:
    """|a - b| of bytes."""
    return np.maximum(a, b) - np.minimum(a, b)


def blocks_between(picture: Luma, tops: Ints, lefts: Ints, unit: int) -> Luma:
    """(BLOCK, BLOCK, N) of `picture` whose corners are at `tops`, `lefts`, in 1/`unit` pixels: bilinear."""
    (y, down), (x, right) = np.divmod(tops, unit), np.divmod(lefts, unit)
    windows = _windows(picture, y, x, BLOCK + 1).astype(np.uint16)
    down, right = down.astype(np.uint16), right.astype(np.uint16)
    rows = windows[:, :-1] * (unit - right) + windows[:, 1:] * right
    between: Ints = (rows[:-1] * (unit - down) + rows[1:] * down + unit * unit // 2) // (unit * unit)
    return between.astype(np.uint8)


def _sums_at_rest(a: Luma, b: Luma) -> Ints:
    """Sum of absolute differences of each block."""
    gaps = _in_blocks(difference(a, b))
    return gaps.sum(axis=1, dtype=np.uint16).sum(axis=2, dtype=np.int64)


def _in_blocks(picture: Luma) -> Luma:
    rows, columns = (side // BLOCK for side in picture.shape)
    return picture.reshape(rows, BLOCK, columns, BLOCK)


def _is_cut(this: Look, sums: Ints) -> bool:
    """Most of what could be told from elsewhere was not found, and that is an eighth of the picture at least."""
    lost = sums > _MISMATCH
    if lost.sum() * 8 <= sums.size:
        return False
    blocks = _in_blocks(this.levels[0])
    is_flat = blocks.max(axis=(1, 3)) - blocks.min(axis=(1, 3)) <= _FLAT
    return bool(lost.sum() * 2 > (lost | ~is_flat).sum())


def _any_of(moving: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    rows, columns = moving.shape
    return moving.reshape(rows // times, times, columns // times, times).any(axis=(1, 3))


def _windows(picture: Luma, tops: Ints, lefts: Ints, side: int) -> Luma:
    """(side, side, N) of `picture` whose corners are at `tops`, `lefts`, repeating its edge outside."""
    height, width = picture.shape
    steps = np.arange(side)[:, None]
    rows = np.minimum(np.maximum(steps + tops, 0), height - 1) * width
    columns = np.minimum(np.maximum(steps + lefts, 0), width - 1)
    found: Luma = picture.ravel().take(rows[:, None] + columns[None])
    return found


def _blocks_at(this: Luma, other: Luma, moving: NDArray[np.bool_]) -> _Blocks:
    tops, lefts = (BLOCK * index.astype(np.int64) for index in np.nonzero(moving))
    return _Blocks(_windows(this, tops, lefts, BLOCK), other, tops, lefts)


def _matched(this: Luma, other: Luma, start: Ints, moving: NDArray[np.bool_], reach: int) -> Ints:
    """`start`, moved to the best position up to `reach` from it where a block is `moving`."""
    blocks, begun = _blocks_at(this, other, moving), start[moving]
    best = _nearest_best(_sums_around(blocks, begun, reach))
    found = start.copy()
    found[moving] = begun + best - reach
    return found


def _sums_around(blocks: _Blocks, begun: Ints, reach: int) -> Ints:
    """(2 reach + 1, 2 reach + 1, N) sums of differences at each position around `begun`."""
    side = 2 * reach + 1
    tops, lefts = (corner + begun[:, axis] - reach for axis, corner in enumerate((blocks.tops, blocks.lefts)))
    windows = _windows(blocks.other, tops, lefts, BLOCK + 2 * reach)
    sums = np.empty((side, side, len(begun)), np.int64)
    shifted = sliding_window_view(windows, BLOCK, axis=1).transpose(0, 1, 3, 2)  # rows, places, columns, blocks
    for y in range(side):
        gaps = difference(blocks.samples[:, None], shifted[y : y + BLOCK])
        sums[y] = gaps.sum(axis=0, dtype=np.uint16).sum(axis=1, dtype=np.uint16)  # 64 bytes fit 16 bits
    return sums


def _sums(gaps: Luma) -> Ints:
    """(N) of (BLOCK, BLOCK, N)."""
    return gaps.reshape(BLOCK * BLOCK, -1).sum(axis=0, dtype=np.uint16).astype(np.int64)


def _nearest_best(sums: Ints) -> Ints:
    """(N, 2) the place of the least of (side, side, N) sums; of equal ones the nearest to the middle."""
    side = sums.shape[0]
    steps = np.abs(np.arange(side) - side // 2)
    away = (steps[:, None] + steps)[..., None]
    best = (sums * (2 * side) + away).reshape(side * side, -1).argmin(axis=0)
    return np.stack(np.divmod(best, side), axis=-1).astype(np.int64)


def _search_fine(
    this: Look, other: Look, parents: Ints, moving: NDArray[np.bool_], at_rest: Ints, unit: int
) -> tuple[Ints, Ints]:
    """Vectors, in 1/`unit` pixels, and sums of the blocks that are `moving`; 0 where none matches much better."""
    blocks, begun = _blocks_at(this.levels[0], other.levels[0], moving), parents[moving]
    found, least = _best_around(blocks, np.zeros_like(begun), 2, unit)
    far = np.nonzero(np.abs(begun).max(axis=1) > 1)[0]
    if far.size:
        _take_better(found, least, far, *_best_around(blocks.only(far), begun[far], 1, unit))
    _ask_neighbours(found, least, blocks, moving, unit)
    found = _kept_inside(found, this.luma.shape, blocks, unit)
    sums = _sums_between(blocks, found, unit)
    stays = (sums + _CHANCE) * 4 > at_rest * 3
    found[stays] = 0
    return found, np.where(stays, at_rest, sums)


def _best_around(blocks: _Blocks, begun: Ints, reach: int, unit: int) -> tuple[Ints, Ints]:
    """(vectors in 1/`unit` pixels, their sums): the best up to `reach` pixels from `begun`."""
    edge = reach + 1  # one more for the parts of a pixel
    sums = _sums_around(blocks, begun, edge)
    best = _nearest_best(sums[1:-1, 1:-1]) + 1
    y, x, each = best[:, 0], best[:, 1], np.arange(len(best))
    least = sums[y, x, each]
    parts = [
        _part_of_step(sums[y - 1, x, each], least, sums[y + 1, x, each], unit),
        _part_of_step(sums[y, x - 1, each], least, sums[y, x + 1, each], unit),
    ]
    whole = (begun + best - edge) * unit
    found = whole + np.stack(parts, axis=-1)
    between = _sums_between(blocks, found, unit)
    is_whole = between + _SMOOTHING > least
    found[is_whole] = whole[is_whole]
    return found, np.where(is_whole, least, between)


def _sums_between(blocks: _Blocks, vectors: Ints, unit: int) -> Ints:
    tops, lefts = blocks.tops * unit + vectors[:, 0], blocks.lefts * unit + vectors[:, 1]
    return _sums(difference(blocks.samples, blocks_between(blocks.other, tops, lefts, unit)))


def _take_better(found: Ints, least: Ints, which: Ints, vectors: Ints, sums: Ints) -> None:
    """Put `vectors` and `sums` of the blocks `which` in place where they match better."""
    is_better = sums < least[which]
    found[which[is_better]], least[which[is_better]] = vectors[is_better], sums[is_better]


def _ask_neighbours(found: Ints, least: Ints, blocks: _Blocks, moving: NDArray[np.bool_], unit: int) -> None:
    """Take a vector of one of the four blocks beside where it matches better."""
    grid = np.zeros((moving.shape[0] + 2, moving.shape[1] + 2, 2), np.int64)
    rows, columns = np.nonzero(moving)
    grid[rows + 1, columns + 1] = found
    for down, right in ((0, 1), (1, 0), (1, 2), (2, 1)):
        given = grid[rows + down, columns + right]
        other = np.nonzero((given != found).any(axis=1))[0]
        sums = _sums_between(blocks.only(other), given[other], unit)
        _take_better(found, least, other, given[other], sums)


def _part_of_step(before: Ints, least: Ints, after: Ints, unit: int) -> Ints:
    """Where between its neighbours the least lies, in 1/`unit`: of two lines that meet, as sums of differences do."""
    rise = np.maximum(before, after) - least
    gap = (before - after) * unit  # over 2 * rise
    part = (np.abs(gap) + rise) // np.maximum(2 * rise, 1)
    return np.where(rise > 0, np.sign(gap) * np.minimum(part, unit // 2), 0)


def _kept_inside(vectors: Ints, shape: tuple[int, ...], blocks: _Blocks, unit: int) -> Ints:
    """`vectors`, shortened where the match would lie outside of the picture."""
    kept = np.empty_like(vectors)
    for axis, begin in enumerate((blocks.tops, blocks.lefts)):
        last = shape[axis] - BLOCK
        begun = np.minimum(begin, last)
        kept[:, axis] = np.clip(vectors[:, axis], -begun * unit, (last - begun) * unit)
    return kept

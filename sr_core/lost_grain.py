"""How much grain a network took away: what of the input's variance is not in what was made of it.

    given ───────────────► luma ─┐
    made ─► averaged back ► luma ┴─► blocks of 8x8 ─► the flat ones' variance and correlation ─► Film

The variance that flat parts lack is what the network removed, which may be a part. The median over flat blocks counts,
without what rounding alone makes; the size is told by the correlation of neighbours in the difference, and grows with
the scale. A frame's measure is its own: segments need no other. It is put together block by block, in an order that
does not matter, so a picture that comes in strips has the measure of the whole, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, log, sqrt

import numpy as np
import numpy.typing as npt

from sr_core.color import ColorSpec, code_scale
from sr_core.frame import Array, PixelFormat, Planes

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FLOAT_PEAK = 65535  # floats are looked at in so many codes
_LIMIT = 0.06  # of what is kept; 3 times that is still less than a tone's distance from black
_FADE = 0.2  # of the range, at either end
_OWN_SIZE = 6  # tenths of a pixel: the blur of grain that nothing measured
_LARGEST = 40
_BLOCK = 8
_PAIRS = 2 * _BLOCK * (_BLOCK - 1)  # neighbours in a block, across and down
_FLAT = 4 / 255  # between the means of the quarters of a block of what was made
_LEAST = 0.8 / 255  # what is weaker is taken for the coder's own error
_ENOUGH = 16  # flat blocks
_LUMA = (54, 183, 19)  # of 256, ITU-R BT.709


@dataclass(frozen=True)
class Film:
    """Grain of a frame.

    Attributes:
        strength: standard deviation in the middle tones, in parts of black to white.
        tenths: of a pixel: the blur that makes the grain's size.
    """

    strength: float
    tenths: int = _OWN_SIZE


class LostGrain:
    """Sees what was given and what was made of it, each top to bottom, in strips of any height; then tells the film."""

    def __init__(self) -> None:
        self._scale, self._span, self._offset, self._rounding = 1, 1.0, 0.0, 0.0
        self._given: list[Ints] = []  # luma of rows that wait for the others
        self._base: list[Ints] = []  # sums over what was made of one input pixel
        self._missing: list[Floats] = []  # of each flat block: variance, in units of the summed codes
        self._pairs: list[Floats] = []  # sum of products of neighbours in the difference
        self._varied: list[Floats] = []  # variance of the difference

    def see_given(self, planes: Planes, fmt: PixelFormat, color: ColorSpec) -> None:
        """The next rows of the input."""
        self._span, self._offset = luma_range(fmt, color)
        self._rounding = 0.0 if fmt.is_float else 1 / 12 / self._span**2
        self._given.append(luma_codes(planes, fmt).astype(np.int64))
        self._measure()

    def see_made(self, planes: Planes, fmt: PixelFormat) -> None:
        """The next rows of what was made, whole multiples of the scale; some of the input came before them."""
        made = luma_codes(planes, fmt)
        scale = self._scale = made.shape[1] // self._given[0].shape[1]
        rows, columns = (side // scale for side in made.shape)
        base = np.zeros((rows, columns), np.int64)
        for down in range(scale):
            for across in range(scale):
                base += made[down::scale, across::scale]
        self._base.append(base)
        self._measure()

    def film(self) -> Film:
        """What was lost of all that was seen."""
        nothing = Film(0.0)
        if sum(map(len, self._missing)) < _ENOUGH:
            return nothing
        unit = self._span * self._scale**2
        strength = sqrt(max(0.0, float(np.median(np.concatenate(self._missing))) / unit**2 - self._rounding))
        if strength < _LEAST:
            return nothing
        pairs, varied = (fsum(np.concatenate(found)) for found in (self._pairs, self._varied))  # in any order the same
        alike = min(max(pairs / _PAIRS / varied, 0.03), 0.95)
        blur = self._scale * 0.5 / sqrt(-log(alike))  # of a Gaussian blur b, neighbours correlate by exp(-1 / (4 b^2))
        return Film(min(strength, _LIMIT), min(max(round(10 * blur), 1), _LARGEST))

    def _measure(self) -> None:
        """Take the whole blocks of which both sides are there."""
        rows = min(sum(map(len, held)) for held in (self._given, self._base)) // _BLOCK * _BLOCK
        if not rows:
            return
        given, base = (np.concatenate(held) for held in (self._given, self._base))
        self._given, self._base = [given[rows:]], [base[rows:]]
        columns = base.shape[1] // _BLOCK * _BLOCK
        given, base = (plane[:rows, :columns] for plane in (given, base))
        self._add(_in_blocks(given * self._scale**2 - base), _in_blocks(base))  # whole numbers: the same on every CPU

    def _add(self, blocks: Ints, bases: Ints) -> None:
        area = self._scale**2
        tones = tone((bases.mean(axis=(1, 2)) / area - self._offset) / self._span)
        coarse = bases.reshape(-1, 2, _BLOCK // 2, 2, _BLOCK // 2).sum(axis=(2, 4))  # in which grain hardly shows
        steps = np.ptp(coarse, axis=(1, 2))
        is_flat = (steps < _FLAT * self._span * area * (_BLOCK // 2) ** 2) & (tones > 0.5)
        blocks, bases, tones = blocks[is_flat], bases[is_flat], tones[is_flat]
        centred = blocks - blocks.mean(axis=(1, 2), keepdims=True)
        across, down = centred[:, :, 1:] * centred[:, :, :-1], centred[:, 1:] * centred[:, :-1]
        self._missing.append((_variance(blocks + bases) - _variance(bases)) / tones**2)
        products = np.concatenate([side.reshape(-1, _PAIRS // 2) for side in (across, down)], axis=1)
        self._pairs.append(products.sum(axis=1))
        self._varied.append(_variance(blocks))


def luma_codes(planes: Sequence[Array], fmt: PixelFormat) -> Array:
    """Luma in codes of an integer type, of any format."""
    if fmt.family != "rgb":
        return _codes(planes[0], fmt)
    channels = [planes[0][..., n] for n in range(3)] if fmt.layout == "packed" else planes
    weighted = [_codes(plane, fmt).astype(np.uint32) * part for plane, part in zip(channels, _LUMA, strict=True)]
    luma: Array = (weighted[0] + weighted[1] + weighted[2]) >> 8
    return luma


def luma_range(fmt: PixelFormat, color: ColorSpec) -> tuple[float, float]:
    """(span, offset) of luma in codes."""
    if fmt.is_float:
        return float(FLOAT_PEAK), 0.0
    span, offset, *_ = code_scale(depth=fmt.depth, full_range=color.full_range or fmt.family == "rgb")
    return span, offset


def tone(luma: Floats) -> Floats:
    """How much of the grain a tone of 0..1 shows."""
    shown: Floats = np.clip(np.minimum(luma, 1 - luma) / _FADE, 0, 1)
    return shown


def _codes(plane: Array, fmt: PixelFormat) -> Array:
    if fmt.is_float:
        return np.rint(np.clip(plane.astype(np.float32), 0, 1) * np.float32(FLOAT_PEAK)).astype(np.uint16)
    return plane >> (16 - fmt.depth) if fmt.msb_aligned else plane


def _in_blocks(plane: Ints) -> Ints:
    """(blocks, 8, 8)."""
    height, width = plane.shape
    split = plane.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    return split.transpose(0, 2, 1, 3).reshape(-1, _BLOCK, _BLOCK)


def _variance(blocks: Ints) -> Floats:
    """Within each block, from whole numbers."""
    count = _BLOCK * _BLOCK
    total, squares = blocks.sum(axis=(1, 2)), (blocks * blocks).sum(axis=(1, 2))
    return (count * squares - total * total) / (count * (count - 1.0))

"""How much of a neighbour each pixel takes, from how well the inputs match there.

    share  1/3 ──────╮
                      ╲                   mismatch: mean |difference| of 3x3 input pixels, in 8-bit codes
             0         ╰──────────►
                  low    low + 5          low: what the noise of the two frames explains

A ghost is what one frame has and the other has not: there the inputs differ by more than noise does, and nothing is
taken. Where the outputs differ although the inputs match, `blend` limits what is taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sr_core.frame import Array, PixelFormat, Planes
from sr_core.steady.motion import BLOCK, Look, Luma, Motion, difference
from sr_core.steady.overlay import lay_luma_over, lay_over

Shares = NDArray[np.int16]

WHOLE = 256  # in which shares are counted
_MOST = 85  # of WHOLE: a third, so that three frames that match count alike
_AREA = 9  # pixels of the neighbourhood
_NOISE_CODES = (1, 3)  # a clean source; beyond, it is motion that was not found
_ABOVE_NOISE = 2  # codes of mismatch that still count as noise: twice it in a neighbourhood happens
_RAMP = 5  # codes from all to nothing


def flat_planes(planes: Planes) -> list[Array]:
    """`planes` as (rows, columns) each: interleaved samples apart, where they lie."""
    return [part for plane in planes for part in ([plane] if plane.ndim == 2 else np.moveaxis(plane, -1, 0))]


def flat_divisors(fmt: PixelFormat) -> list[tuple[int, int]]:
    """(horizontal, vertical) divisor of each of `flat_planes`."""
    times = {"uv": 2, "rgb": 3}
    return [fmt.plane_divisor(name) for name in fmt.plane_names for _ in range(times.get(name, 1))]


def bytes_of(plane: Array, fmt: PixelFormat) -> Luma:
    """Samples in 8 bits, the rest cut off."""
    bits = (16 if fmt.msb_aligned else fmt.depth) - 8
    return plane if bits == 0 else (plane >> bits).astype(np.uint8)


def look_at(given: Planes, fmt: PixelFormat) -> Look:
    """The luma of input planes, or what stands for it."""
    planes = flat_planes(given)
    if fmt.family != "rgb":
        return Look(bytes_of(planes[0], fmt))
    red, green, blue = (bytes_of(plane, fmt).astype(np.uint16) for plane in planes)
    return Look(((red + 2 * green + blue + 2) >> 2).astype(np.uint8))


def shares_of(
    given: tuple[Planes, Planes], looks: tuple[Look, Look], motion: Motion, scale: int, fmt: PixelFormat
) -> list[Shares]:
    """Per flat plane of the input, what each sample takes of the second frame, 0 to `_MOST` of WHOLE."""
    low = _noise_limit(motion)
    shared = _shares(difference(looks[0].luma, lay_luma_over(looks[1].luma, motion)), low)
    found = []
    pairs = zip(*(flat_planes(planes) for planes in given), flat_divisors(fmt), strict=True)
    for index, (this, other, divisor) in enumerate(pairs):
        if index == 0 and fmt.family != "rgb":
            found.append(shared)
            continue
        laid = lay_over(bytes_of(other, fmt), motion, 1, divisor)
        own = _shares(difference(bytes_of(this, fmt), laid), low)
        own = np.minimum(own, shared[:: divisor[1], :: divisor[0]])
        found.append(own * _is_whole(motion, scale, divisor, own.shape))
    return found


def _is_whole(motion: Motion, scale: int, divisor: tuple[int, int], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where a subsampled plane's output moves by whole samples; half a sample beside, colors would blur."""
    down, right = reversed(divisor)
    steps = motion.vectors * scale // motion.unit
    blocks: NDArray[np.bool_] = (steps % (down, right) == 0).all(axis=-1)
    samples: NDArray[np.bool_] = blocks.repeat(BLOCK // down, axis=0).repeat(BLOCK // right, axis=1)
    return samples[: shape[0], : shape[1]]


def _noise_limit(motion: Motion) -> int:
    """Mismatch of a neighbourhood, summed, up to which it is noise: by the middle one of all blocks."""
    least, most = (codes * BLOCK * BLOCK for codes in _NOISE_CODES)
    middle = int(np.sort(motion.sums, axis=None)[motion.sums.size // 2])
    noise = min(max(middle, least), most)
    return noise * _AREA // (BLOCK * BLOCK) + _ABOVE_NOISE * _AREA


def _shares(gaps: Luma, low: int) -> Shares:
    """Of each pixel's 3x3 neighbourhood."""
    padded = np.pad(gaps, 1, mode="edge").astype(np.int16)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    ramp = _RAMP * _AREA
    # 16 bits hold ramp * _MOST = 3825
    shares: Shares = np.clip(low + ramp - sums, 0, ramp) * np.int16(_MOST) // np.int16(ramp)
    return shares

"""Film grain laid over what an upscaler made: so much of it, or as much as the input had and the network took away.

    moment ─► offset, flips, sign ─► a window of one template ─┐
    luma made ─► gain by brightness ───────────────────────────┴ x ─► added to luma, rounded

The sample at (x, y) of the frame at `moment` depends on nothing else: the same bytes on every run, whoever makes the
frame and after whatever. Grain is of luma: RGB channels get the same amount. It is strongest in the middle tones and
fades to black and to white [1], so that no sample leaves the nominal range. As in AV1's film grain [2], the template
is Gaussian noise of unit strength, made once, of which each frame takes another part.

`keep` lays what the network took away (`sr_core.lost_grain`).

[1] Kodak, Print Grain Index (E-58), and Livingston, Physical Properties of Photographic Materials, 1929: granularity
    peaks at medium densities.
[2] Norkin, Birkbeck, Film Grain Synthesis for AV1 Video Codec, DCC 2018; AV1 specification, section 7.18.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from math import exp
from typing import Literal

import numpy as np
import numpy.typing as npt

from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.errors import BadInput
from sr_core.frame import Array, PixelFormat, Planes
from sr_core.lost_grain import FLOAT_PEAK, Film, LostGrain, luma_codes, luma_range, tone

KEEP: Literal["keep"] = "keep"
STRONGEST = 0.04  # standard deviation at amount 1, in parts of black to white: some 9 codes of 8 bits
_SIDE = 1024  # of the template, which is periodic
_ONE = 4096  # a standard deviation in its codes
_CUT = 3 * _ONE
_STRIP = 64  # rows at a time, which stay in the cache


def check_grain(grain: float | str) -> float | Literal["keep"]:
    """`grain`, if it is an amount or 'keep'; a text may hold either.

    Raises:
        BadInput: it is neither.
    """
    if grain == KEEP:
        return KEEP
    try:
        amount = float(grain)
    except (TypeError, ValueError):
        amount = -1.0
    if isinstance(grain, bool) or not 0.0 <= amount <= 1.0:
        raise BadInput(f"grain is a number from 0 to 1, or keep, not {grain!r}")
    return amount


def film_of(grain: float | Literal["keep"], given: Planes, made: Planes, fmt: PixelFormat, color: ColorSpec) -> Film:
    """What `grain` means for one frame: `given` is what `made` was made of."""
    if grain != KEEP:
        return Film(STRONGEST * grain)
    lost = LostGrain()
    lost.see_given(given, fmt, color)
    lost.see_made(made, fmt)
    return lost.film()


def lay(
    film: Film,
    made: Planes,
    fmt: PixelFormat,
    color: ColorSpec,
    *,
    moment: int,
    out: Planes | None = None,
    top: int = 0,
) -> Planes:
    """`made` with `film` over it, in `out` or in new planes; `made` itself is not written to.

    Args:
        moment: the frame's place in its source: pts or number.
        top: the row of the frame at which `made` begins.
    """
    if out is None:
        out = tuple(np.empty_like(plane) for plane in made)
    if not film.strength:
        for source, target in zip(made, out, strict=True):
            np.copyto(target, source)
        return out
    lut = _gains(fmt, color, film.strength)
    rows, columns = _window(moment, range(top, top + made[0].shape[0]), range(made[0].shape[1]))
    template = _template(film.tenths)
    channels = 3 if fmt.family == "rgb" and fmt.layout != "packed" else 1
    for first in range(0, len(rows), _STRIP):
        part = np.s_[first : first + _STRIP]
        luma = luma_codes([plane[part] for plane in made], fmt)
        noise = template[rows[part]][:, columns].astype(np.float32)
        noise *= lut[luma]
        for source, target in zip(made[:channels], out[:channels], strict=True):
            _add(source[part], noise, target[part], fmt)
    for source, target in zip(made[channels:], out[channels:], strict=True):
        np.copyto(target, source)
    return out


def lay_on_picture(film: Film, made: Array, *, moment: int = 0, top: int = 0, is_premultiplied: bool = False) -> Array:
    """A copy of `made`, (H, W) or (H, W, 1 to 4), gamma-encoded, with `film` over the colors that show; see `lay`.

    Args:
        is_premultiplied: the colors are multiplied by alpha, and so is the grain.
    """
    laid = made.copy()
    pixels = laid.reshape(*laid.shape[:2], -1)
    has_alpha = pixels.shape[2] % 2 == 0
    if is_premultiplied and has_alpha:
        pixels[..., :-1] = _laid_on_premultiplied(film, pixels, moment=moment, top=top)
        return laid
    fmt, planes = color_planes(made)
    shows = pixels[..., -1] > 0 if has_alpha else np.True_  # noise that nobody sees would only make files larger
    for n, plane in enumerate(lay(film, planes, fmt, FULL_RANGE_RGB, moment=moment, top=top)):
        np.copyto(pixels[..., n], plane, where=shows)
    return laid


def lay_as_asked(grain: float | Literal["keep"], given: Array, made: Array) -> Array:
    """A copy of the picture `made` of `given`, with what `grain` means for it; see `lay_on_picture`."""
    (fmt, planes), (_, large) = color_planes(given), color_planes(made)
    return lay_on_picture(film_of(grain, planes, large, fmt, FULL_RANGE_RGB), made)


def _laid_on_premultiplied(film: Film, pixels: Array, *, moment: int, top: int) -> Array:
    """The colors of (H, W, 2 or 4) with grain, none above alpha."""
    peak = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    colors, alpha = pixels[..., :-1].astype(np.float32), pixels[..., -1:].astype(np.float32)
    straight = np.divide(colors, alpha, out=np.zeros_like(colors), where=alpha > 0)
    change = lay_on_picture(film, straight, moment=moment, top=top) - straight
    colors += change * alpha
    return colors if peak == 1 else np.rint(colors).clip(0, peak)


def lay_on_strips(
    strips: Iterable[Array],
    grain: float | Literal["keep"],
    *,
    lost: LostGrain | None = None,
    hold: Callable[[Iterator[Array]], Iterable[Array]] = list,
    moment: int = 0,
    is_premultiplied: bool = False,
) -> Iterator[Array]:
    """The strips of one picture, top to bottom, with so much grain; the same bytes as of the whole.

    Args:
        lost: of 'keep' alone: has seen, or will see while `strips` are made, what they are made of.
        hold: of 'keep' alone: takes all strips before the first is handed out, and gives them again.
    """
    film = Film(0.0 if grain == KEEP else STRONGEST * grain)
    if grain == KEEP:
        assert lost is not None
        strips = hold(_seen(strips, lost))
        film = lost.film()
    top = 0
    for strip in strips:
        if film.strength:
            yield lay_on_picture(film, strip, moment=moment, top=top, is_premultiplied=is_premultiplied)
        else:
            yield strip
        top += len(strip)


def given_to(lost: LostGrain | None, strips: Iterable[Array]) -> Iterator[Array]:
    """The strips on their way to the network, seen by `lost`."""
    for strip in strips:
        if lost is not None:
            fmt, planes = color_planes(strip)
            lost.see_given(planes, fmt, FULL_RANGE_RGB)
        yield strip


def _seen(strips: Iterable[Array], lost: LostGrain) -> Iterator[Array]:
    for strip in strips:
        fmt, planes = color_planes(strip)
        lost.see_made(planes, fmt)
        yield strip


def color_planes(picture: Array) -> tuple[PixelFormat, Planes]:
    """The colors of a picture as planes, and their format: gray or RGB, without alpha."""
    pixels = picture.reshape(*picture.shape[:2], -1)
    depth, is_float = picture.dtype.itemsize * 8, picture.dtype.kind == "f"
    fmt = PixelFormat(family="gray" if pixels.shape[2] < 3 else "rgb", depth=depth, is_float=is_float)
    return fmt, tuple(pixels[..., n] for n in range(len(fmt.plane_names)))


def _add(source: Array, noise: npt.NDArray[np.float32], target: Array, fmt: PixelFormat) -> None:
    noise = noise[..., None] if source.ndim == 3 else noise
    if fmt.is_float:
        target[...] = source + noise / np.float32(FLOAT_PEAK)
        return
    shift = 16 - fmt.depth if fmt.msb_aligned else 0
    codes = (source >> shift) + noise
    np.rint(codes, out=codes)
    np.clip(codes, 0, fmt.peak, out=codes)
    target[...] = codes.astype(source.dtype) << shift if shift else codes.astype(source.dtype)


def _gains(fmt: PixelFormat, color: ColorSpec, strength: float) -> npt.NDArray[np.float32]:
    """For each code of luma, what a template's code is multiplied with."""
    span, offset = luma_range(fmt, color)
    codes = np.arange(FLOAT_PEAK + 1 if fmt.is_float else fmt.peak + 1, dtype=np.float64)
    return (tone((codes - offset) / span) * (strength * span / _ONE)).astype(np.float32)


def _window(moment: int, rows: range, columns: range) -> tuple[Array, Array]:
    """Rows and columns of the template for those of the frame at `moment`."""
    mixed = (moment + 0x9E3779B97F4A7C15) & (1 << 64) - 1  # SplitMix64, Steele et al. 2014
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        mixed = ((mixed ^ mixed >> shift) * factor) & (1 << 64) - 1
    lines = []
    for line, bits in ((rows, mixed), (columns, mixed >> 20)):
        direction = 1 if bits & 1 << 10 else -1
        lines.append((np.asarray(line) * direction + (bits & _SIDE - 1)) % _SIDE)
    return lines[0], lines[1]


@lru_cache(8)
def _template(tenths: int) -> npt.NDArray[np.int16]:
    """Noise of unit strength and zero mean, `_ONE` codes a standard deviation, periodic."""
    # RandomState's numbers never change (NEP 19); sums in one order, so that every CPU makes the same
    noise = np.random.RandomState(24).standard_normal((_SIDE, _SIDE))
    blur = tenths / 10
    reach = int(3 * blur + 0.5)
    taps = [exp(-0.5 * (n / blur) ** 2) for n in range(-reach, reach + 1)] if blur else [1.0]
    for axis in (0, 1):
        total = np.zeros_like(noise)
        for n, tap in zip(range(-reach, reach + 1), taps, strict=True):
            total += tap * np.roll(noise, n, axis)
        noise = total
    noise *= 1 / (sum(tap * tap for tap in taps))  # of unit strength again: both axes
    return np.clip(np.rint(noise * _ONE), -_CUT, _CUT).astype(np.int16)

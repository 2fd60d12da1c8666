"""What a network does to a picture's size, found by running it on noise.

    scale      output pixels per input pixel                     (o1 - o2) / (i1 - i2) of two sides
    margin     input pixels that it eats on each side            waifu2x and Real-CUGAN give s * (side - 2 margin)
    multiple   sides must be divisible by this                   windows of 7, 12, 24; pixel-unshuffle
    rest       and leave this, where a margin is eaten           Real-CUGAN x4: 4 k + 2
    smallest   sides must be at least this                       reflecting pads

Two sides that share no divisor but the multiple are tried, so a larger one cannot hide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sr_core.errors import BadModel
from sr_core.model_spec import LARGEST_SCALE
from sr_zoo.ends import Ends
from sr_zoo.onnx_run import Runner, probe_noise, refuse_not_finite
from sr_zoo.reasons import reason_of

_POWERS = (1, 2, 4, 8, 16, 32, 64)
MULTIPLES = (*_POWERS, *(number for number in range(3, 65) if number not in _POWERS), 96, 128)
_CANDIDATES = (*((m, rest) for m in (1, 2, 4) for rest in range(m)), *((m, 0) for m in MULTIPLES if m not in (1, 2, 4)))
BASES = (24, 72, 192)  # input pixels; the next is tried where nothing runs on the one before
_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """See the module."""

    scale: int
    margin: int = 0
    multiple: int = 1
    smallest: int = 1
    rest: int = 0


def probe(run: Runner, ends: Ends, name: str) -> Geometry:
    """The geometry of the network that `run` runs.

    Raises:
        BadModel: it runs on no size, or does not enlarge what it runs on.
    """
    if ends.fixed_size is not None:
        return _probe_fixed(run, ends, name)
    failure: Exception | None = None
    for base in BASES:
        for multiple, rest in _CANDIDATES:
            first = -(-base // multiple)
            sides = (first * multiple + rest, (first + 1) * multiple + rest)
            try:
                found = _geometry(run, ends, sides, name)
                turned = _geometry(run, ends, sides[::-1], name)
                wider = (sides[0] + 8 * multiple, sides[1] + 8 * multiple)  # half a picture is no fixed margin
                if found is not None and found[1] and _geometry(run, ends, wider, name) != found:
                    continue
            except (RuntimeError, BadModel) as error:
                failure = error
                continue
            if found is None or found != turned or (rest - 2 * found[1]) % multiple:
                continue
            smallest = _smallest(run, ends, found, (multiple, rest), most=sides[0])
            return Geometry(scale=found[0], margin=found[1], multiple=multiple, rest=rest, smallest=smallest)
    if isinstance(failure, BadModel):
        raise failure
    raise _no_picture(name, failure)


def _geometry(run: Runner, ends: Ends, sides: tuple[int, int], name: str) -> tuple[int, int] | None:
    """(scale, margin) on one picture of two different sides; None where the output is none."""
    height, width = sides
    made = ends.picture(run(ends.feed(probe_noise((1, ends.seen_channels, height, width)))))
    if made is None:
        return None
    scale, rest = divmod(made.shape[2] - made.shape[3], height - width)
    lost = scale * height - made.shape[2]
    if rest or not 1 <= scale <= LARGEST_SCALE or lost < 0 or lost % (2 * scale):
        return None
    refuse_not_finite(made, name)
    return scale, lost // (2 * scale)


def _smallest(run: Runner, ends: Ends, found: tuple[int, int], grid: tuple[int, int], *, most: int) -> int:
    """The least side that runs, of a few; at most `most`, which does."""
    multiple, rest = grid
    if most == multiple:
        return 1  # every multiple is long enough
    for step in _STEPS:
        side = step * multiple + rest
        if side >= most:
            break
        try:
            made = ends.picture(run(ends.feed(probe_noise((1, ends.seen_channels, side, side)))))
        except RuntimeError:
            continue
        if made is None or made.shape[2:] != ((side - 2 * found[1]) * found[0],) * 2:
            continue
        if np.isfinite(made).all():
            return 1 if step == 1 else side
    return most


def _probe_fixed(run: Runner, ends: Ends, name: str) -> Geometry:
    assert ends.fixed_size is not None
    width, height = ends.fixed_size
    try:
        made = ends.picture(run(ends.feed(probe_noise((1, ends.seen_channels, height, width)))))
    except RuntimeError as error:
        raise _no_picture(name, error) from error
    scale = 0 if made is None else made.shape[3] // width
    if made is None or not 1 <= scale <= LARGEST_SCALE or made.shape[2:] != (height * scale, width * scale):
        raise _no_picture(name, None)
    refuse_not_finite(made, name)
    return Geometry(scale=scale)


def _no_picture(name: str, failure: Exception | None) -> BadModel:
    reason = reason_of(failure) if failure else "its output is not a multiple of its input"
    return BadModel(f"{name} does not enlarge images: {reason}", hint="give a super-resolution model")

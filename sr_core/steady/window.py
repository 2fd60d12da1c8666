"""Frames in order, each steadied by the one before and the one after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from sr_core.errors import BadInput
from sr_core.frame import Array, PixelFormat, Planes
from sr_core.steady.blend import blend
from sr_core.steady.motion import BLOCK, Look, find_motion
from sr_core.steady.overlay import lay_over
from sr_core.steady.weights import Shares, flat_divisors, flat_planes, look_at, shares_of
from sr_core.wording import option

_FINEST = 4  # parts of a pixel in which motion is found


@dataclass(frozen=True)
class Moment:
    """What was given and what the network made of it; both are only read."""

    given: Planes
    made: Planes
    look: Look


def check_steadiable(fmt: PixelFormat, width: int, height: int) -> None:
    """Refuse input frames that cannot be steadied.

    Raises:
        BadInput: floats, or less than a block that motion is found by.
    """
    if fmt.is_float:
        raise BadInput(f"{option('steady', True)} takes integer samples, not floats", hint="convert to 16 bits first")
    if min(width, height) < BLOCK:
        raise BadInput(
            f"{option('steady', True)} needs {BLOCK} pixels each way, and the picture is {width}x{height}",
            hint=f"leave {option('steady', True)} out",
        )


class Steadier:
    """Steadies frames that `check_steadiable` lets pass, of one format at one scale. It keeps nothing."""

    def __init__(self, fmt: PixelFormat, scale: int) -> None:
        self._fmt, self._scale = fmt, scale
        # output moves by whole samples: the parts of a pixel are those of the scale
        self._unit = max(unit for unit in range(1, _FINEST + 1) if scale % unit == 0)

    def moment(self, given: Planes, made: Planes) -> Moment:
        """A frame, looked at once for both of its neighbours."""
        return Moment(given, made, look_at(given, self._fmt))

    def steadied(self, before: Moment | None, this: Moment, after: Moment | None, out: Planes | None = None) -> Planes:
        """Planes for `this`, in `out` or new ones; None where there is no frame."""
        fmt, planes = self._fmt, flat_planes(this.made)
        laid: list[list[tuple[Array, Shares]]] = [[] for _ in planes]
        for other in (before, after):
            if other is not None:
                self._lay(this, other, laid)
        made = tuple(np.empty_like(plane) for plane in this.made) if out is None else out
        for plane, neighbours, target in zip(planes, laid, flat_planes(made), strict=True):
            blend(plane, neighbours, self._scale, fmt, target)
        return made

    def _lay(self, this: Moment, other: Moment, laid: list[list[tuple[Array, Shares]]]) -> None:
        motion = find_motion(this.look, other.look, self._unit)
        if motion.is_cut:
            return
        shares = shares_of((this.given, other.given), (this.look, other.look), motion, self._scale, self._fmt)
        divisors = flat_divisors(self._fmt)
        for neighbours, plane, share, divisor in zip(laid, flat_planes(other.made), shares, divisors, strict=True):
            neighbours.append((lay_over(plane, motion, self._scale, divisor), share))


def steadied[Item](
    made: Iterable[tuple[Item, Planes, Planes]], fmt: PixelFormat, scale: int
) -> Iterator[tuple[Item, Planes]]:
    """Each item of (item, given, made) with its steadied planes, in order, one frame late."""
    window = Window[Item](fmt, scale)
    for item, given, large in made:
        yield from window.push(item, given, large)
    yield from window.flush()


class Window[Item]:
    """Takes frames in order and gives each, steadied, when the next one is known."""

    def __init__(self, fmt: PixelFormat, scale: int) -> None:
        self._steadier = Steadier(fmt, scale)
        self._before: Moment | None = None
        self._this: tuple[Item, Moment] | None = None

    def push(self, item: Item, given: Planes, made: Planes) -> Iterator[tuple[Item, Planes]]:
        """The frame before this one, once that is known. `given` and `made` are kept for two frames more."""
        after = self._steadier.moment(given, made)
        if self._this is not None:
            yield self._finished(after)
            self._before = self._this[1]
        self._this = item, after

    def flush(self) -> Iterator[tuple[Item, Planes]]:
        """The last frame."""
        if self._this is not None:
            yield self._finished(None)
            self._this = self._before = None

    def _finished(self, after: Moment | None) -> tuple[Item, Planes]:
        assert self._this is not None
        item, this = self._this
        return item, self._steadier.steadied(self._before, this, after)

"""How much a tile reads on a CPU: from the frame and the halo alone, so that every run and worker cuts alike.

Sizes used to be measured, which took seconds before the first frame and changed bytes from one run to the next
(another shape may sum in another order). It was not worth it: the cost of a pixel that is read is flat.

    ns a pixel, one thread, minima: 96²  144²  208²  304²  432²  480x270  960x540
    clear-x4, f32, AMD EPYC, AVX2   1877 1940  1883  1986  2003    1909     1938
    clear-x2, f32, AMD EPYC, AVX2   1910 1775  1734  1946  1868    1695     1850
    swift-x4, f32, AMD EPYC, AVX2    630  547   490   503   507     471      531
    clear-x4, bf16, Xeon with AMX    455  410   457   552   501     517      579

(`python benchmarks/engine.py --pixels`; the first three on a shared machine, the last by an experiment.) So the
tile is chosen that makes the least of a frame be read twice, within an area whose features still lie in a large cache.
"""

from __future__ import annotations

from itertools import product

from sr_core.tiles.tiling import balanced_read, plan_tiles, round_up

SIDES = (96, 144, 208, 304, 432)  # read sides to choose from, in input pixels; areas double
LARGEST_AREA = SIDES[-1] ** 2  # 32 features of f32 take 24 MB there; memory is held for every context
NEAR = 1.08  # times the least number of pixels read: then the fewest tiles win
SHARED_SLACK = 1.2  # a shape of its own costs a small image more than a fifth of its time (27 % measured)


def best_read(size: tuple[int, int], *, halo: int, align: int, smallest: int = 1) -> tuple[int, int]:
    """The read size (width, height), at least `smallest`, that makes a frame of `size` cost least."""
    usable = _usable(halo, align, smallest)
    candidates: list[tuple[int, tuple[int, int]]] = []  # pixels read, read size
    for wanted in product((*usable, size[0]), (*usable, size[1])):
        width, height = (
            balanced_read(length, read=read, halo=halo, align=align) for length, read in zip(size, wanted, strict=True)
        )
        if width * height <= LARGEST_AREA and min(width, height) >= smallest:
            plan = plan_tiles(*size, read=(width, height), halo=halo, align=align)
            candidates.append((plan.pixels_read, (width, height)))
    if not candidates:
        return usable[0], usable[0]
    within = min(candidates)[0] * NEAR
    near = [entry for entry in candidates if entry[0] <= within]
    return max(near, key=lambda entry: (entry[1][0] * entry[1][1], -entry[0]))[1]


def shared_side(*, halo: int, align: int, smallest: int = 1) -> int:
    """The side of one square shape for frames of all sizes: small, so that few are smaller, but not mostly halo."""
    usable = _usable(halo, align, smallest)
    per_owned = {side: (side / (side - 2 * halo)) ** 2 for side in usable}
    return min(side for side in usable if per_owned[side] <= min(per_owned.values()) * SHARED_SLACK)


def _usable(halo: int, align: int, smallest: int) -> list[int]:
    """Sides that own something, and that the network takes; one beyond `SIDES` where none of those does."""
    sides = [round_up(side, align) for side in SIDES if side >= smallest and side > 2 * halo + align]
    return sides or [round_up(max(4 * halo + align, smallest), align)]

"""Which tile size is fastest here: measured once per model and machine, then remembered.

On a CPU the cost per pixel depends on whether a tile's features stay in the cache and on which
kernel the runtime picks: 10 to 20 % between good sizes, a factor of two to the worst (DESIGN §6).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sr_core.backend import Backend, DirectSession, Progress, Session
from sr_core.frame import PixelFormat, Planes
from sr_core.storage import cache_path, drop_from_cache, found_in_cache, keep_in_cache
from sr_core.tiling import balanced_read, plan_tiles, round_up

if TYPE_CHECKING:
    from onnx import ModelProto

SIDES = (96, 144, 208, 304, 432)  # read sides tried, in input pixels; areas double
ROUNDS = 4  # of a side; the first warms up
ENOUGH_SECONDS = 1.5  # stop going up once a single tile takes this long
MEASUREMENT_NOISE = 0.08  # predictions closer than this are equal; then the least overlap wins
SHARED_SLACK = 1.2  # a shape of its own costs a small image more than a fifth of its time (27 % measured)
Costs = dict[int, float]  # side -> seconds per input pixel, all contexts busy


def measured_costs(
    model: ModelProto,
    backend: Backend,
    fmt: PixelFormat,
    open_session: Callable[[int], Session],
    *,
    scale: int,
    align: int,
    progress: Progress | None = None,
) -> Costs:
    """Seconds per pixel for each of `SIDES`, from the cache or by running it (a second or two).

    Args:
        open_session: compiles the graph for a square tile of that side.
        scale: output pixels per input pixel.
    """
    path = _cache_path(model, backend)
    known = found_in_cache(path)
    if known is not None:
        try:
            return {int(side): float(cost) for side, cost in json.loads(known).items()}
        except (ValueError, AttributeError):
            drop_from_cache(path)  # written by something else; measure again
    costs: Costs = {}
    for index, side in enumerate(SIDES):
        side = round_up(side, align)

        def tell(share: float, index: int = index) -> None:
            if progress is not None:
                progress("measuring tile sizes", (index + share) / len(SIDES))

        tell(0.0)
        session = open_session(side)
        try:
            targets = [fmt.empty(side * scale, side * scale) for _ in range(session.contexts)]
            seconds = _seconds_per_tile(session, fmt.empty(side, side), targets, tell)
        finally:
            session.close()
        costs[side] = seconds / (side * side)
        if seconds > ENOUGH_SECONDS:
            break
    keep_in_cache(path, json.dumps(costs).encode())
    return costs


def _seconds_per_tile(session: Session, planes: Planes, targets: list[Planes], tell: Callable[[float], None]) -> float:
    """Wall seconds per tile with every context busy, the best of three rounds after a warm-up.

    Where other programs hold the CPU, the wall tells of them: a tile of 144 once took 1.5 s, and 96 with
    its halo, 1.6 times the work, was chosen for good. The CPU time of this process does not, but may
    hold work of other threads. The smaller of the two is nearer to the truth.
    """
    for plane in (*planes, *(plane for target in targets for plane in target)):
        plane.fill(0)  # and no page is touched for the first time in what is timed

    def run(target: Planes) -> None:
        if isinstance(session, DirectSession):
            session.run_into(planes, target, [(0, 0)] * len(target))
        else:
            session.run(planes, _discard)

    best = float("inf")
    with ThreadPoolExecutor(session.contexts) as pool:
        for round_number in range(ROUNDS):
            if round_number:
                tell(round_number / ROUNDS)  # between tiles too: who hears it may raise Cancelled
            start, cpu_start = time.perf_counter(), time.process_time()
            list(pool.map(run, targets))
            wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
            elapsed = min(wall, cpu / session.contexts) / session.contexts
            if round_number:
                best = min(best, elapsed)
            if elapsed > ENOUGH_SECONDS:
                return min(best, elapsed)
    return best


def _discard(outputs: object) -> None:
    """Timing needs no result."""


def _cache_path(model: ModelProto, backend: Backend) -> Path:
    key = hashlib.sha256(model.SerializeToString(deterministic=True))
    for part in (backend.name, getattr(backend, "version", ""), backend.device, str(SIDES)):
        key.update(part.encode() + b"\0")
    return cache_path("tiles") / f"{key.hexdigest()[:32]}.json"


def best_read(costs: Costs, size: tuple[int, int], *, halo: int, align: int, shared: bool) -> tuple[int, int]:
    """The read size (width, height) with the least predicted time for a frame of `size`.

    With `shared`, the smallest square side whose cost per owned pixel of a large frame is near the
    least: frames of all sizes then use one compiled shape, and few are smaller than it.
    """
    usable = {side: cost for side, cost in costs.items() if side > 2 * halo + align}
    if not usable:
        side = round_up(4 * halo + align, align)
        return side, side
    if shared:
        per_owned = {side: cost * side**2 / (side - 2 * halo) ** 2 for side, cost in usable.items()}
        side = min(side for side in usable if per_owned[side] <= min(per_owned.values()) * SHARED_SLACK)
        return side, side
    sides, cost_values = np.array(sorted(usable)), np.array([usable[side] for side in sorted(usable)])
    candidates: list[tuple[float, int, tuple[int, int]]] = []  # predicted seconds, pixels read, read size
    largest = int(sides[-1])
    for wanted_width in (*sides, size[0]):  # uncut too, where no larger area than measured comes of it
        for wanted_height in (*sides, size[1]):
            read = (
                balanced_read(size[0], read=int(wanted_width), halo=halo, align=align),
                balanced_read(size[1], read=int(wanted_height), halo=halo, align=align),
            )
            plan = plan_tiles(*size, read=read, halo=halo, align=align)
            if max(wanted_width, wanted_height) > largest and plan.read_width * plan.read_height > largest**2:
                continue
            side = (plan.read_width * plan.read_height) ** 0.5
            seconds = plan.pixels_read * float(np.interp(side, sides, cost_values))
            candidates.append((seconds, plan.pixels_read, read))
    within = min(candidates)[0] * (1 + MEASUREMENT_NOISE)
    near = [entry for entry in candidates if entry[0] <= within]
    return min(near, key=lambda entry: (entry[1], -entry[2][0] * entry[2][1]))[2]  # of equals, the fewest tiles

"""What the engine costs beside the network, and what tiles and reuse are worth. Ratios of one run.

    python benchmarks/engine.py [--size 480x270] [--frames 12] [--model clear] [--scale 4] [--pixels]

--pixels   nothing but CPU nanoseconds a pixel read, one thread, for tiles of several sizes
overhead   CPU-seconds of Upscaler.submit ÷ CPU-seconds of bare Session.run calls on the same tiles
tiles      seconds per frame of each tile side ÷ those of the chosen one
reuse      seconds per frame of a still picture with a moving corner: reuse off ÷ reuse on
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from sr_core.backend import DirectSession, open_backend
from sr_core.color import ColorSpec
from sr_core.frame import Planes, yuv
from sr_core.graph.compose import compose
from sr_core.in_order import in_order
from sr_core.testing import picture, planes_from_rgb
from sr_core.tiles.read_size import SIDES
from sr_core.upscaler import Upscaler
from srvid.front_door import resolve_model

if TYPE_CHECKING:
    from onnx import ModelProto

    from sr_core.model_spec import ModelSpec

ROUNDS = 3
FORMAT, COLOR = yuv("420"), ColorSpec()


def cost(work: Callable[[], None]) -> tuple[float, float]:
    """(wall seconds, CPU seconds) of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def stream(upscaler: Upscaler, frames: list[Planes]) -> None:
    """Push frames as a video pipeline does: `in_flight` at a time, in order."""
    for _ in in_order(frames, lambda frame: upscaler.submit(frame, FORMAT, COLOR), in_flight=upscaler.in_flight - 1):
        pass


def show_pixel_costs(model: ModelProto, spec: ModelSpec, name: str) -> None:
    """Minima of interleaved rounds of bare sessions."""
    backend, best, work = open_backend(name, threads=1), dict[str, float](), {}
    for width, height in [*((side, side) for side in SIDES), (480, 270), (960, 540)]:
        session = backend.open(compose(model, spec, FORMAT, COLOR, width=width, height=height))
        planes = planes_from_rgb(picture(width, height), FORMAT, COLOR)
        targets = FORMAT.empty(width * spec.scale, height * spec.scale)
        assert isinstance(session, DirectSession)
        work[f"{width}x{height}"] = (width * height, partial(session.run_into, planes, targets, [(0, 0)] * 3))
        runs = session.precision
    for number in range(7):
        for label, (pixels, run) in work.items():
            nanoseconds = cost(run)[1] / pixels * 1e9
            if number:
                best[label] = min(best.get(label, nanoseconds), nanoseconds)
    print(f"{spec.name}, {runs}, ns a pixel: " + "  ".join(f"{label} {value:.0f}" for label, value in best.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="480x270")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--model", default="clear")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--pixels", action="store_true")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    model, spec = resolve_model(args.model, scale=args.scale)
    if args.pixels:
        show_pixel_costs(model, spec, args.backend)
        return
    backend = open_backend(args.backend)
    moving = [planes_from_rgb(picture(width, height, seed=seed), FORMAT, COLOR) for seed in range(args.frames)]
    print(f"{spec.name}, {width}x{height} {FORMAT}, {args.frames} frames, {backend.name}: {backend.device}")

    with Upscaler(model, spec, backend, reuse=False) as upscaler:
        stream(upscaler, moving[:2])
        compiled = next(iter(upscaler._sessions._compiled.values()))
        plan, session = compiled.plan, compiled.session
        tile = FORMAT.empty(plan.read_width, plan.read_height)
        for plane in tile:
            plane[:] = 90

        def bare() -> None:
            with ThreadPoolExecutor(backend.contexts) as pool:
                list(pool.map(lambda _: session.run(tile, lambda _: None), range(len(plan) * args.frames)))

        pairs = [(cost(bare), cost(lambda: stream(upscaler, moving))) for _ in range(ROUNDS)]
        for name, index in (("wall", 0), ("CPU", 1)):
            ratio = median(engine[index] / alone[index] for alone, engine in pairs)
            print(f"overhead, {name}: {ratio:.3f} (engine / bare session, {len(plan)} tiles of "
                  f"{plan.read_width}x{plan.read_height})")  # fmt: skip
        chosen = median(engine[0] for _, engine in pairs)
        print(f"pixels computed / pixels shown: {plan.pixels_read / (width * height):.3f}")

    for side in (*SIDES, max(width, height)):
        with Upscaler(model, spec, backend, tile=side, reuse=False) as upscaler:
            stream(upscaler, moving[:1])
            print(f"tile {side:4d}: {cost(lambda: stream(upscaler, moving))[0] / chosen:.2f} of the chosen one's time")

    still = moving[0]
    screen = [tuple(plane.copy() for plane in still) for _ in range(args.frames)]
    for index, frame in enumerate(screen):
        frame[0][:32, :32] = index
    seconds = {}
    for reuse in (False, True):
        with Upscaler(model, spec, backend, tile=128, reuse=reuse) as upscaler:
            stream(upscaler, screen[:1])
            seconds[reuse] = cost(lambda: stream(upscaler, screen))[0]
            counts = upscaler.counts
    share = counts.reused / (counts.reused + counts.computed)
    print(f"reuse on a screen recording's kind of motion: {seconds[False] / seconds[True]:.1f}x faster "
          f"({share:.0%} of 128 px tiles copied)")  # fmt: skip


if __name__ == "__main__":
    np.seterr(all="raise")
    main()

"""srkit bench: how fast this machine is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import cycle
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sr_core.frame import Planes


@click.command("bench")
@click.argument("models", nargs=-1)
@click.option("--scale", type=click.IntRange(1, 16), help="Default: the model's own, 4 for clear.")
@click.option("--size", default="640x360", show_default=True, help="Input frame, WIDTHxHEIGHT.")
@click.option("--backend", "backends", multiple=True, help="May be repeated. Default: auto.")
@click.option("--precision", type=click.Choice(["auto", "exact", "fast"]), default="auto", show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Per line.")
def command(
    models: tuple[str, ...], scale: int | None, size: str, backends: tuple[str, ...], precision: str, seconds: float
) -> None:
    """Print frames per second of MODELS (default: clear) on this machine, without decoding or encoding.

    \b
    srkit bench clear swift --scale 2 --size 1280x720
    """
    from functools import partial

    from sr_core.color import ColorSpec
    from sr_core.errors import BadInput
    from sr_core.frame import yuv
    from sr_core.in_order import in_order
    from sr_core.testing import picture, planes_from_rgb
    from sr_zoo.models import DEFAULT_MODEL
    from srvid import open_upscaler

    try:
        width, height = (int(part) for part in size.lower().split("x"))
        if min(width, height) < 1:
            raise ValueError(size)
    except ValueError as error:
        raise BadInput(f"{size!r} is not a size", hint="for example --size 1280x720") from error
    fmt, color = yuv("420"), ColorSpec()
    frames = [planes_from_rgb(picture(width, height, seed=seed), fmt, color) for seed in range(2)]
    for name in models or (DEFAULT_MODEL,):
        for backend in backends or ("auto",):
            with open_upscaler(
                name, scale=scale, backend=backend, precision=precision, reuse=False  # type: ignore[arg-type]
            ) as upscaler:  # fmt: skip
                upscaler.planes(frames[0], fmt, color)  # compiles
                runs = upscaler.precision_for(fmt, color, width, height)
                submit = partial(upscaler.submit, fmt=fmt, color=color)
                start, done = time.perf_counter(), 0
                for _ in in_order(_until(start + seconds, frames), submit, in_flight=upscaler.in_flight):
                    done += 1
                fps = done / (time.perf_counter() - start)
                click.echo(
                    f"{upscaler.spec.name:16} {upscaler.backend.name:12} {runs:10} "
                    f"{width}x{height} → {width * upscaler.scale}x{height * upscaler.scale}  {fps:8.2f} frames/s"
                )


def _until(deadline: float, frames: list[Planes]) -> Iterator[Planes]:
    """`frames` again and again."""
    for frame in cycle(frames):
        if time.perf_counter() >= deadline:
            return
        yield frame

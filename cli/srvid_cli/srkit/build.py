"""srkit build: compile models to FP16 TensorRT engines, ahead of time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from srvid_cli.device import device_option

if TYPE_CHECKING:
    from sr_core.backend import Progress
    from sr_core.engine_key import BuiltEngine, GpuFacts


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """WIDTHxHEIGHT in pixels."""
    if value is None:
        return None
    parts = value.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{value!r} is not a size; write 512x512")
    return int(parts[0]), int(parts[1])


def _memory(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """An amount of memory in bytes: 6G, 800M."""
    if value is None:
        return None
    text = value.upper().removesuffix("B").removesuffix("I")
    unit = {"G": 30, "M": 20}.get(text[-1:], 0)
    try:
        amount = float(text[:-1])
    except ValueError:
        amount = 0.0
    if not unit or amount <= 0:
        raise click.BadParameter(f"{value!r} is not an amount of memory; write 6G or 800M")
    return int(amount * (1 << unit))


@click.command("build")
@click.argument("models", nargs=-1, required=True)
@click.option("--scale", type=click.IntRange(1, 16), help="Default: the model's own, 4 for clear.")
@click.option("--target", "targets", help="sm75, sm86, sm89, sm120, portable; several with commas.")
@click.option("--all", "all_targets", is_flag=True, help="sm75, sm86, sm89 and sm120.")
@click.option("--library", type=click.Choice(["tensorrt_rtx", "tensorrt"]), default="tensorrt_rtx", show_default=True)
@device_option
@click.option("--format", "formats", default="yuv420p", show_default=True, help="FFmpeg's names, with commas.")
@click.option(
    "--frame",
    metavar="WxH",
    callback=_size,
    default="1920x1080",
    show_default=True,
    help="Size of the videos to come.",
)
@click.option(
    "--tile",
    metavar="WxH",
    callback=_size,
    help="Compile this tile instead of the one srvid takes for --frame.",
)
@click.option("--vram", metavar="MEMORY", callback=_memory, help="Choose the largest square tile that fits, e.g. 6G.")
@click.option(
    "--memory",
    metavar="MEMORY",
    callback=_memory,
    help="Of the card to build for, e.g. 12G; default: of the card here, else 8G. Decides the tile for --frame.",
)
@click.option("--matrix", type=click.Choice(["bt709", "bt601", "bt2020"]), default="bt709", show_default=True)
@click.option("--full-range", is_flag=True, help="YUV of full range (JPEG).")
@click.option("--siting", type=click.Choice(["left", "center", "topleft"]), default="left", show_default=True)
@click.option("--precision", type=click.Choice(["auto", "exact"]), default="auto", show_default=True)
@click.option("--out", type=click.Path(file_okay=False), help="Folder for the engines; default: the cache.")
def command(
    models: tuple[str, ...],
    scale: int | None,
    targets: str | None,
    all_targets: bool,
    library: str,
    device: int | None,
    formats: str,
    frame: tuple[int, int],
    tile: tuple[int, int] | None,
    vram: int | None,
    memory: int | None,
    matrix: str,
    full_range: bool,
    siting: str,
    precision: str,
    out: str | None,
) -> None:
    """Compile MODELS to FP16 engines and check each against FP32.

    tensorrt_rtx builds for any RTX card on a machine without one. tensorrt builds for the GPU of
    this machine. Where srvid finds such an engine in its cache, it starts at once.

    \b
    srkit build clear-x4 --target sm89,sm120
    srkit build clear-x4 --all --format yuv420p,nv12,p010 --frame 3840x2160
    srkit build clear-x4 --target sm89 --vram 6G
    srkit build clear-x4 --target sm120 --memory 16G --frame 3840x2160
    """
    from pathlib import Path

    from sr_core.backends.cuda import find_gpus, gpu_at
    from sr_core.backends.tensorrt_library import load_library
    from sr_core.color import FULL_RANGE_RGB, ColorSpec
    from sr_core.engine_key import PORTABLE, SHIPPED_TARGETS, THIS_GPU
    from sr_core.errors import BadInput
    from sr_core.graph.compose import alignment, compose
    from sr_core.upscaler import Upscaler
    from srvid.front_door import resolve_model
    from trt_build.ahead import AheadBackend, format_from_name
    from trt_build.plan_tile import largest_tile
    from trt_build.store import EngineStore

    ways = [name for name, value in (("--tile", tile), ("--vram", vram), ("--memory", memory)) if value is not None]
    if len(ways) > 1:
        raise BadInput(f"{' and '.join(ways)} each choose the tile", hint="give one of them")
    native = load_library(library)
    gpu = gpu_at(device, find_gpus()) if native.builds_on_gpu else None
    if gpu is None and device is not None:
        raise BadInput(f"{library} builds without a GPU", hint="choose the card by --target, or --library tensorrt")
    if library == "tensorrt":
        chosen: tuple[str, ...] = (targets or THIS_GPU,)
    elif all_targets:
        chosen = SHIPPED_TARGETS
    else:
        chosen = tuple((targets or PORTABLE).lower().split(","))
    store = EngineStore(Path(out) if out is not None else None)
    memory_bytes, source = _card_memory(memory, gpu)
    if tile is None and vram is None:
        click.echo(f"for a card of {memory_bytes / 2**30:g} GiB: {source}")
    ycc = ColorSpec(matrix=matrix, full_range=full_range, siting=siting)  # type: ignore[arg-type]
    for model in models:
        proto, spec = resolve_model(model, scale=scale)
        for name in formats.split(","):
            fmt = format_from_name(name.strip())
            color = FULL_RANGE_RGB if fmt.family == "rgb" else ycc
            backend = AheadBackend(native, targets=chosen, store=store, gpu=gpu, memory_bytes=memory_bytes)
            with _shown_on_a_line(f"{spec.name} {name}") as show:
                size = tile
                if vram is not None:
                    found = largest_tile(
                        native,
                        lambda width, height: compose(proto, spec, fmt, color, width=width, height=height),  # noqa: B023
                        budget_bytes=vram,
                        target=chosen[0],
                        align=alignment(spec, fmt),
                        gpu=gpu,
                        progress=show,
                    )
                    size = (found.side_px, found.side_px)
                if size is None:
                    upscaler = Upscaler(proto, spec, backend, precision=precision, progress=show)  # type: ignore[arg-type]
                    with upscaler:
                        upscaler.precision_for(fmt, color, *frame)
                else:
                    graph = compose(proto, spec, fmt, color, width=size[0], height=size[1])
                    backend.open(graph, precision=precision, progress=show)  # type: ignore[arg-type]
            for engine in backend.built:
                click.echo(_line(engine))
            if vram is not None and size is not None:
                click.echo(f"  largest tile in {vram >> 20} MiB: use srvid --tile {size[0]}")
    click.echo(f"engines are in {store.folder}")


def _card_memory(stated_bytes: int | None, gpu: GpuFacts | None) -> tuple[int, str]:
    """(bytes of the card that is built for, who says so)."""
    from sr_core.backends.cuda import find_gpus
    from sr_core.errors import NotAvailable
    from trt_build.ahead import LEAST_MEMORY_BYTES

    if stated_bytes is not None:
        return stated_bytes, "--memory"
    try:
        gpu = gpu or find_gpus()[0]
    except NotAvailable:
        return LEAST_MEMORY_BYTES, "taken for granted where no card is; --memory says otherwise"
    return gpu.memory_bytes, gpu.name


@contextmanager
def _shown_on_a_line(label: str) -> Iterator[Progress]:
    """What shows the phases of one build; the line is gone afterwards."""
    from srvid_cli.progress import ProgressLine

    line = ProgressLine()
    try:
        yield lambda phase, share: line.phase(f"{label}: {phase}", share)
    finally:
        line.clear()


def _line(engine: BuiltEngine) -> str:
    facts = engine.facts
    quality = "FP32" if facts.psnr_db is None else f"{min(facts.psnr_db, 99.9):.1f} dB from FP32"
    if facts.form:
        quality += f" ({facts.form})"
    if facts.fp32_layers:
        quality += f" with {len(facts.fp32_layers)} layers kept FP32"
    line = (
        f"{facts.label} {facts.width}x{facts.height} {facts.key.target}: {facts.engine_bytes / 1e6:.1f} MB, "
        f"{facts.activation_bytes >> 20} MiB to run, {quality}, built in {facts.build_seconds:.1f} s"
    )
    return "\n  ".join((line, *(f"not {reason}" for reason in facts.passed_over), *engine.notes))

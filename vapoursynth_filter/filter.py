"""`upscale`: the checks, and the graph of nodes that runs the engine.

    clip ──┬─ [0::K] ── ModifyFrame ──┐
           ├─ [1::K] ── ModifyFrame ──┤ Interleave ──┬── steady? ── CopyFrameProps(all, from clip) ──┐
           └─ ...                     ┘              └────────────── CopyFrameProps(own, from here) ─┴── out

VapourSynth runs the callback of one ModifyFrame serially, so K phases keep K frames in the engine at
once. A callback reads the source frame's planes in place, and the engine writes into the planes of
the new frame: no staging copy on this side. The properties come last and natively: all of the source's,
exactly, then the two that the callback makes itself (the upscaled `_Alpha`, `SrvidGuessed`).
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath

import vapoursynth as vs

from sr_core.backend import Precision
from sr_core.errors import BadInput, SrError
from sr_core.frame import PixelFormat
from sr_core.grain import check_grain
from sr_core.steady.window import check_steadiable
from sr_core.wording import as_argument, option
from sr_zoo.models import DEFAULT_MODEL
from srvid.model_choice import scales_of
from srvid.recipe import check_steady
from vapoursynth_filter.engines import EngineOptions, Lease, demand_whole, lease
from vapoursynth_filter.formats import (
    ALPHA_PROP,
    FULL_RANGE_ALPHA,
    GUESSED_PROP,
    color_from_props,
    guesses_of,
    new_frame_like,
    pixel_format_from_vs,
    planes_of,
)
from vapoursynth_filter.sizing import ENDLESS, Size, factor_from, resize_to, scale_for, size_by, target_size
from vapoursynth_filter.steady import steadied

FrameCallback = Callable[[int, vs.VideoFrame], vs.VideoFrame]


def upscale(
    clip: vs.VideoNode,
    scale: float | None = None,
    model: str | PathLike[str] = DEFAULT_MODEL,
    backend: str = "auto",
    streams: int | None = None,
    tile: int | None = None,
    *,
    precision: Precision = "auto",
    threads: int | None = None,
    reuse: bool = True,
    strength: float = 1.0,
    sharpen: float = 0.0,
    self_ensemble: bool = False,
    grain: float | str = 0.0,
    steady: bool = False,
    device: int | None = None,
    width: int | None = None,
    height: int | None = None,
) -> vs.VideoNode:
    """Return `clip` at `scale` times its size, in its own format, with its own frame properties.

    Args:
        clip: any constant format of up to 16 bits or float, progressive.
        scale: output pixels per input pixel along each axis, 1 to 16, as far as the model goes: one that it
            does not give, such as 1.5, is made by the next larger and Lanczos down. None takes the model's
            own, 4 for a family such as 'clear'.
        model: a model's name (`srkit models`), the path of a model file, or several after each other:
            'clean.pth,clear'.
        backend: 'auto', or one of those that `srkit doctor` lists.
        streams: frames in the engine at once; None takes what the backend pays for.
        tile: side of a tile in input pixels; None lets the engine choose.
        precision: 'auto', 'exact' or 'fast'.
        threads: CPU threads that the engine may use; None for all.
        reuse: copy the parts of a frame that are bit-identical to the frame before; False computes
            everything. The output is the same.
        strength: 0 to 1: that much of the model, the rest of 'clear'.
        sharpen: 0 to 1: how much the edges of the result are sharpened; luma only.
        self_ensemble: average eight flips and turns: a little better, eight times slower.
        grain: film grain over luma: 0 to 1, or 'keep' for what the clip had and the model took away.
        steady: lower flicker: average what stands still over three frames; not beside grain.
        device: number of the GPU to run on; None for the first, where the backend uses one.
        width, height: the output's size instead of `scale`: the smallest scale that reaches it, then
            down by Lanczos. A side that is left out follows.

    Raises:
        vs.Error: 'upscale: ...' with what to do next. The same text fails a single frame whose
            properties forbid upscaling.
    """
    try:
        if not isinstance(model, (str, PathLike)):
            raise BadInput(f"model must be a name or the path of a file, got {model!r}")
        _demand_clip(clip)
        network_scale, size = _size_asked_for(clip, fspath(model), scale, width, height)
        large = _upscale(
            clip,
            EngineOptions(
                model=fspath(model),
                scale=network_scale,
                backend=backend,
                precision=precision,
                tile=tile,
                threads=threads,
                reuse=bool(reuse),
                strength=strength,
                sharpen=sharpen,
                self_ensemble=bool(self_ensemble),
                grain=grain,
                device=device,
            ),
            streams,
            is_steady=bool(steady),
        )
        return large if size is None else resize_to(large, size)
    except SrError as error:
        raise vs.Error(f"upscale: {sentence(error)}") from error


def sentence(error: SrError) -> str:
    """Message and hint on one line, because hosts show one line."""
    message, hint = error.as_told(as_argument)
    return f"{message}; hint: {hint}" if hint else message


def _size_asked_for(
    clip: vs.VideoNode, model: str, scale: float | None, width: int | None, height: int | None
) -> tuple[int | None, Size | None]:
    """(the network's scale, None for its own; the size it is resized to, None where it gives what is asked for)."""
    demand_whole("width", width, least=1)
    demand_whole("height", height, least=1)
    if scale is not None and (width is not None or height is not None):
        raise BadInput(
            f"{option('scale')} and {option('width')} or {option('height')} exclude each other",
            hint=f"leave {option('scale')} out",
        )
    size = target_size(clip, width, height)
    if size is None and scale is None:
        return None, None
    if size is None and scale is not None:
        factor = factor_from(scale)
        if factor in scales_of(model):
            return int(factor), None
        size = size_by(clip, factor)
    assert size is not None
    return scale_for(clip, size, model), size


def _demand_clip(clip: vs.VideoNode) -> None:
    if not isinstance(clip, vs.VideoNode):
        raise BadInput(f"clip must be a video clip, got {type(clip).__name__}")
    if clip.format is None or clip.format.color_family == vs.UNDEFINED or not clip.width:
        raise BadInput(
            "the clip's format or size changes from frame to frame",
            hint="make it constant first: clip.resize.Bicubic(width, height, format=...)",
        )


def _upscale(clip: vs.VideoNode, options: EngineOptions, streams: int | None, *, is_steady: bool) -> vs.VideoNode:
    demand_whole("streams", streams, least=1)
    check_steady(is_steady, check_grain(options.grain))
    if getattr(clip, "gpu_resident", False):  # R80 on
        clip = clip.std.GPUDownload()
    pixels = pixel_format_from_vs(clip.format)
    if is_steady:
        check_steadiable(pixels, clip.width, clip.height)
    if clip.num_frames < ENDLESS:
        # Now, so that an interlaced clip fails here and not in the middle of an encode.
        color_from_props(clip.get_frame(0).props, pixels, width=clip.width, height=clip.height)

    held = lease(options)
    scale = held.upscaler.scale
    core = vs.core.core
    phases = streams or min(held.upscaler.in_flight, core.num_threads)
    phases = min(phases, clip.num_frames)
    blank = core.std.BlankClip(clip, width=clip.width * scale, height=clip.height * scale, keep=True)
    upscaled = core.std.Interleave(
        [
            core.std.ModifyFrame(
                blank[phase::phases],
                [clip[phase::phases]],
                _callback(held, pixels, core, first=phase, step=phases),
            )
            for phase in range(phases)
        ]
    )
    shown = steadied(clip, upscaled, pixels, phases=phases) if is_steady else upscaled
    with_props = core.std.CopyFrameProps(shown, clip)
    return core.std.CopyFrameProps(with_props, upscaled, props=[ALPHA_PROP, GUESSED_PROP])


def _callback(held: Lease, pixels: PixelFormat, core: vs.Core, *, first: int, step: int) -> FrameCallback:
    """What ModifyFrame calls for the clip's frames `first`, `first + step`, ...; it keeps the lease."""

    def upscale_frame(n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # VapourSynth passes n= and f=
        try:
            color = color_from_props(f.props, pixels, width=f.width, height=f.height)
            result = new_frame_like(core, f, held.upscaler.scale)
            held.upscaler.next_planes_at(first + n * step, planes_of(f), pixels, color, planes_of(result))
            alpha = f.props.get(ALPHA_PROP)
            if alpha is not None:
                result.props[ALPHA_PROP] = _upscale_alpha(held, core, alpha)
        except SrError as error:
            raise vs.Error(f"upscale: frame {first + n * step}: {sentence(error)}") from error
        guesses = guesses_of(color, pixels)
        if guesses:
            result.props[GUESSED_PROP] = guesses
        return result

    return upscale_frame


def _upscale_alpha(held: Lease, core: vs.Core, alpha: vs.VideoFrame) -> vs.VideoFrame:
    result = new_frame_like(core, alpha, held.upscaler.scale)
    pixels = pixel_format_from_vs(alpha.format)
    # not `next_planes`: it would end the sequence of frames that reuse compares
    held.upscaler.planes(planes_of(alpha), pixels, FULL_RANGE_ALPHA, planes_of(result))
    return result

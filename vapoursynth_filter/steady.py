"""`steady`: each upscaled frame averaged with the one before and the one after, as `srvid --steady` does.

    clip ─────── n - 1, n, n + 1 ──┐
    upscaled ─── n - 1, n, n + 1 ──┴── ModifyFrame, K phases ── Interleave ── out

At the ends the frame itself stands for the one that is not there: it does not differ, so nothing is taken of it.
"""

from __future__ import annotations

import vapoursynth as vs

from sr_core.frame import PixelFormat
from sr_core.steady.window import Steadier
from vapoursynth_filter.formats import new_frame_like, planes_of


def steadied(clip: vs.VideoNode, upscaled: vs.VideoNode, pixels: PixelFormat, *, phases: int) -> vs.VideoNode:
    """`upscaled`, made of `clip`, steadied; its frame properties are those of `upscaled`.

    Args:
        pixels: the format of both.
        phases: frames that may be steadied at once.
    """
    core = vs.core.core
    if clip.num_frames == 1:
        return upscaled
    steadier = Steadier(pixels, upscaled.width // clip.width)
    three = [node for whole in (clip, upscaled) for node in (whole[:1] + whole[:-1], whole, whole[1:] + whole[-1:])]

    def phase(first: int) -> vs.VideoNode:
        def steady_frame(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # VapourSynth passes n= and f=
            before, this, after = (steadier.moment(planes_of(f[at]), planes_of(f[at + 3])) for at in range(3))
            result = new_frame_like(core, f[4])
            steadier.steadied(before, this, after, planes_of(result))
            return result

        return core.std.ModifyFrame(upscaled[first::phases], [node[first::phases] for node in three], steady_frame)

    return core.std.Interleave([phase(first) for first in range(phases)])

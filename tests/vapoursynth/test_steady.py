"""`steady`: the filter gives what the window over the engine's own frames gives, whatever order is asked for."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("vapoursynth_filter", reason="pip install 'srvid[vapoursynth]'")

import vapoursynth as vs

import srvid
from sr_core.color import ColorSpec
from sr_core.frame import Planes, yuv
from sr_core.steady.window import steadied
from tests.core.noisy_scenes import SIZE, noisy, textured
from vapoursynth_filter import engines, upscale
from vapoursynth_filter.formats import planes_of

core = vs.core
TAGS = {"_Matrix": 1, "_Range": 0, "_ChromaLocation": 0}
LENGTH, CUT = 7, 4


def moving_clip(length: int = LENGTH) -> vs.VideoNode:
    """A slow pan with noise, and a cut to another scene."""
    canvas, other = (textured(seed, (SIZE[0], SIZE[1] + 20)) for seed in (2, 5))
    scenes = [(canvas if n < CUT else other)[:, n : n + SIZE[1]] for n in range(LENGTH)]
    pictures = noisy(scenes)

    def draw(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        drawn = f.copy()
        for index in range(3):
            plane = np.asarray(drawn[index])
            plane[:] = pictures[n][:: SIZE[0] // plane.shape[0], :: SIZE[1] // plane.shape[1]]
        return drawn

    blank = core.std.BlankClip(format=vs.YUV420P8, width=SIZE[1], height=SIZE[0], length=length)
    return core.std.ModifyFrame(blank, [blank], draw).std.SetFrameProps(**TAGS)


def expected(clip: vs.VideoNode, model: Path, *, steady: bool = True) -> list[Planes]:
    """What the front door's engine makes of it, through the window."""
    color = ColorSpec(matrix="bt709", full_range=False)
    given = [planes_of(frame) for frame in clip.frames()]
    with srvid.open_upscaler(str(model), scale=2, backend="openvino", tile=64) as upscaler:
        made = [upscaler.planes(planes, yuv("420"), color) for planes in given]
    if not steady:
        return made
    return [planes for _, planes in steadied(zip(range(len(made)), given, made, strict=True), yuv("420"), 2)]


def filtered(clip: vs.VideoNode, model: Path, **options: Any) -> vs.VideoNode:
    return upscale(clip, 2, model, "openvino", tile=64, **({"steady": True} | options))


def is_same(frame: vs.VideoFrame, wanted: Planes) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(planes_of(frame), wanted, strict=True))


@pytest.mark.parametrize("length", [1, 2, LENGTH])
@pytest.mark.parametrize("streams", [1, 2, 5])
def test_each_frame_is_averaged_with_its_neighbours_also_where_one_seeks(
    streams: int, length: int, model: Path
) -> None:
    clip = moving_clip(length)
    result, wanted = filtered(clip, model, streams=streams), expected(clip, model)
    for n in (length - 1, 0, length // 2):
        assert is_same(result.get_frame(n), wanted[n])
    assert all(is_same(frame, planes) for frame, planes in zip(result.frames(), wanted, strict=True))
    assert dict(result.get_frame(0).props) == dict(clip.get_frame(0).props)


def test_nothing_crosses_a_cut(model: Path) -> None:
    clip = moving_clip()
    whole, plain = filtered(clip, model), expected(clip, model, steady=False)
    parts = [frame for part in (clip[:CUT], clip[CUT:]) for frame in expected(part, model)]
    assert all(is_same(frame, planes) for frame, planes in zip(whole.frames(), parts, strict=True))
    assert not any(is_same(frame, planes) for frame, planes in zip(whole.frames(), plain, strict=True))


def test_the_engine_makes_each_frame_once(model: Path) -> None:
    gc.collect()
    clip = moving_clip()
    result = filtered(clip, model, streams=2, threads=1, reuse=False)
    options = engines.EngineOptions(model=str(model), scale=2, backend="openvino", tile=64, threads=1, reuse=False)
    upscaler = engines.lease(options).upscaler
    before = upscaler.counts.computed
    result.get_frame(3)
    of_three = upscaler.counts.computed - before
    assert of_three
    for _ in result.frames():
        pass
    assert upscaler.counts.computed - before <= of_three // 3 * (LENGTH + 1)  # one may have left the cache


def test_alpha_and_guesses_are_kept(nearest: Path) -> None:
    clip = moving_clip().std.RemoveFrameProps("_Matrix")
    alpha = core.std.BlankClip(clip, format=vs.GRAY8, color=200)
    frame = filtered(clip.std.ClipToProp(alpha, "_Alpha"), nearest).get_frame(1)
    assert frame.props["SrvidGuessed"] == "matrix=bt601"
    assert (np.asarray(frame.props["_Alpha"][0]) == 200).all()


@pytest.mark.parametrize(
    ("video_format", "size", "options", "advice"),
    [
        (vs.YUV420P8, (32, 32), {"grain": "0.5"}, "steady=True would average the grain of grain=0.5 away"),
        (vs.YUV420P8, (32, 32), {"grain": "keep"}, "leave one out"),
        (vs.RGBS, (32, 32), {}, "integer samples"),
        (vs.YUV420P8, (32, 6), {}, "needs 8 pixels each way, and the picture is 32x6"),
    ],
)
def test_what_cannot_be_steadied_is_refused_at_construction(
    video_format: int, size: tuple[int, int], options: dict[str, Any], advice: str, nearest: Path
) -> None:
    clip = core.std.BlankClip(format=video_format, width=size[0], height=size[1], length=2)
    with pytest.raises(vs.Error, match=r"^upscale: ") as caught:
        filtered(clip, nearest, **options)
    assert advice in str(caught.value)

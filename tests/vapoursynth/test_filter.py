"""The filter's output is the engine's, in the clip's own format, with the clip's own properties."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("vapoursynth_filter", reason="pip install 'srvid[vapoursynth]'")

import vapoursynth as vs

import srvid
from sr_core.color import ColorSpec
from sr_core.frame import Array, Planes, yuv
from vapoursynth_filter import engines, upscale
from vapoursynth_filter.formats import pixel_format_from_vs

core = vs.core
SCALE = 2
TILE = 64
VIDEO_PROPS = {"_Matrix": 1, "_Range": 0, "_ChromaLocation": 0, "_FieldBased": 0, "_SARNum": 4, "_SARDen": 3}
OWN_PROPS = {"_PictType": "B", "Weight": 0.25, "Numbers": [1, 2, 3], "Raw": b"\x00\xff"}

SIZES = {  # format -> a size that is odd wherever VapourSynth allows it
    **dict.fromkeys((vs.GRAY8, vs.GRAY10, vs.GRAY16, vs.GRAYH, vs.GRAYS), (67, 45)),
    **dict.fromkeys((vs.RGB24, vs.RGB30, vs.RGB48, vs.RGBH, vs.RGBS), (67, 45)),
    **dict.fromkeys((vs.YUV444P8, vs.YUV444P12, vs.YUV444P16, vs.YUV444PH, vs.YUV444PS), (67, 45)),
    **dict.fromkeys((vs.YUV422P8, vs.YUV422P10, vs.YUV422P16, vs.YUV422PS), (66, 45)),
    **dict.fromkeys((vs.YUV420P8, vs.YUV420P9, vs.YUV420P10, vs.YUV420P14, vs.YUV420P16, vs.YUV420PS), (66, 46)),
    vs.YUV440P8: (67, 46),
}


def noise_clip(video_format: int, length: int = 2, *, size: tuple[int, int] | None = None) -> vs.VideoNode:
    """Another noise in every plane of every frame, with properties."""
    width, height = size or SIZES[video_format]
    blank = core.std.BlankClip(
        format=video_format, width=width, height=height, length=length, fpsnum=30000, fpsden=1001
    )

    def draw(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        drawn = f.copy()
        random = np.random.default_rng(n)
        for index in range(f.format.num_planes):
            plane = np.asarray(drawn[index])
            values = random.uniform(0.2, 0.8, plane.shape)
            if f.format.sample_type == vs.INTEGER:
                values *= (1 << f.format.bits_per_sample) - 1
            elif f.format.color_family == vs.YUV and index:
                values -= 0.5
            plane[:] = values.astype(plane.dtype)
        return drawn

    clip = core.std.ModifyFrame(blank, [blank], draw)
    is_yuv = blank.format.color_family == vs.YUV
    return clip.std.SetFrameProps(**OWN_PROPS, **(VIDEO_PROPS if is_yuv else {"_FieldBased": 0}))


def planes_of(frame: vs.VideoFrame) -> Planes:
    return tuple(np.asarray(frame[index]) for index in range(frame.format.num_planes))


def engine_planes(clip: vs.VideoNode, n: int, model: Path, color: ColorSpec, **options: Any) -> Planes:
    """Frame `n` through the front door that every other front end uses."""
    with srvid.open_upscaler(str(model), scale=SCALE, backend="openvino", tile=TILE, **options) as upscaler:
        return upscaler.planes(planes_of(clip.get_frame(n)), pixel_format_from_vs(clip.format), color)


def openvino(clip: vs.VideoNode, model: Path, **options: Any) -> vs.VideoNode:
    return upscale(clip, SCALE, model, "openvino", tile=TILE, **options)


def assert_same(actual: Planes, expected: Planes) -> None:
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def without_guess(frame: vs.VideoFrame) -> dict[str, Any]:
    return {name: value for name, value in frame.props.items() if name != "SrvidGuessed"}


@pytest.mark.parametrize("video_format", list(SIZES), ids=lambda value: vs.PresetVideoFormat(value).name)
def test_every_format_gives_the_engines_bits_and_keeps_the_properties(video_format: int, model: Path) -> None:
    clip = noise_clip(video_format)
    result = openvino(clip, model)
    assert (result.format.id, result.width, result.height) == (video_format, clip.width * 2, clip.height * 2)
    full_range = clip.format.color_family == vs.RGB
    color = ColorSpec(matrix="bt709" if clip.format.color_family == vs.YUV else "bt601", full_range=full_range)
    for n, frame in enumerate(result.frames()):
        assert_same(planes_of(frame), engine_planes(clip, n, model, color))
        assert dict(frame.props) == dict(clip.get_frame(n).props)


@pytest.mark.parametrize("options", [{"self_ensemble": True}, {"strength": 0.5}, {"sharpen": 0.5}])
def test_what_is_asked_of_the_picture_is_asked_of_the_engine(options: dict[str, Any], model: Path) -> None:
    clip = noise_clip(vs.YUV420P8, 1)
    (frame,) = openvino(clip, model, **options).frames()
    color = ColorSpec(matrix="bt709", full_range=False)
    assert_same(planes_of(frame), engine_planes(clip, 0, model, color, **options))
    (plain,) = openvino(clip, model).frames()
    assert not np.array_equal(planes_of(frame)[0], planes_of(plain)[0])


@pytest.mark.parametrize("streams", [1, 2])
def test_a_frame_s_grain_is_of_its_number(streams: int, nearest: Path) -> None:
    clip = noise_clip(vs.YUV420P8, 1) * 4
    grainy = openvino(clip, nearest, grain="0.5", streams=streams)
    color = ColorSpec(matrix="bt709", full_range=False)
    with srvid.open_upscaler(str(nearest), scale=SCALE, backend="openvino", tile=TILE, grain=0.5) as upscaler:
        for n in (3, 0, 2):  # as people seek
            expected = upscaler.next_planes_at(n, planes_of(clip.get_frame(n)), yuv("420"), color)
            assert_same(planes_of(grainy.get_frame(n)), expected)
    assert not np.array_equal(planes_of(grainy.get_frame(1))[0], planes_of(grainy.get_frame(2))[0])


@pytest.mark.parametrize("length", [1, 2, 3, 7])
@pytest.mark.parametrize("streams", [None, 1, 2, 5])
def test_frames_stay_in_order_at_any_length(length: int, streams: int | None, nearest: Path) -> None:
    clip = noise_clip(vs.RGB24, length, size=(16, 16))
    result = openvino(clip, nearest, streams=streams)
    assert (result.num_frames, result.fps) == (clip.num_frames, clip.fps)
    for before, after in zip(clip.frames(), result.frames(), strict=True):
        for small, large in zip(planes_of(before), planes_of(after), strict=True):
            np.testing.assert_array_equal(large, np.repeat(np.repeat(small, 2, 0), 2, 1))
        assert after.props["_DurationNum"] == 1001
        assert after.props["_DurationDen"] == 30000


def test_a_variable_frame_rate_stays_variable(nearest: Path) -> None:
    result = openvino(core.std.BlankClip(format=vs.GRAY8, length=4, fpsnum=0, fpsden=1), nearest)
    assert result.fps.numerator == 0


def test_reuse_changes_no_bit(model: Path) -> None:
    still = noise_clip(vs.YUV420P8, 1) * 3
    clip = still + noise_clip(vs.YUV420P8, 3)
    for one, other in zip(openvino(clip, model).frames(), openvino(clip, model, reuse=False).frames(), strict=True):
        assert_same(planes_of(one), planes_of(other))


def test_each_frames_own_tags_decide_its_conversion(model: Path) -> None:
    clip = noise_clip(vs.YUV420P8, 1)
    tagged = [
        (clip.std.SetFrameProps(_Matrix=1, _Range=1, _ChromaLocation=2), ("bt709", True, "topleft")),
        (clip.std.SetFrameProps(_Matrix=9, _Range=0, _ChromaLocation=1), ("bt2020", False, "center")),
        (clip.std.SetFrameProps(_Matrix=6, _Range=0, _ChromaLocation=0), ("bt601", False, "left")),
    ]
    result = openvino(core.std.Splice([entry for entry, _ in tagged]), model)
    for n, (_, (matrix, full_range, siting)) in enumerate(tagged):
        color = ColorSpec(matrix=matrix, full_range=full_range, siting=siting)
        assert_same(planes_of(result.get_frame(n)), engine_planes(clip, 0, model, color))
        assert "SrvidGuessed" not in result.get_frame(n).props


@pytest.mark.parametrize(("size", "matrix"), [((720, 576), "bt601"), ((1280, 720), "bt709")])
def test_missing_tags_are_guessed_by_size_and_the_guess_is_recorded(
    size: tuple[int, int], matrix: str, nearest: Path
) -> None:
    clip = core.std.BlankClip(format=vs.YUV420P8, width=size[0], height=size[1], length=1, color=[90, 100, 150])
    frame = upscale(clip, SCALE, nearest, "openvino", tile=256).get_frame(0)
    assert frame.props["SrvidGuessed"] == f"matrix={matrix},range=limited,siting=left"
    assert without_guess(frame) == dict(clip.get_frame(0).props)


def test_a_guess_in_the_source_is_not_passed_on_as_ours(nearest: Path) -> None:
    clip = noise_clip(vs.YUV420P8, 1).std.SetFrameProps(SrvidGuessed="matrix=bt601")
    assert "SrvidGuessed" not in openvino(clip, nearest).get_frame(0).props


def test_alpha_is_upscaled_with_the_frame_that_has_it(nearest: Path) -> None:
    opaque = noise_clip(vs.RGB24, 2)
    alpha = core.std.BlankClip(opaque, format=vs.GRAY8, color=200, length=1)
    clip = opaque[:1] + opaque[1:].std.ClipToProp(alpha, "_Alpha")
    first, second = openvino(clip, nearest).frames()
    assert "_Alpha" not in first.props
    large = np.asarray(second.props["_Alpha"][0])
    assert large.shape == (clip.height * 2, clip.width * 2)
    assert (large == 200).all()


def refusals() -> dict[str, tuple[vs.VideoNode, dict[str, Any], str]]:
    plain = core.std.BlankClip(format=vs.YUV420P8, width=16, height=16, length=1)
    return {
        "variable format": (core.std.BlankClip(varformat=True, length=1), {}, "make it constant first"),
        "variable size": (core.std.BlankClip(varsize=True, length=1), {}, "make it constant first"),
        "32-bit integers": (core.std.BlankClip(format=vs.GRAY32, length=1), {}, "at most 16 bits"),
        "4:1:0": (core.std.BlankClip(format=vs.YUV410P8, length=1), {}, "YUV444P8"),
        "interlaced": (plain.std.SetFieldBased(2), {}, "deinterlace first"),
        "ICtCp": (plain.std.SetFrameProps(_Matrix=14), {}, "convert it to BT.709"),
        "scale 0": (plain, {"scale": 0}, "scale must be a number from 1 to 16, got 0"),
        "scale of words": (plain, {"scale": "2"}, "scale must be a number from 1 to 16, got '2'"),
        "more than the model": (plain, {"scale": 3}, "enlarges 2 times at most, not 3"),
        "no such file": (plain, {"model": "missing.onnx"}, "missing.onnx"),
        "no such model": (plain, {"model": "no-such-model"}, "no-such-model"),
        "no such backend": (plain, {"backend": "abacus"}, "choose one of: auto"),
        "no such precision": (plain, {"precision": "half"}, "one of: auto, exact, fast"),
        "no streams": (plain, {"streams": 0}, "streams must be a whole number from 1 on"),
        "half a stream": (plain, {"streams": 2.5}, "got 2.5"),
        "a number for a model": (plain, {"model": 3}, "model must be a name or the path of a file, got 3"),
        "a tiny tile": (plain, {"tile": 2}, "tile"),
    }


@pytest.mark.parametrize("case", list(refusals()))
def test_it_refuses_at_construction_and_says_what_to_do(case: str, nearest: Path) -> None:
    clip, options, advice = refusals()[case]
    with pytest.raises(vs.Error, match=r"^upscale: ") as caught:
        upscale(clip, **({"scale": SCALE, "model": nearest, "backend": "openvino"} | options))
    assert advice in str(caught.value)


def test_a_clip_that_is_no_clip_is_refused(nearest: Path) -> None:
    with pytest.raises(vs.Error, match="clip must be a video clip, got str"):
        upscale("clip.mkv", SCALE, nearest)


def test_an_interlaced_frame_later_fails_that_frame_only(nearest: Path) -> None:
    clip = noise_clip(vs.YUV420P8, 5)
    clip = clip[:3] + clip[3:4].std.SetFieldBased(1) + clip[4:]
    result = openvino(clip, nearest, streams=2)
    assert result.get_frame(2).width == clip.width * SCALE
    with pytest.raises(vs.Error, match="upscale: frame 3: the frame is interlaced"):
        result.get_frame(3)
    assert result.get_frame(4).width == clip.width * SCALE


def test_clips_with_the_same_options_share_an_upscaler_until_the_last_is_gone(nearest: Path) -> None:
    gc.collect()
    before = engines.open_count()
    clip = noise_clip(vs.RGB24, 1)
    first, second = openvino(clip, nearest), openvino(clip[:1], nearest)
    other = openvino(clip, nearest, reuse=False)
    assert engines.open_count() == before + 2
    frame = second.get_frame(0)
    del first, other
    gc.collect()
    assert engines.open_count() == before + 1
    del second
    gives_up = time.monotonic() + 600  # a thread of VapourSynth lets go of the node a moment after its last frame
    while engines.open_count() > before and time.monotonic() < gives_up:
        gc.collect()
        time.sleep(0.01)
    assert engines.open_count() == before
    plane: Array = np.asarray(frame[0])
    assert plane.shape == (clip.height * SCALE, clip.width * SCALE)


def test_a_core_with_one_thread_still_finishes(nearest: Path) -> None:
    threads = core.num_threads
    core.num_threads = 1
    try:
        assert sum(1 for _ in openvino(noise_clip(vs.RGB24, 6), nearest, streams=4).frames()) == 6
    finally:
        core.num_threads = threads


def test_a_clip_that_is_used_twice_is_upscaled_once(nearest: Path) -> None:
    source = vs.core.std.BlankClip(format=vs.GRAY8, width=32, height=24, length=12, keep=True)
    large = upscale(source, 2, nearest, "openvino", reuse=False, tile=48)
    shared = next(value for (_, options), value in engines._open.items() if options.tile == 48)
    before = shared.upscaler.counts.computed
    both = vs.core.std.StackVertical([large.std.Invert(), large])
    for _ in both.frames(close=True):
        pass
    assert shared.upscaler.counts.computed - before == 12

"""VapourSynth's formats and tags, in the engine's words."""

from __future__ import annotations

import pytest

pytest.importorskip("vapoursynth_filter", reason="pip install 'srvid[vapoursynth]'")

import vapoursynth as vs
from hypothesis import given
from hypothesis import strategies as st

from sr_core.color import ColorSpec
from sr_core.errors import BadInput
from sr_core.frame import PixelFormat, gray, rgb, yuv
from vapoursynth_filter.formats import color_from_props, guesses_of, pixel_format_from_vs

SITINGS = ["left", "center", "topleft", "top", "bottomleft", "bottom"]  # VapourSynth's numbers 0 to 5


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        (vs.YUV420P8, yuv("420")),
        (vs.YUV422P10, yuv("422", 10)),
        (vs.YUV444P16, yuv("444", 16)),
        (vs.YUV440P8, yuv("440")),
        (vs.RGB48, rgb(16)),
        (vs.GRAY12, gray(12)),
        (vs.GRAYH, PixelFormat(family="gray", depth=16, is_float=True)),
        (vs.RGBS, PixelFormat(family="rgb", depth=32, is_float=True)),
        (vs.YUV420PS, PixelFormat(family="yuv", depth=32, is_float=True, subsampling=(2, 2))),
    ],
    ids=str,
)
def test_a_format_keeps_its_family_depth_and_subsampling(preset: int, expected: PixelFormat) -> None:
    assert pixel_format_from_vs(vs.core.get_video_format(preset)) == expected


@pytest.mark.parametrize("preset", [vs.YUV410P8, vs.YUV411P8, vs.GRAY32])
def test_what_the_engine_cannot_hold_is_refused_with_a_conversion(preset: int) -> None:
    with pytest.raises(BadInput) as caught:
        pixel_format_from_vs(vs.core.get_video_format(preset))
    assert "clip.resize." in caught.value.hint


@given(st.sampled_from([1, 4, 5, 6, 7, 9]), st.booleans(), st.integers(0, 5), st.integers(16, 4096))
def test_a_tagged_frame_is_never_guessed(matrix: int, full: bool, siting: int, height: int) -> None:
    props = {"_Matrix": matrix, "_Range": int(full), "_ChromaLocation": siting}
    color = color_from_props(props, yuv("420"), width=640, height=height)
    assert color.full_range == full
    assert color.siting == SITINGS[siting]
    assert guesses_of(color, yuv("420")) == ""


@pytest.mark.parametrize("matrix", [None, 0, 2, 3])
def test_a_matrix_that_says_nothing_is_guessed(matrix: int | None) -> None:
    props = {} if matrix is None else {"_Matrix": matrix}
    color = color_from_props(props, yuv("422"), width=1920, height=1080)
    assert guesses_of(color, yuv("422")) == "matrix=bt709,range=limited,siting=left"


def test_siting_is_no_guess_where_chroma_is_whole() -> None:
    color = color_from_props({"_Matrix": 1, "_Range": 0}, yuv("444"), width=64, height=64)
    assert guesses_of(color, yuv("444")) == ""


@pytest.mark.parametrize("fmt", [rgb(), gray()], ids=str)
def test_rgb_and_gray_need_no_tags(fmt: PixelFormat) -> None:
    color = color_from_props({}, fmt, width=64, height=64)
    assert color == ColorSpec(matrix="bt601", full_range=fmt.family == "rgb")


@pytest.mark.parametrize("fields", [1, 2])
def test_fields_are_refused_with_advice(fields: int) -> None:
    with pytest.raises(BadInput) as caught:
        color_from_props({"_FieldBased": fields}, yuv("420"), width=64, height=64)
    assert "SetFieldBased(0)" in caught.value.hint


def test_an_old_plugins_color_range_arrives_as_range() -> None:
    with pytest.warns(DeprecationWarning, match="_ColorRange"):
        clip = vs.core.std.BlankClip(format=vs.YUV420P8, length=1).std.SetFrameProps(_ColorRange=0)
    assert color_from_props(clip.get_frame(0).props, yuv("420"), width=64, height=64).full_range

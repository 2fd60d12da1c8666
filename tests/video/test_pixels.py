"""FFmpeg's frames as planes and back."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.format import names
from av.video.reformatter import VideoReformatter
from hypothesis import given
from hypothesis import strategies as st

from sr_core.frame import PixelFormat, gray, rgb, yuv
from sr_video.convert import convert_frame
from sr_video.pixels import (
    copy_into,
    ffmpeg_name,
    frame_of,
    has_alpha,
    loss_between,
    nearest_format,
    pixel_format,
    planes_of,
)
from sr_video.read.facts import color_of

FORMATS = [
    yuv("420"), yuv("422"), yuv("444"), yuv("440"), yuv("420", 10), yuv("422", 12), yuv("444", 16),
    yuv("420", semiplanar=True), yuv("420", 10, semiplanar=True), gray(), gray(10), gray(16),
    rgb(), rgb(10), rgb(16), rgb(packed=True), rgb(16, packed=True),
]  # fmt: skip


def random_planes(fmt: PixelFormat, width: int, height: int, seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    shift = 16 - fmt.depth if fmt.msb_aligned else 0
    return tuple(
        (rng.integers(0, fmt.peak + 1, shape) << shift).astype(fmt.dtype) for shape in fmt.plane_shapes(width, height)
    )


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@given(width=st.integers(1, 70), height=st.integers(1, 20))
def test_planes_put_into_a_frame_come_out_unchanged(fmt: PixelFormat, width: int, height: int) -> None:
    planes = random_planes(fmt, width, height, width * 100 + height)
    back = planes_of(frame_of(planes, fmt), fmt)
    for before, after in zip(planes, back, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_copied_planes_come_out_unchanged(fmt: PixelFormat) -> None:
    planes = random_planes(fmt, 38, 10, 1)
    frame = av.VideoFrame(38, 10, ffmpeg_name(fmt))
    copy_into(frame, planes, fmt)
    for before, after in zip(planes, planes_of(frame, fmt), strict=True):
        np.testing.assert_array_equal(before, after)


def test_red_is_the_first_of_our_rgb_planes() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    frame = av.VideoFrame.from_ndarray(red, format="rgb24").reformat(format="gbrp")
    first, second, third = planes_of(frame, rgb())
    assert (int(first[0, 0]), int(second[0, 0]), int(third[0, 0])) == (200, 0, 0)


def test_views_of_a_decoded_frame_cannot_be_written_and_share_its_memory() -> None:
    frame = av.VideoFrame(64, 32, "yuv420p")
    view = planes_of(frame, yuv("420"))[0]
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 1
    np.frombuffer(frame.planes[0], np.uint8)[0] = 77
    assert view[0, 0] == 77


def test_an_even_frame_shares_the_memory_of_its_planes() -> None:
    planes = random_planes(yuv("420"), 64, 32, 3)
    frame = frame_of(planes, yuv("420"))
    planes[0][0, 0] = 5
    assert np.frombuffer(frame.planes[0], np.uint8)[0] == 5


def test_every_software_format_of_ffmpeg_has_a_nearest_of_ours_with_no_less_depth() -> None:
    hardware = {"amf", "cuda", "d3d11", "d3d12", "drm_prime", "mediacodec", "mmal", "ohcodec", "opencl"}
    hardware |= {"qsv", "vaapi", "vdpau", "vulkan", "videotoolbox_vld", "d3d11va_vld", "dxva2_vld"}
    for name in sorted(names - hardware):
        ours = nearest_format(name)
        bits = max((c.bits for c in av.VideoFormat(name).components if not c.is_alpha), default=8)
        assert ours.depth >= min(bits, 16), name
        assert ffmpeg_name(ours) in names, name


def test_every_format_of_ours_has_a_name_that_leads_back() -> None:
    for fmt in FORMATS:
        assert pixel_format(ffmpeg_name(fmt)) == fmt


def test_alpha_is_noticed() -> None:
    assert has_alpha("yuva420p")
    assert has_alpha("pal8")
    assert not has_alpha("yuv420p")


def test_losses_are_named() -> None:
    assert loss_between(yuv("420", 10), yuv("420", 10)) == ()
    assert loss_between(yuv("420", 10), yuv("444", 10)) == ()
    assert loss_between(yuv("420", 12), yuv("420", 10)) == ("12 bits become 10",)
    assert loss_between(yuv("444"), yuv("420")) == ("chroma resolution",)
    assert loss_between(rgb(), yuv("444")) == ("RGB becomes YUV",)
    assert loss_between(yuv("420"), gray()) == ("color",)
    assert loss_between(gray(), yuv("420")) == ()


PATCHES = [(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0), (32, 99, 200), (128, 128, 128)]
OFF_BY = 4  # of 255: swscale's own fast paths make 253 of white in YUV; RGB must be the same


def flat(name: str, color: tuple[int, int, int]) -> av.VideoFrame | None:
    """A frame of one color in FFmpeg's format `name`; None where swscale does not write it."""
    frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), color, np.uint8), format="rgb24")
    try:
        made = frame.reformat(format=name, dst_color_range="JPEG" if name.startswith("yuvj") else "MPEG")
        made.reformat(format="rgb24")
    except (ValueError, OSError):
        return None
    return made


WRITABLE = sorted(name for name in names if flat(name, PATCHES[0]) is not None)


def test_swscale_writes_the_formats_that_are_compared() -> None:
    assert {"rgb555le", "bgr565be", "yuv420p", "yuva444p10le", "gray", "nv12", "gbrp12le"} <= set(WRITABLE)


@pytest.mark.parametrize("name", WRITABLE)
def test_every_pixel_format_is_read_as_swscale_reads_it(name: str) -> None:
    """White is white, in all that FFmpeg's decoders give and swscale writes."""
    for color in PATCHES:
        frame = flat(name, color)
        assert frame is not None
        fmt = nearest_format(name)
        plain = frame.reformat(format="rgb24").to_ndarray().astype(int)
        ours = frame
        if pixel_format(name) != fmt:
            ours = convert_frame(VideoReformatter(), frame, ffmpeg_name(fmt), color_of(frame, fmt))
        found = ours.reformat(format="rgb24").to_ndarray().astype(int)
        allowed = 1 if fmt.family == "rgb" else OFF_BY
        assert np.abs(found - plain).max() <= allowed, (color, found[0, 0], plain[0, 0])

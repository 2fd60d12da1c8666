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
    coarse_bits,
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
    for name in sorted(names - HARDWARE):
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
HARDWARE = {"amf", "cuda", "d3d11", "d3d11va_vld", "d3d12", "drm_prime", "dxva2_vld", "mediacodec", "mmal", "ohcodec"}
HARDWARE |= {"opencl", "qsv", "vaapi", "vdpau", "videotoolbox_vld", "vulkan"}


def flat(name: str, color: tuple[int, int, int]) -> av.VideoFrame | None:
    """A frame of one color in FFmpeg's format `name`; None where swscale does not write it."""
    frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), color, np.uint8), format="rgb24")
    try:
        made = frame.reformat(format=name, dst_color_range="JPEG" if name.startswith("yuvj") else "MPEG")
        made.reformat(format="rgb24")
    except (ValueError, OSError):
        return None
    return made


def white_bytes(name: str) -> av.VideoFrame | None:
    """A white frame, of a format that swscale reads and does not write; None where it does neither."""
    frame = av.VideoFrame(16, 32, name)
    one = np.frombuffer(b"\xff", np.uint8)
    if "f16" in name or "f32" in name:
        order = ">" if name.endswith("be") else "<"
        one = np.array([1.0], np.dtype(f"{order}f{2 if 'f16' in name else 4}"))
    for plane in frame.planes:
        np.frombuffer(plane, one.dtype)[:] = one
    try:
        frame.reformat(format="rgb24")
    except (ValueError, OSError):
        return None
    return frame


SOFTWARE = sorted(names - HARDWARE)
WRITABLE = [name for name in SOFTWARE if flat(name, PATCHES[0]) is not None]
READABLE = [name for name in SOFTWARE if name not in WRITABLE and white_bytes(name) is not None]


def read_as_we_do(frame: av.VideoFrame) -> np.ndarray:
    """`frame` as the engine gets it, and then as RGB24."""
    name = frame.format.name
    fmt = nearest_format(name)
    if pixel_format(name) != fmt:
        frame = convert_frame(VideoReformatter(), frame, ffmpeg_name(fmt), color_of(frame, fmt))
    return frame.reformat(format="rgb24").to_ndarray().astype(int)


def as_swscale_reads(frame: av.VideoFrame) -> np.ndarray:
    """Its own RGB24; where it leaves the bits below empty, those that are there, over the whole range."""
    plain = frame.reformat(format="rgb24").to_ndarray().astype(int)
    if bits := coarse_bits(frame.format.name):
        plain = np.stack([np.rint((plain[..., i] >> (8 - n)) * 255 / (2**n - 1)) for i, n in enumerate(bits)], axis=-1)
    return plain


def test_every_software_format_is_compared_or_known_not_to_be_read_by_swscale() -> None:
    assert {"rgb555le", "bgr565be", "yuv420p", "yuva444p10le", "gray", "nv12", "gbrp12le", "rgb444le"} <= set(WRITABLE)
    assert {"bayer_rggb8", "bayer_bggr16le", "gbrpf16le", "pal8"} <= set(READABLE)
    wide = {"gray32", "rgb96", "rgba128", "gbrap32", "rgbaf32"}  # of 32 bits, beyond what any decoder here gives
    unread = {name.removesuffix("le").removesuffix("be") for name in set(SOFTWARE) - set(WRITABLE) - set(READABLE)}
    assert unread <= wide | {"rgb4", "bgr4", "v30x", "x2bgr10", "x2rgb10", "xv30", "y210", "y212", "y216"}


@pytest.mark.parametrize("name", WRITABLE)
def test_every_pixel_format_is_read_as_swscale_reads_it(name: str) -> None:
    """White is white, in all that FFmpeg's decoders give and swscale writes."""
    allowed = 1 if nearest_format(name).family == "rgb" else OFF_BY
    for color in PATCHES:
        frame = flat(name, color)
        assert frame is not None
        found, plain = read_as_we_do(frame), as_swscale_reads(frame)
        assert np.abs(found - plain).max() <= allowed, (color, found[0, 0], plain[0, 0])
        if color == PATCHES[0] and not name.startswith("xyz"):  # whose white point is another
            assert found.min() >= 255 - OFF_BY * (nearest_format(name).family == "yuv")


@pytest.mark.parametrize("name", READABLE)
def test_what_swscale_only_reads_is_read_as_it_does(name: str) -> None:
    frame = white_bytes(name)
    assert frame is not None
    if name != "uyyvyy411":  # all bits set are no white there
        assert read_as_we_do(frame).min() == 255
    assert np.abs(read_as_we_do(frame) - as_swscale_reads(frame)).max() <= OFF_BY


def test_a_mosaic_keeps_its_depth() -> None:
    assert nearest_format("bayer_rggb16le").depth == 16
    assert nearest_format("bayer_rggb8").depth == 8

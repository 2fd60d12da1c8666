"""Decoded frames that stay where the decoder put them, from the file to the encoder.

The pipeline is one for every device. Here the device is DLPack's CPU: PyAV decodes into ordinary
memory and lends its planes as it lends NVDEC's, and the session's card is FakeCuda, whose memory is
ordinary too. What is decoded therefore lies "on the card" already.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from sr_core.backends import dlpack, tensorrt
from sr_core.backends.dlpack import DevicePlane
from sr_core.backends.tensorrt import TensorRtRtx
from sr_core.color import ColorSpec
from sr_core.errors import BadInput
from sr_core.frame import PixelFormat, yuv
from sr_core.upscaler import Upscaler
from sr_video.decide.plan import Request
from sr_video.pixels import pixel_format, planes_of
from sr_video.read.device_frames import hidden_edges, on_host, planes_on
from sr_video.read.source import Source
from sr_video.read.source_frame import SourceFrame
from sr_video.transcode import upscale_video
from tests.trt.conftest import Machine
from tests.trt.networks import NV12, P010, YUV420P8, network
from tests.video.conftest import Clip, Heard

HOST = (dlpack.CPU, 0)
TO_DEVICE, ON_DEVICE = 1, 3  # cudaMemcpyKind
QUARTER_TURN = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


class ReadsArrays(Upscaler):
    """The same engine, given what is decoded as arrays."""

    def device_for(self, fmt: PixelFormat, width: int, height: int) -> None:
        return None


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "fmt"),
    [
        ("in.nut", "rawvideo", "nv12", NV12),
        ("in.mkv", "ffv1", "yuv420p10le", yuv("420", 10)),
        ("in.mkv", "ffv1", "yuv420p", YUV420P8),
    ],
)
def test_a_video_reaches_the_engine_without_a_copy_by_the_host_and_gives_the_same_file(
    machine: Machine,
    clip: Clip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    codec: str,
    pix_fmt: str,
    fmt: PixelFormat,
) -> None:
    """Tiles cut on the device, BT.601, turned by 90 degrees: the output is the arrays' to the byte."""
    monkeypatch.setattr(tensorrt.Cuda, "device_kind", dlpack.CPU)
    source = clip(name, codec=codec, pix_fmt=pix_fmt, size=(96, 64), frames=5, matrix=6, setup=turned)
    model, spec = network()
    backend = TensorRtRtx(ensure_engine=machine.ensure)
    made = {}
    for kind in (Upscaler, ReadsArrays):
        engine = kind(model, spec, backend, tile=48)
        with Source(str(source)) as opened:
            color = opened.facts.color
            assert (opened.facts.format, color.matrix) == (fmt, "bt601")
        engine.precision_for(fmt, color, 96, 64)  # builds, and holds against FP32
        machine.cuda.copied_bytes.clear()
        target = tmp_path / f"{kind.__name__}.mkv"
        request = Request(source=str(source), target=str(target), scale=2, codec="ffv1")
        summary = upscale_video(request, lambda scale, engine=engine: engine, Heard())  # type: ignore[misc]
        assert summary.frames == 5
        assert engine.counts.computed == 5 * 6
        copied = machine.cuda.copied_bytes
        tiles = 5 * 6 * 48 * 48 * 3 // 2 * fmt.dtype.itemsize
        bound = tiles * (1 + 2 * 2)  # into the engine's fixed input, and out of its fixed output
        assert copied[TO_DEVICE] == (0 if kind is Upscaler else tiles)
        assert copied[ON_DEVICE] == bound + (tiles if kind is Upscaler else 0)
        made[kind] = target.read_bytes()
    assert made[Upscaler] == made[ReadsArrays]


def turned(container: av.container.OutputContainer, video: av.VideoStream) -> None:
    if container.format.name == "matroska":
        video.set_display_matrix(QUARTER_TURN)


def test_p010_reaches_the_engine_as_it_lies(machine: Machine, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file holds P010, which only cards decode to: PyAV makes it of decoded frames."""
    monkeypatch.setattr(tensorrt.Cuda, "device_kind", dlpack.CPU)
    model, spec = network()
    with (
        Source(str(clip(pix_fmt="yuv420p10le", size=(96, 64), frames=2))) as source,
        Upscaler(model, spec, TensorRtRtx(ensure_engine=machine.ensure), tile=48) as upscaler,
    ):
        upscaler.precision_for(P010, source.facts.color, 96, 64)
        for unit in source.units(copied=frozenset()):
            assert unit.frame is not None
            frame = replace(unit.frame, native=unit.frame.native.reformat(format="p010le"), format=P010)
            machine.cuda.copied_bytes.clear()
            planes = frame.planes(upscaler.device_for(P010, 96, 64))
            got = upscaler.submit(planes, P010, frame.color).result()
            assert machine.cuda.copied_bytes[TO_DEVICE] == 0
            expected = upscaler.submit(frame.planes(), P010, frame.color).result()
            assert machine.cuda.copied_bytes[TO_DEVICE] > 0
            assert all(np.array_equal(a, w) for a, w in zip(got, expected, strict=True))


def test_planes_that_would_have_to_be_padded_are_asked_for_in_memory(machine: Machine) -> None:
    model, spec = network()
    with Upscaler(model, replace(spec, size_multiple=4), TensorRtRtx(ensure_engine=machine.ensure)) as upscaler:
        assert upscaler.device_for(NV12, 96, 64) == (dlpack.CUDA, 0)
        assert upscaler.device_for(NV12, 98, 64) is None


def test_a_frame_on_a_device_ends_a_run_of_reuse(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A still picture: arrays are compared and copied, planes on a device are computed each time."""
    monkeypatch.setattr(tensorrt.Cuda, "device_kind", dlpack.CPU)
    model, spec = network()
    arrays = (np.full((64, 96), 90, np.uint8), np.full((32, 48, 2), 128, np.uint8))
    lent = tuple(DevicePlane(p.ctypes.data, p.shape, p.dtype, device=HOST, owner=p) for p in arrays)
    with Upscaler(model, spec, TensorRtRtx(ensure_engine=machine.ensure)) as upscaler:
        results = [
            upscaler.submit(planes, NV12, ColorSpec()).result() for planes in (arrays, arrays, lent, lent, arrays)
        ]
        assert (upscaler.counts.computed, upscaler.counts.reused) == (4, 1)
    assert all(np.array_equal(a, w) for result in results for a, w in zip(result, results[0], strict=True))


# ---- one frame


@pytest.mark.parametrize(
    "pix_fmt", ["nv12", "p010le", "yuv420p", "yuv444p10le", "gbrp", "rgb24", "gray16le", "yuva420p"]
)
def test_planes_are_the_same_on_either_way(pix_fmt: str) -> None:
    frame = filled(pix_fmt, 36, 20)
    fmt = pixel_format(pix_fmt)
    assert fmt is not None
    lent = planes_on(HOST, frame, fmt)
    assert lent is not None
    for plane, expected in zip(lent, planes_of(frame, fmt), strict=True):
        assert plane.pointer == expected.ctypes.data
        assert np.array_equal(np.from_dlpack(plane), expected)


def test_planes_somewhere_else_are_not_lent() -> None:
    assert planes_on((dlpack.CUDA, 0), filled("nv12", 36, 20), NV12) is None


def test_odd_sizes_that_pyav_rounds_down_are_not_lent() -> None:
    """It takes half of the height of NV12; a picture of 35x19 has one chroma sample more."""
    assert planes_on(HOST, filled("nv12", 35, 19), NV12) is None
    assert planes_on(HOST, filled("yuv420p", 35, 19), YUV420P8) is not None


def test_a_frame_in_memory_is_its_own_download() -> None:
    frame = filled("nv12", 36, 20)
    assert on_host(frame) is frame


def test_what_a_stream_hides_at_the_left_and_the_top_is_cut_off_on_either_way() -> None:
    """FFmpeg leaves these edges on a frame on a card: the frame is then larger than the decoder's picture."""
    frame = filled("nv12", 40, 24)
    hidden = hidden_edges(frame, SimpleNamespace(is_hwaccel=True, width=36, height=22))  # type: ignore[arg-type]
    assert hidden == (4, 2)
    assert hidden_edges(frame, SimpleNamespace(is_hwaccel=False, width=36, height=22)) == (0, 0)  # type: ignore[arg-type]
    whole = planes_of(frame, NV12)
    cut = SourceFrame(format=NV12, color=ColorSpec(), ticks=0, duration_ticks=1, native=frame, hidden=hidden)
    for planes in (cut.planes(), cut.planes(HOST)):
        assert NV12.check(planes) == (36, 22)
        y, uv = (np.from_dlpack(plane) for plane in planes)  # type: ignore[arg-type]
        assert np.array_equal(y, whole[0][2:, 4:])
        assert np.array_equal(uv, whole[1][1:, 2:])


def test_a_stream_that_hides_edges_is_cut_by_the_software_decoder_alone(clip: Clip) -> None:
    path = clip("in.mkv", codec="libx264", options={"x264-params": "crop-rect=8,4,2,6:qp=0", "preset": "ultrafast"})
    with Source(str(path)) as source:
        frame = next(unit.frame for unit in source.units(copied=frozenset()) if unit.frame is not None)
        assert (source.facts.width, source.facts.height) == (64 - 10, 48 - 10)
        assert frame.hidden == (0, 0)
        assert frame.format.check(frame.planes(HOST)) == (54, 38)


def test_a_plane_on_a_device_that_does_not_fit_the_tiles_is_refused(machine: Machine) -> None:
    model, spec = network()
    planes = tuple(DevicePlane(0, shape, np.dtype(np.uint8)) for shape in NV12.plane_shapes(98, 64))
    with (
        Upscaler(model, replace(spec, size_multiple=4), TensorRtRtx(ensure_engine=machine.ensure)) as upscaler,
        pytest.raises(BadInput, match="would have to be padded"),
    ):
        upscaler.submit(planes, NV12, ColorSpec())


def filled(pix_fmt: str, width: int, height: int) -> av.VideoFrame:
    """A frame whose samples are all different, as far as that goes."""
    frame = av.VideoFrame(width, height, pix_fmt)
    for index, plane in enumerate(frame.planes):
        samples = np.frombuffer(plane, np.uint8)
        samples[...] = np.arange(samples.size) * (index + 3) % 251
    frame.time_base = Fraction(1, 25)
    return frame

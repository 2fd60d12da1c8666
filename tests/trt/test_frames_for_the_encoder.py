"""Frames that stay on the card for NVENC: lent, filled there, encoded, given back.

As in test_device_frames the card is DLPack's CPU and its memory FakeCuda's, so that a real encoder reads what the
engine left "on the card": libx264 stands for NVENC, told of frames as NVENC is. What a card alone can show (the
context, NVENC's own reading) is not shown here.
"""

from __future__ import annotations

import gc
import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from sr_core.backends import dlpack, frame_ring, tensorrt
from sr_core.backends.cuda import Cuda
from sr_core.backends.dlpack import DevicePlane
from sr_core.backends.frame_ring import FRAMES, FrameRing
from sr_core.backends.tensorrt import TensorRtRtx
from sr_core.backends.tensorrt_session import TensorRtSession
from sr_core.color import ColorSpec
from sr_core.errors import BadInput, OutOfMemory
from sr_core.frame import Array, PixelFormat
from sr_core.upscaler import Upscaler
from sr_video.decide import card_frames
from sr_video.decide.card_frames import card_of_encoder, why_not_on_card
from sr_video.decide.codecs import VIDEO_CODECS
from sr_video.decide.hardware_encoders import HARDWARE_ENCODERS
from sr_video.decide.plan import Request, plan_output
from sr_video.decide.streams import Nowhere
from sr_video.read import source as source_module
from sr_video.read.source import Source
from sr_video.segments.speed import Measurement
from sr_video.transcode import upscale_video
from sr_video.write import encoder as encoder_module
from tests.trt.cards import has_gpu
from tests.trt.conftest import Machine
from tests.trt.fake_cuda import FakeCuda
from tests.trt.fake_tensorrt import FakeLibrary, FakeRtxLibrary, FakeTensorRt
from tests.trt.networks import NV12, P010, YUV420P8, composed, network
from tests.video.conftest import Clip, Heard
from trt_build.ensure import final_graph

TO_DEVICE, TO_HOST = 1, 2  # cudaMemcpyKind
SIZE = (96, 64)


class OnArrays(Upscaler):
    """The same engine, whose frames come back to the host."""

    def lend_frame(self, *_: object) -> None:
        return None


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    """The card's memory is the host's."""
    monkeypatch.setattr(Cuda, "device_kind", dlpack.CPU)
    monkeypatch.setattr(tensorrt.Cuda, "device_kind", dlpack.CPU)


@pytest.fixture
def nvenc(monkeypatch: pytest.MonkeyPatch, ordinary: None) -> None:
    """libx264 in NVENC's place, on the card that the frames are on."""

    def take(context: av.VideoCodecContext, samples: str) -> None:
        context.pix_fmt = samples

    row = replace(VIDEO_CODECS["libx264"], device_option="gpu", pix_fmts=("yuv420p", "nv12"))
    monkeypatch.setitem(VIDEO_CODECS, "libx264", row)
    monkeypatch.setattr(source_module, "card_of_frames", lambda decoder, departures: 0)
    monkeypatch.setattr(card_frames, "why_not_on_card", lambda encoder, card, samples: "")
    monkeypatch.setattr(encoder_module, "accel_on", lambda card: None)
    monkeypatch.setattr(encoder_module, "take_card_frames", take)


@pytest.mark.usefixtures("nvenc")
@pytest.mark.parametrize("tile", [48, SIZE])
def test_no_pixel_of_a_video_sees_the_host_and_the_file_is_the_one_of_arrays(
    machine: Machine, clip: Clip, tmp_path: Path, tile: int | tuple[int, int]
) -> None:
    source = clip("in.nut", codec="rawvideo", pix_fmt="nv12", size=SIZE, frames=40)
    model, spec = network()
    made = {}
    for kind in (Upscaler, OnArrays):
        engine = kind(model, spec, TensorRtRtx(ensure_engine=machine.ensure), tile=tile)
        with Source(str(source)) as opened:
            engine.precision_for(NV12, opened.facts.color, *SIZE)  # builds, and holds against FP32
        machine.cuda.copied_bytes.clear()
        target = tmp_path / f"{kind.__name__}.mkv"
        request = Request(source=str(source), target=str(target), scale=2, codec="libx264")
        upscale_video(request, lambda scale, engine=engine: engine, Heard())  # type: ignore[misc]
        assert machine.cuda.copied_bytes[TO_DEVICE] == 0
        assert (machine.cuda.copied_bytes[TO_HOST] == 0) == (kind is Upscaler)
        made[kind] = target.read_bytes()
    assert made[Upscaler] == made[OnArrays]


@pytest.mark.usefixtures("nvenc")
def test_what_is_measured_before_a_run_takes_the_same_road(machine: Machine, clip: Clip) -> None:
    path = clip("in.nut", codec="rawvideo", pix_fmt="nv12", size=SIZE, frames=8)
    model, spec = network()
    with (
        Source(str(path)) as source,
        Upscaler(model, spec, TensorRtRtx(ensure_engine=machine.ensure)) as engine,
        av.open(Nowhere(), "w", format="matroska") as out,
    ):
        engine.precision_for(NV12, source.facts.color, *SIZE)
        plan = plan_output(source, Request(source=str(path), target="out.mkv", scale=2, codec="libx264"))
        machine.cuda.copied_bytes.clear()
        assert Measurement(source, plan, engine, out).run(lambda frames, seconds: frames >= 2)[0] >= 2
        assert machine.cuda.copied_bytes[TO_HOST] == 0


@pytest.mark.usefixtures("nvenc")
def test_the_plan_takes_nv12_to_the_encoder_as_it_is_and_says_nothing(clip: Clip, tmp_path: Path) -> None:
    path = clip("in.nut", codec="rawvideo", pix_fmt="nv12", size=SIZE, frames=2)
    with Source(str(path)) as source:
        request = Request(source=str(path), target=str(tmp_path / "out.mkv"), scale=2, codec="libx264")
        plan = plan_output(source, request)
        assert (plan.encoder.card, plan.encoder.pix_fmt) == (0, "nv12")
        assert not any("downloaded" in note for note in plan.notes)
        resampled = plan_output(source, replace(request, scale=2, width=150))
        assert resampled.encoder.card is None
        assert "frames are downloaded for libx264: they are resampled to 150x100" in resampled.notes
        elsewhere = plan_output(source, replace(request, device=1))
        assert "frames are downloaded for libx264: it is on GPU 1, the frames are on 0" in elsewhere.notes
        planar = plan_output(source, replace(request, pix_fmt="yuv420p"))
        assert any("the engine makes nv12 of them, the encoder takes yuv420p" in note for note in planar.notes)


@pytest.mark.parametrize("name", [name for name in HARDWARE_ENCODERS if name.endswith("_nvenc")])
def test_a_card_that_does_not_encode_is_told_in_words(name: str, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV's own road for NVENC (`hwaccel=`), as far as it goes without a driver."""
    if has_gpu():
        pytest.skip("this machine has a GPU")
    fake = FakeCuda()
    monkeypatch.setattr(card_frames, "Cuda", lambda: Cuda(fake))
    reason = why_not_on_card(name, 1, "nv12")
    assert reason
    assert "Errno" not in reason
    assert fake.current == 1  # the context that FFmpeg would have taken
    path = clip("in.nut", codec="rawvideo", pix_fmt="nv12", size=SIZE, frames=2)
    monkeypatch.setattr(source_module, "card_of_frames", lambda decoder, departures: 1)
    with Source(str(path)) as source:
        plan = plan_output(source, Request(source=str(path), target="out.mkv", scale=2, codec=name))
    assert plan.encoder.card is None
    assert plan.encoder.pix_fmt == "nv12"
    assert f"frames are downloaded for {name}: {reason}" in plan.notes


def test_frames_in_memory_and_other_encoders_are_none_of_this(clip: Clip) -> None:
    with Source(str(clip(size=SIZE, frames=2))) as source:
        facts = source.facts
        assert source.card is None
    settings: Any = SimpleNamespace(codec=HARDWARE_ENCODERS["hevc_nvenc"], device=None)
    assert card_of_encoder(settings, facts, 2, None) == (None, [])
    other: Any = SimpleNamespace(codec=HARDWARE_ENCODERS["hevc_qsv"], device=None)
    assert card_of_encoder(other, facts, 2, 0) == (None, [])


# ---- the session


@pytest.mark.usefixtures("ordinary")
@pytest.mark.parametrize("library", [FakeLibrary, FakeRtxLibrary])
@pytest.mark.parametrize("fmt", [NV12, P010], ids=str)
def test_a_lent_frame_is_filled_on_the_card_and_complete(fmt: PixelFormat, library: type[FakeRtxLibrary]) -> None:
    """In any order that the card may choose: nothing but the event before it returns tells that it is there."""
    plan = final_graph(composed(fmt)).model.SerializeToString()
    shapes = fmt.plane_shapes(64, 48)
    for seed in range(4):
        cuda = FakeCuda(seed)
        session = TensorRtSession(library(FakeTensorRt(cuda)), plan, precision="fp16+fp32", cuda=Cuda(cuda))
        for frame in range(3):
            rng = np.random.default_rng(frame)
            low = 6 if fmt.depth == 10 else 0
            planes = tuple((rng.integers(16, 200, shape) << low).astype(fmt.dtype) for shape in shapes)
            expected: list[Array] = []
            session.run(planes, lambda outputs, keep=expected: keep.extend(o.copy() for o in outputs))  # type: ignore[misc]
            lent = session.lend_frame(fmt, 128, 96)
            assert lent is not None
            session.run_into(planes, lent, [(0, 0), (0, 0)])
            assert all(np.array_equal(np.from_dlpack(a), w) for a, w in zip(lent, expected, strict=True))
            part = tuple(plane[8:40, 16:64] for plane in lent)
            session.run_into(planes, part, [(4, 6), (4, 6)])
            assert all(np.array_equal(np.from_dlpack(a), w[4:36, 6:54]) for a, w in zip(part, expected, strict=True))
            assert cuda.current == 0
            del lent, part
        session.close()
        gc.collect()
        assert not cuda.memory


@pytest.mark.usefixtures("ordinary")
def test_a_target_that_does_not_fit_is_refused() -> None:
    plan = final_graph(composed(NV12)).model.SerializeToString()
    cuda = FakeCuda()
    session = TensorRtSession(FakeLibrary(FakeTensorRt(cuda)), plan, precision="fp16+fp32", cuda=Cuda(cuda))
    lent = session.lend_frame(NV12, 256, 96)
    assert lent is not None
    planes = tuple(np.zeros(shape, np.uint8) for shape in NV12.plane_shapes(64, 48))
    with pytest.raises(BadInput, match="the target uint8"):
        session.run_into(planes, lent, [(0, 0), (0, 0)])
    assert session.lend_frame(YUV420P8, 128, 96) is None  # NVENC's frames on a card are semiplanar
    assert session.lend_frame(NV12, 127, 96) is None
    session.close()


def test_a_card_without_room_for_the_ring_gives_arrays_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    plan = final_graph(composed(NV12)).model.SerializeToString()
    cuda = FakeCuda()
    session = TensorRtSession(FakeLibrary(FakeTensorRt(cuda)), plan, precision="fp16+fp32", cuda=Cuda(cuda))
    held = len(cuda.memory)
    cuda.memory_left = 60_000
    with caplog.at_level(logging.WARNING):
        assert session.lend_frame(NV12, 128, 96) is None
        assert session.lend_frame(NV12, 128, 96) is None
    assert caplog.text.count("frames go to the encoder through ordinary memory: cudaMalloc") == 1
    assert len(cuda.memory) == held
    session.close()


# ---- the ring


def test_the_chroma_lies_behind_the_luma_with_one_pitch_in_one_allocation() -> None:
    cuda = FakeCuda()
    ring = FrameRing(Cuda(cuda), 0, P010, 100, 64)
    y, uv = ring.lend()
    assert y.strides[0] == uv.strides[0] == ring.pitch
    assert ring.pitch % frame_ring.PITCH_BYTES == 0
    assert ring.pitch >= 100 * 2
    assert uv.pointer == y.pointer + ring.pitch * 64
    assert cuda.memory[y.pointer].size == ring.pitch * 64 * 3 // 2
    assert (y.shape, uv.shape, y.dtype) == ((64, 100), (32, 50, 2), np.uint16)


@pytest.mark.usefixtures("ordinary")
def test_a_frame_comes_back_when_ffmpeg_has_dropped_it_and_no_sooner() -> None:
    """PyAV's frame keeps both planes by DLPack; the deleter gives them back."""
    ring = FrameRing(Cuda(FakeCuda()), 0, NV12, 64, 48)
    lent = [ring.lend() for _ in range(FRAMES)]
    starts = [y.pointer for y, _ in lent]
    assert len(set(starts)) == ring.size == FRAMES
    frames = [av.VideoFrame.from_dlpack(planes, format="nv12") for planes in lent]
    lent.clear()
    extra = ring.lend()  # FFmpeg holds the others
    assert ring.size == FRAMES + 1
    del frames[3]
    assert ring.lend()[0].pointer == starts[3]
    assert ring.size == FRAMES + 1
    del extra, frames


def test_frames_that_are_lent_when_the_ring_ends_are_freed_when_they_come_back() -> None:
    cuda = FakeCuda()
    ring = FrameRing(Cuda(cuda), 1, NV12, 64, 48)
    lent = ring.lend()
    cuda.cudaSetDevice(0)  # as another thread, such as the one that closes
    cuda.used_devices.clear()
    ring.close()
    assert list(cuda.memory) == [lent[0].pointer]
    part = lent[1][0:4, 0:4]
    del lent
    assert len(cuda.memory) == 1  # a view of it is still held
    cuda.cudaSetDevice(0)
    del part
    assert not cuda.memory
    assert cuda.used_devices == {1}


def test_a_ring_that_does_not_fit_keeps_nothing() -> None:
    cuda = FakeCuda(memory_bytes=256 * 48 * 3 // 2 * (FRAMES - 1))
    with pytest.raises(OutOfMemory):
        FrameRing(Cuda(cuda), 0, NV12, 64, 48)
    assert not cuda.memory


@pytest.mark.usefixtures("ordinary")
def test_memory_that_runs_out_midway_costs_no_frame_on_the_card(machine: Machine) -> None:
    model, spec = network()
    planes = tuple(np.random.default_rng(1).integers(16, 236, s, np.uint8) for s in NV12.plane_shapes(512, 256))
    with Upscaler(model, spec, TensorRtRtx(ensure_engine=machine.ensure)) as upscaler:
        expected = [p.copy() for p in upscaler.planes(planes, NV12, ColorSpec())]
        out = upscaler.lend_frame((dlpack.CPU, 0), NV12, ColorSpec(), 512, 256)
        assert out is not None
        session = upscaler._sessions.for_frame(NV12, ColorSpec(), 512, 256).session

        def full(*_: object) -> None:
            raise OutOfMemory("out of memory")

        session.run_into = full  # type: ignore[method-assign,attr-defined]
        made = upscaler.submit(planes, NV12, ColorSpec(), out).result(timeout=300)
        assert upscaler.read_size_for(NV12, ColorSpec(), 512, 256)[0] <= 256
        assert all(isinstance(plane, DevicePlane) for plane in made)
        for actual, wanted in zip(made, expected, strict=True):
            assert np.abs(np.from_dlpack(actual).astype(int) - wanted).max() <= 1  # type: ignore[arg-type]
        del session, out, made


@pytest.mark.usefixtures("ordinary")
def test_a_frame_that_was_lent_before_tiles_had_to_be_blended_goes_to_memory(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory ran out for another frame in between; the network's reach has no end."""
    model, spec = network()
    planes = tuple(np.random.default_rng(2).integers(16, 236, s, np.uint8) for s in NV12.plane_shapes(64, 48))
    with Upscaler(model, spec, TensorRtRtx(ensure_engine=machine.ensure)) as upscaler:
        expected = [p.copy() for p in upscaler.planes(planes, NV12, ColorSpec())]
        out = upscaler.lend_frame((dlpack.CPU, 0), NV12, ColorSpec(), 64, 48)
        assert out is not None
        blended = replace(upscaler._sessions.for_frame(NV12, ColorSpec(), 64, 48), blends=True)
        monkeypatch.setattr(upscaler._sessions, "for_frame", lambda *_: blended)
        made = upscaler.submit(planes, NV12, ColorSpec(), out).result(timeout=300)
        for actual, wanted in zip(made, expected, strict=True):
            assert isinstance(actual, np.ndarray)
            assert np.array_equal(actual, wanted)
        del out

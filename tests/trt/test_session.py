"""The session on deferred streams: right in any order the GPU may choose, and nothing left behind."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest

from sr_core.backends.cuda import Cuda
from sr_core.backends.dlpack import CUDA, DevicePlane
from sr_core.backends.tensorrt_session import TensorRtSession
from sr_core.errors import BadInput, EngineError
from sr_core.frame import Array
from tests.trt.fake_cuda import FakeCuda
from tests.trt.fake_tensorrt import FakeLibrary, FakeRtxLibrary, FakeTensorRt
from tests.trt.networks import NV12, P010, RGB24, YUV420P8, composed
from trt_build.check import check_pictures, planes_from_picture
from trt_build.ensure import final_graph

LIBRARIES = {"tensorrt": FakeLibrary, "tensorrt_rtx": FakeRtxLibrary}
FORMATS = {"yuv420p8": YUV420P8, "nv12": NV12, "p010": P010, "rgb24": RGB24}


def open_session(
    plan: bytes,
    cuda: FakeCuda,
    *,
    library: str = "tensorrt_rtx",
    slots: int = 3,
    jit_cache: Path | None = None,
    device_index: int = 0,
) -> TensorRtSession:
    fake = FakeTensorRt(cuda)
    return TensorRtSession(
        LIBRARIES[library](fake),
        plan,
        precision="fp16+fp32",
        slots=slots,
        jit_cache=jit_cache,
        device_index=device_index,
        cuda=Cuda(cuda),
    )


@pytest.fixture(scope="module")
def plans() -> dict[str, bytes]:
    """What the builder would parse: FP16 with byte planes, which the fake runs in ONNX Runtime."""
    return {name: final_graph(composed(fmt)).model.SerializeToString() for name, fmt in FORMATS.items()}


def frames(name: str, count: int) -> list[tuple[Array, ...]]:
    """`count` different frames of the small graph's size."""
    fmt = FORMATS[name]
    pictures = check_pictures()
    shapes = {
        plane: ((1, *shape) if len(shape) == 3 else (1, 1, *shape), fmt.dtype)
        for plane, shape in zip(fmt.plane_names, fmt.plane_shapes(64, 48), strict=True)
    }
    made = []
    for index in range(count):
        picture = np.roll(pictures[index % len(pictures)], index * 5, axis=0)
        planes = planes_from_picture(picture, shapes, fmt.depth)
        made.append(
            tuple(
                planes[plane].reshape(shape)
                for plane, shape in zip(fmt.plane_names, fmt.plane_shapes(64, 48), strict=True)
            )
        )
    return made


def run(session: TensorRtSession, planes: tuple[Array, ...]) -> list[Array]:
    got: list[Array] = []
    session.run(planes, lambda outputs: got.extend(plane.copy() for plane in outputs))
    return got


def alone(plan: bytes, planes: tuple[Array, ...]) -> list[Array]:
    """The frame through a session of its own, with nothing else under way."""
    session = open_session(plan, FakeCuda(), slots=1)
    try:
        return run(session, planes)
    finally:
        session.close()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", FORMATS)
def test_many_threads_each_get_their_own_frame_back(plans: dict[str, bytes], name: str, library: str) -> None:
    given = frames(name, 9)
    expected = [alone(plans[name], planes) for planes in given]
    for seed in range(3):
        cuda = FakeCuda(seed)
        session = open_session(plans[name], cuda, library=library)
        with ThreadPoolExecutor(5) as pool:
            got = list(pool.map(run, repeat(session), given))
        session.close()
        for actual, wanted in zip(got, expected, strict=True):
            assert all(np.array_equal(a, w) for a, w in zip(actual, wanted, strict=True))


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_session_on_the_second_gpu_is_served_by_threads_that_begin_on_the_first(
    plans: dict[str, bytes], library: str
) -> None:
    given = frames("nv12", 4)
    cuda = FakeCuda()
    session = open_session(plans["nv12"], cuda, library=library, device_index=1)
    with ThreadPoolExecutor(3) as pool:
        got = list(pool.map(run, repeat(session), given))
        near = [
            DevicePlane(plane.ctypes.data, plane.shape, plane.dtype, device=(CUDA, 1), owner=plane)
            for plane in map(np.ascontiguousarray, given[0])
        ]
        got.append(pool.submit(run, session, near).result())  # type: ignore[arg-type]
    session.close()
    for actual, planes in zip(got, [*given, given[0]], strict=True):
        assert all(np.array_equal(a, w) for a, w in zip(actual, alone(plans["nv12"], planes), strict=True))


def test_a_session_that_does_not_wait_for_events_is_caught(plans: dict[str, bytes]) -> None:
    wrong = 0
    given = frames("nv12", 3)
    expected = [alone(plans["nv12"], planes) for planes in given]
    for seed in range(6):
        cuda = FakeCuda(seed)
        session = open_session(plans["nv12"], cuda, slots=1)
        cuda.ignore_waits = True
        for planes, wanted in zip(given, expected, strict=True):
            got = run(session, planes)
            wrong += any(not np.array_equal(a, w) for a, w in zip(got, wanted, strict=True))
    assert wrong >= 9  # of 18: by chance alone some orders are right


@pytest.mark.parametrize("library", LIBRARIES)
def test_closing_frees_every_buffer_stream_event_and_graph(plans: dict[str, bytes], library: str) -> None:
    cuda = FakeCuda()
    session = open_session(plans["yuv420p8"], cuda, library=library)
    run(session, frames("yuv420p8", 1)[0])
    assert cuda.memory
    assert cuda.handles
    session.close()
    assert not cuda.memory
    assert not cuda.handles


def test_a_session_nobody_holds_is_freed_without_close(plans: dict[str, bytes]) -> None:
    cuda = FakeCuda()
    session = open_session(plans["yuv420p8"], cuda)
    run(session, frames("yuv420p8", 1)[0])
    del session
    gc.collect()
    assert not cuda.memory
    assert not cuda.handles


def test_memory_that_runs_out_half_way_is_given_back(plans: dict[str, bytes]) -> None:
    cuda = FakeCuda(memory_bytes=60_000)  # enough for the first slot's buffers, not for the second's
    with pytest.raises(EngineError, match=r"cudaMalloc|cudaHostAlloc"):
        open_session(plans["yuv420p8"], cuda)
    assert not cuda.memory
    assert not cuda.handles


def test_an_engine_that_cannot_be_captured_runs_without_a_graph_and_says_so(
    plans: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    cuda = FakeCuda()
    cuda.capture_fails = True
    session = open_session(plans["nv12"], cuda, library="tensorrt", slots=1)
    assert "cannot be captured as a CUDA graph" in caplog.text
    planes = frames("nv12", 1)[0]
    got = run(session, planes)
    session.close()
    assert not cuda.handles
    assert all(np.array_equal(a, w) for a, w in zip(got, alone(plans["nv12"], planes), strict=True))


def test_a_closed_session_refuses_to_run(plans: dict[str, bytes]) -> None:
    session = open_session(plans["yuv420p8"], FakeCuda())
    session.close()
    with pytest.raises(EngineError, match="closed"):
        run(session, frames("yuv420p8", 1)[0])


def test_strided_planes_go_in_as_they_are(plans: dict[str, bytes]) -> None:
    planes = frames("yuv420p8", 1)[0]
    wide = tuple(np.repeat(plane, 2, axis=1)[:, ::2] for plane in planes)
    assert not wide[0].flags.c_contiguous
    expected = alone(plans["yuv420p8"], planes)
    assert all(np.array_equal(a, w) for a, w in zip(alone(plans["yuv420p8"], wide), expected, strict=True))


def test_ten_bit_planes_come_back_as_uint16(plans: dict[str, bytes]) -> None:
    outputs = alone(plans["p010"], frames("p010", 1)[0])
    assert [plane.dtype for plane in outputs] == [np.uint16, np.uint16]
    assert [plane.shape for plane in outputs] == [(96, 128), (48, 64, 2)]
    assert not np.any(outputs[0] & 63)  # P010 keeps its low six bits zero


def test_planes_on_the_gpu_with_a_pitch_give_the_same_picture(plans: dict[str, bytes]) -> None:
    planes = frames("nv12", 1)[0]
    session = open_session(plans["nv12"], FakeCuda(3))
    padded = [np.pad(plane, [(0, 0), (0, 32)] + [(0, 0)] * (plane.ndim - 2)) for plane in planes]
    on_device = [
        DevicePlane(base.ctypes.data, plane.shape, plane.dtype, strides=base.strides, device=(CUDA, 0), owner=base)
        for base, plane in zip(padded, planes, strict=True)
    ]
    got: list[Array] = []
    session.run(on_device, lambda outputs: got.extend(plane.copy() for plane in outputs))
    session.close()
    assert all(np.array_equal(a, w) for a, w in zip(got, alone(plans["nv12"], planes), strict=True))


def test_a_plane_on_another_device_is_refused(plans: dict[str, bytes]) -> None:
    session = open_session(plans["nv12"], FakeCuda())
    planes = frames("nv12", 1)[0]
    elsewhere = [
        DevicePlane(plane.ctypes.data, plane.shape, plane.dtype, device=(CUDA, 1), owner=plane) for plane in planes
    ]
    with pytest.raises(BadInput, match="device"):
        session.run(elsewhere, lambda outputs: None)
    session.close()


def test_a_plane_of_another_size_is_refused_with_both_sizes(plans: dict[str, bytes]) -> None:
    session = open_session(plans["nv12"], FakeCuda())
    y, uv = frames("nv12", 1)[0]
    with pytest.raises(BadInput, match=r"\(47, 64\).*expected.*\(48, 64\)"):
        session.run((y[:-1], uv), lambda outputs: None)
    session.close()


def test_a_refused_plan_carries_the_librarys_own_text() -> None:
    cuda = FakeCuda()
    with pytest.raises(EngineError, match="magicTagRead"):
        open_session(b"not a plan", cuda)
    assert not cuda.handles


def test_an_engine_for_another_gpu_is_refused_before_it_is_loaded(plans: dict[str, bytes]) -> None:
    cuda = FakeCuda()
    fake = FakeTensorRt(cuda, invalid=3)
    with pytest.raises(EngineError, match="version mismatch, unsupported cc"):
        TensorRtSession(FakeRtxLibrary(fake), plans["nv12"], precision="fp32", cuda=Cuda(cuda))
    assert fake.logger is not None


def test_a_failing_run_says_what_the_library_logged(plans: dict[str, bytes]) -> None:
    cuda = FakeCuda()
    fake = FakeTensorRt(cuda)
    session = TensorRtSession(FakeRtxLibrary(fake), plans["nv12"], precision="fp16+fp32", cuda=Cuda(cuda))
    fake.fails_to_run = True
    with pytest.raises(EngineError, match="no kernel image"):
        run(session, frames("nv12", 1)[0])
    fake.fails_to_run = False
    run(session, frames("nv12", 1)[0])  # the slot came back
    session.close()


def test_the_rtx_runtime_cache_is_kept_for_the_next_start(plans: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "model.gpu.jit"
    open_session(plans["nv12"], FakeCuda(), jit_cache=path).close()
    assert path.read_bytes() == b"compiled kernels"
    cuda = FakeCuda()
    fake = FakeTensorRt(cuda)
    TensorRtSession(FakeRtxLibrary(fake), plans["nv12"], precision="fp16+fp32", jit_cache=path, cuda=Cuda(cuda)).close()
    assert fake.runtime_config.cache.was_given == b"compiled kernels"
    assert fake.runtime_config.cuda_graph_strategy == fake.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE

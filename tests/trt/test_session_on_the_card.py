"""What only a card punishes: streams of others, memory of two kinds, errors that stay, contexts on other cards.

Each fault that FakeCuda now models was planted in the session and was seen here: no wait for the decoder's stream,
pinned memory freed as the device's, freeing without setting the device, an error left behind by a failed capture.
"""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sr_core.backends import cuda as cuda_module
from sr_core.backends.cuda import Cuda, driver_release
from sr_core.backends.dlpack import CUDA, DevicePlane
from sr_core.backends.tensorrt_session import TensorRtSession
from sr_core.errors import EngineError
from sr_core.frame import Array
from tests.trt.fake_cuda import FakeCuda
from tests.trt.fake_tensorrt import FakeLibrary, FakeRtxLibrary, FakeTensorRt
from tests.trt.networks import NV12, composed
from trt_build.ensure import final_graph

PLANES = (np.full((48, 64), 90, np.uint8), np.full((24, 32, 2), 128, np.uint8))


@pytest.fixture(scope="module")
def plan() -> bytes:
    return final_graph(composed(NV12)).model.SerializeToString()


def opened(
    plan: bytes,
    fake: FakeTensorRt,
    *,
    device: int = 0,
    jit: Path | None = None,
    library: type[FakeRtxLibrary] | type[FakeLibrary] = FakeRtxLibrary,
) -> TensorRtSession:
    return TensorRtSession(
        library(fake), plan, precision="fp16+fp32", device_index=device, jit_cache=jit, cuda=Cuda(fake.cuda)
    )


def run(session: TensorRtSession, planes: tuple[Array, ...] = PLANES) -> list[Array]:
    got: list[Array] = []
    session.run(planes, lambda outputs: got.extend(plane.copy() for plane in outputs))
    return got


def test_planes_that_the_decoder_is_still_writing_are_waited_for(plan: bytes) -> None:
    cuda = FakeCuda()
    session = opened(plan, FakeTensorRt(cuda))
    expected = run(session)
    decoded = [np.zeros_like(plane) for plane in PLANES]
    lent = [
        DevicePlane(base.ctypes.data, base.shape, base.dtype, device=(CUDA, 0), owner=base)  # as NVDEC's frames lie
        for base in decoded
    ]
    cuda.dawdling = {0}  # the decoder's stream is as late as it can be

    def decode() -> None:
        for base, plane in zip(decoded, PLANES, strict=True):
            base[...] = plane

    cuda.push(0, decode)
    got = run(session, tuple(lent))  # type: ignore[arg-type]
    session.close()
    assert all(np.array_equal(actual, wanted) for actual, wanted in zip(got, expected, strict=True))


@pytest.mark.parametrize("library", [FakeLibrary, FakeRtxLibrary])
def test_a_session_makes_no_context_on_another_card(plan: bytes, library: type[FakeRtxLibrary]) -> None:
    cuda = FakeCuda()
    session = opened(plan, FakeTensorRt(cuda), device=1, library=library)
    run(session)
    cuda.cudaSetDevice(0)  # as any other thread of the process, such as the one that closes
    cuda.used_devices.clear()
    session.close()
    assert cuda.used_devices == {1}


def test_after_a_capture_that_failed_the_engine_runs(plan: bytes) -> None:
    cuda = FakeCuda()
    cuda.capture_fails = True
    session = opened(plan, FakeTensorRt(cuda), library=FakeLibrary)
    assert cuda.last_error == 0
    assert len(run(session)) == 2
    session.close()


def test_a_failed_call_leaves_no_error_for_the_next_one() -> None:
    cuda = Cuda(FakeCuda(memory_bytes=1))
    with pytest.raises(EngineError, match="out of memory"):
        cuda.cudaMalloc(100)
    assert cuda.runtime.last_error == 0


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [("cudaFree", "pinned as device"), ("cudaFreeHost", "device as pinned"), ("inside", "interior")],
)
def test_the_fake_refuses_to_free_by_the_wrong_call(wrong: str, reason: str) -> None:
    cuda = FakeCuda()
    device, pinned = cuda.cudaMalloc(64)[1], cuda.cudaHostAlloc(64, 0)[1]
    given = {"cudaFree": pinned, "cudaFreeHost": device, "inside": device + 8}[wrong]
    assert getattr(cuda, "cudaFree" if wrong == "inside" else wrong)(given) == (1,), reason
    assert len(cuda.memory) == 2


def test_the_fake_takes_addresses_inside_an_allocation_and_none_that_reach_beyond() -> None:
    cuda = FakeCuda()
    stream = cuda.cudaStreamCreateWithFlags(1)[1]
    device, pinned = cuda.cudaMalloc(64)[1], cuda.cudaHostAlloc(64, 0)[1]
    assert cuda.cudaMemcpyAsync(device + 32, pinned + 32, 32, 1, stream) == (0,)
    assert cuda.cudaMemcpyAsync(device + 32, pinned, 33, 1, stream) == (1,)
    assert cuda.cudaMemcpyAsync(pinned, device, 64, 1, stream) == (1,)  # says to the device, goes to the host


def test_rtx_records_its_graph_once_whatever_slot_a_tile_takes(plan: bytes) -> None:
    fake = FakeTensorRt(FakeCuda())
    session = opened(plan, fake)
    for _ in range(9):
        run(session)
    session.close()
    assert fake.recordings == 1


def test_freeing_goes_on_after_an_error_and_tells_the_first(plan: bytes) -> None:
    cuda = FakeCuda()
    session = opened(plan, FakeTensorRt(cuda))
    cuda.failing = {"cudaStreamSynchronize": 700}
    with pytest.raises(EngineError, match=r"cudaErrorIllegalAddress.*the CUDA context is lost") as caught:
        session.close()
    assert "start again" in caught.value.hint
    assert not cuda.memory
    assert not cuda.handles


def test_the_error_that_ended_opening_is_not_hidden_by_one_of_freeing(plan: bytes) -> None:
    cuda = FakeCuda(memory_bytes=40_000)  # not enough for three slots
    cuda.failing = {"cudaStreamSynchronize": 700}
    with pytest.raises(EngineError, match="out of memory") as caught:
        opened(plan, FakeTensorRt(cuda))
    assert "illegal memory access" in "".join(caught.value.__notes__)
    assert not cuda.memory


def test_a_session_nobody_holds_that_cannot_be_freed_is_told_to_the_log(
    plan: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cuda = FakeCuda()
    session = opened(plan, FakeTensorRt(cuda))
    cuda.failing = {"cudaStreamSynchronize": 700}
    with caplog.at_level(logging.WARNING):
        del session
    assert "the CUDA context is lost" in caplog.text


def test_what_the_card_compiled_is_kept_before_the_first_frame(plan: bytes, tmp_path: Path) -> None:
    """A process that is killed never closes."""
    path = tmp_path / "model.jit"
    session = opened(plan, FakeTensorRt(FakeCuda()), jit=path)
    assert path.read_bytes() == b"compiled kernels"
    session.close()


def test_waiting_for_the_card_does_not_keep_a_cpu_busy(plan: bytes) -> None:
    from cuda.bindings import runtime

    cuda = FakeCuda()
    opened(plan, FakeTensorRt(cuda)).close()
    assert cuda.event_flags == {runtime.cudaEventBlockingSync | runtime.cudaEventDisableTiming}


def test_the_driver_is_told_by_its_release_not_by_its_cuda_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23 10:11:16 UTC 2026\nGCC version: 12.2\n"
    )
    (tmp_path / "version").write_text(text)
    monkeypatch.setattr(cuda_module, "_KERNEL_MODULE", tmp_path / "version")
    monkeypatch.setattr(cuda_module, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    assert driver_release() == "580.95.05"
    (tmp_path / "version").unlink()
    assert driver_release() == ""


def test_a_cards_driver_is_named_by_its_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the file of a `.verified`: two releases of one CUDA version are two verdicts."""
    properties = SimpleNamespace(name=b"L4", major=8, minor=9, multiProcessorCount=58, totalGlobalMem=24 << 30)
    fake: Any = FakeCuda()
    fake.cudaGetDeviceCount = lambda: (0, 1)
    fake.cudaDriverGetVersion = lambda: (0, 13000)
    fake.cudaGetDeviceProperties = lambda index: (0, properties)
    monkeypatch.setattr(cuda_module, "driver_release", lambda: "580.95.05")
    (gpu,) = cuda_module.find_gpus(fake)
    assert gpu.driver == "driver 580.95.05, CUDA 13.0"

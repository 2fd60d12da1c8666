"""DLPack planes, and finding GPUs: what can be true without one."""

from __future__ import annotations

import gc
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from sr_core.backends import dlpack
from sr_core.backends.cuda import Cuda, find_gpus
from sr_core.backends.dlpack import DevicePlane
from sr_core.backends.tensorrt import TensorRt, TensorRtRtx
from sr_core.errors import BadInput, EngineError, NotAvailable
from tests.trt.cards import has_gpu
from tests.trt.fake_cuda import FakeCuda

CPU = (dlpack.CPU, 0)


def test_a_borrowed_view_has_the_address_and_pitch_of_the_original() -> None:
    base = np.arange(48, dtype=np.uint8).reshape(6, 8)
    plane = DevicePlane.borrow(base[1:5, :6])
    assert (plane.pointer, plane.shape, plane.strides) == (base.ctypes.data + 8, (4, 6), (8, 1))
    assert plane.device == CPU
    assert plane.has_dense_rows
    assert plane.row_bytes == 6


def test_cutting_a_plane_moves_its_address_and_not_its_memory() -> None:
    base = np.arange(96, dtype=np.uint16).reshape(6, 8, 2)
    cut = DevicePlane.borrow(base)[2:5, 1:7]
    assert np.array_equal(np.from_dlpack(cut), base[2:5, 1:7])
    assert cut.row_bytes == 6 * 2 * 2


def test_a_transposed_plane_is_known_to_have_no_dense_rows() -> None:
    assert not DevicePlane.borrow(np.zeros((4, 6), np.uint8).T).has_dense_rows


def test_subsampling_a_plane_on_a_gpu_is_refused() -> None:
    with pytest.raises(BadInput, match="subsampled"):
        DevicePlane.borrow(np.zeros((4, 6), np.uint8))[::2, :]


def test_the_lender_gets_its_tensor_back_when_the_last_cut_is_gone() -> None:
    given = np.arange(12, dtype=np.float32)
    lent = DevicePlane(given.ctypes.data, (3, 4), given.dtype, device=CPU, owner=given)
    before = len(dlpack._lent)
    plane = DevicePlane.borrow(Foreign(lent))
    cut = plane[0:2, 0:2]
    assert len(dlpack._lent) == before + 1
    del plane
    gc.collect()
    assert len(dlpack._lent) == before + 1  # the cut still needs it
    del cut
    gc.collect()
    assert len(dlpack._lent) == before


class Foreign:
    """A tensor of somebody else's type, so that `borrow` has to ask for a capsule."""

    def __init__(self, plane: DevicePlane) -> None:
        self._plane = plane

    def __dlpack__(self) -> Any:
        return self._plane.__dlpack__()


@pytest.mark.parametrize("consumed", [True, False])
def test_lent_memory_lives_until_the_consumer_drops_it(consumed: bool) -> None:
    given = np.arange(12, dtype=np.float32)
    plane = DevicePlane(given.ctypes.data, (3, 4), given.dtype, device=CPU, owner=given)
    before = len(dlpack._lent)
    if consumed:
        array = np.from_dlpack(plane)
        assert np.array_equal(array, given.reshape(3, 4))
        assert len(dlpack._lent) == before + 1
        del array
    else:
        capsule = plane.__dlpack__()
        assert len(dlpack._lent) == before + 1
        del capsule
    gc.collect()
    assert len(dlpack._lent) == before


def test_samples_that_no_plane_has_are_refused() -> None:
    with pytest.raises(BadInput, match="64 bits"):
        DevicePlane.borrow(np.zeros((2, 2), np.int64))
    with pytest.raises(BadInput, match="str is neither"):
        DevicePlane.borrow("plane")


@pytest.mark.parametrize(("name", "kind"), [("nv12", np.uint8), ("p010le", np.uint16)])
def test_planes_of_a_pyav_frame_are_borrowed_with_their_pitch(name: str, kind: type) -> None:
    """The call sites of NVDEC frames, on frames in ordinary memory."""
    frame = av.VideoFrame(36, 20, name)
    luma, chroma = (DevicePlane.borrow(plane) for plane in frame.planes)
    assert (luma.shape, luma.dtype) == ((20, 36), kind)
    assert (chroma.shape, chroma.dtype) == ((10, 18, 2), kind)
    assert luma.strides[0] == frame.planes[0].line_size
    assert luma.pointer == frame.planes[0].buffer_ptr


def test_our_planes_become_a_pyav_frame_without_a_copy() -> None:
    y, uv = np.full((20, 36), 90, np.uint8), np.full((10, 18, 2), 128, np.uint8)
    planes = [DevicePlane(a.ctypes.data, a.shape, a.dtype, device=CPU, owner=a) for a in (y, uv)]
    frame = av.VideoFrame.from_dlpack(planes, format="nv12")
    assert frame.planes[0].buffer_ptr == y.ctypes.data
    assert np.array_equal(frame.to_ndarray()[:20], y)


# ---- finding GPUs


def fake_runtime(*, count: int = 1, code: int = 0, driver: int = 13000, needs: int = 13050) -> Any:
    properties = SimpleNamespace(name=b"NVIDIA L4", major=8, minor=9, multiProcessorCount=58, totalGlobalMem=24 << 30)
    runtime: Any = FakeCuda()
    runtime.cudaGetDeviceCount = lambda: (code, count if code == 0 else None)
    runtime.cudaDriverGetVersion = lambda: (0, driver)
    runtime.cudaRuntimeGetVersion = lambda: (0, needs)
    runtime.cudaGetDeviceProperties = lambda index: (0, properties)
    return runtime


def test_a_gpu_is_described_in_our_words() -> None:
    first, second = find_gpus(fake_runtime(count=2))
    assert (first.name, first.target, second.index) == ("NVIDIA L4", "sm89", 1)
    assert first.driver.endswith("CUDA 13.0")
    assert first.libraries == ("tensorrt_rtx", "tensorrt")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ({"code": 35, "driver": 0}, "no NVIDIA driver", "openvino"),
        ({"code": 35, "driver": 12040}, "supports CUDA 12.4, cuda-bindings needs CUDA 13.5", "rtx-cu12"),
        ({"code": 100, "driver": 13050}, "CUDA sees no GPU", "CUDA_VISIBLE_DEVICES"),
        ({"count": 0, "driver": 13050}, "CUDA sees no GPU", "CUDA_VISIBLE_DEVICES"),
    ],
)
def test_a_missing_gpu_is_explained(arguments: dict[str, int], message: str, hint: str) -> None:
    with pytest.raises(NotAvailable, match=message) as caught:
        find_gpus(fake_runtime(**arguments))
    assert hint in caught.value.hint


def test_the_real_bindings_find_the_gpus_or_say_why_there_are_none() -> None:
    if has_gpu():
        assert find_gpus()
        return
    with pytest.raises(NotAvailable, match=r"NVIDIA driver|no GPU") as caught:
        find_gpus()
    assert caught.value.hint


def test_a_failing_cuda_call_raises_with_cudas_own_words() -> None:
    cuda = Cuda(FakeCuda(memory_bytes=10))
    with pytest.raises(EngineError, match="cudaMalloc: cudaErrorMemoryAllocation, out of memory"):
        cuda.cudaMalloc(100)


@pytest.mark.parametrize("backend", [TensorRt, TensorRtRtx])
def test_a_backend_without_its_gpu_says_what_to_do(backend: type[TensorRt]) -> None:
    if has_gpu():
        pytest.skip("this machine has a GPU: see benchmarks/trt_gpu.py")
    with pytest.raises(NotAvailable, match=r"NVIDIA driver|no GPU") as caught:
        backend()
    assert caught.value.hint


@pytest.mark.parametrize(
    ("capability", "libraries", "targets"),
    [
        ((7, 5), ("tensorrt_rtx", "tensorrt"), ("sm75",)),
        ((8, 0), ("tensorrt", "tensorrt_rtx"), ("sm80", "portable")),
        ((8, 9), ("tensorrt_rtx", "tensorrt"), ("sm89", "portable")),
        ((9, 0), ("tensorrt",), ()),
        ((10, 0), ("tensorrt",), ()),
        ((12, 0), ("tensorrt_rtx", "tensorrt"), ("sm120", "portable")),
    ],
)
def test_each_card_gets_the_library_made_for_it(
    capability: tuple[int, int], libraries: tuple[str, ...], targets: tuple[str, ...]
) -> None:
    (gpu,) = find_gpus(fake_runtime())
    gpu = replace(gpu, compute_capability=capability)
    assert gpu.libraries == libraries
    assert gpu.rtx_targets == targets

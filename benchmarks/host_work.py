"""What the host does for a frame on an NVIDIA card, over a driver and an engine that do nothing.

    python benchmarks/host_work.py [--frames 60] [--width 1920] [--height 1080] [--scale 2]

CPU time of this process for a frame, the median of rounds. Nothing is computed and nothing copied by the
"card", so what is left is Python, numpy's copies between frames and pinned memory, and waiting. Rows:

tiles    the tiles that srvid takes, and the whole frame as one tile
planes   'host': frames come and go as arrays. 'card in': they come as planes on the card, as NVDEC leaves them,
         and go as arrays. 'card': they also stay there and are handed to PyAV as a frame for NVENC, which gives
         them back: the whole road of a frame that the host never sees, but for FFmpeg's own calls
calls    calls of the driver for a frame; a real driver adds its own time for each

Above them stands what numpy takes for the copies alone: no way that gives the encoder arrays can be below it.
"""

from __future__ import annotations

import argparse
import ctypes
import enum
import itertools
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from sr_core.backend import ComposedGraph, Precision, Progress
from sr_core.backends import dlpack
from sr_core.backends.cuda import Cuda
from sr_core.backends.dlpack import DevicePlane
from sr_core.backends.tensorrt_library import TensorRtRtxLibrary
from sr_core.backends.tensorrt_session import SLOTS, TensorRtSession
from sr_core.color import ColorSpec
from sr_core.frame import Device, yuv
from sr_core.model_spec import spec_of
from sr_core.testing import random_model
from sr_core.upscaler import Upscaler
from sr_video.write.on_card import frame_on_card

FORMAT, COLOR = yuv("420", semiplanar=True), ColorSpec()
ROUNDS = 5


class NullDriver:
    """`cuda.bindings.runtime` as far as a session calls it: memory is real, work is not done."""

    class cudaMemcpyKind(enum.IntEnum):  # noqa: N801 - CUDA's name
        cudaMemcpyHostToDevice = 1  # noqa: N815
        cudaMemcpyDeviceToHost = 2  # noqa: N815
        cudaMemcpyDeviceToDevice = 3  # noqa: N815

    def __init__(self) -> None:
        self.calls = 0
        self._memory: dict[int, Any] = {}
        self._handles = itertools.count(1)

    def __getattr__(self, name: str) -> Callable[..., tuple[Any, ...]]:
        if not name.startswith("cuda"):
            raise AttributeError(name)
        makes = name in ("cudaStreamCreateWithFlags", "cudaEventCreateWithFlags")

        def call(*arguments: Any) -> tuple[Any, ...]:
            self.calls += 1
            return (0, next(self._handles)) if makes else (0,)

        self.__dict__[name] = call
        return call

    def cudaMalloc(self, size: int) -> tuple[int, int]:  # noqa: N802
        """Memory of the host, which nobody writes."""
        buffer = ctypes.create_string_buffer(size)
        self._memory[ctypes.addressof(buffer)] = buffer
        return 0, ctypes.addressof(buffer)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[int, int]:  # noqa: N802
        """As `cudaMalloc`."""
        return self.cudaMalloc(size)


class _NullEngine:
    """Tensors with the graph's names and shapes; executing answers yes."""

    def __init__(self, graph: ComposedGraph) -> None:
        values = (*graph.model.graph.input, *graph.model.graph.output)
        self._shapes: dict[str, list[int]] = {
            v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values
        }
        self._inputs = set(graph.input_names)
        self.num_io_tensors = len(self._shapes)

    def get_tensor_name(self, index: int) -> str:
        return list(self._shapes)[index]

    def get_tensor_mode(self, name: str) -> int:
        return 1 if name in self._inputs else 2

    def get_tensor_shape(self, name: str) -> list[int]:
        return self._shapes[name]

    def get_tensor_dtype(self, name: str) -> type[np.uint8]:
        return np.uint8

    def set_tensor_address(self, name: str, address: int) -> bool:
        return True

    def execute_async_v3(self, stream: int) -> bool:
        return True


class _NullTensorRt:
    __version__ = "0"

    class ILogger:
        class Severity(enum.IntEnum):
            ERROR, WARNING, INFO = 1, 2, 3

    class TensorIOMode(enum.IntEnum):
        INPUT, OUTPUT = 1, 2

    def __init__(self, engine: _NullEngine) -> None:
        self._engine = engine

    def Runtime(self, logger: Any) -> _NullTensorRt:  # noqa: N802
        return self

    def deserialize_cuda_engine(self, plan: bytes) -> _NullEngine:
        return self._engine

    def nptype(self, dtype: type[np.uint8]) -> type[np.uint8]:
        return dtype


class _NullLibrary(TensorRtRtxLibrary):
    def refusal(self, runtime: Any, plan: bytes) -> str:
        return ""

    def create_context(self, engine: Any, jit_cache: Path | None) -> tuple[Any, Any]:
        return engine, None

    def save_jit_cache(self, cache: Any, path: Path) -> None:
        return None


class NullCard:
    """A backend on the null driver."""

    name, device, contexts, on_cpu = "tensorrt_rtx", "a driver that does nothing", SLOTS, False
    plane_device: Device | None = (dlpack.CPU, 0)  # PyAV asks a driver before it takes a frame of CUDA's

    def __init__(self) -> None:
        self.driver = NullDriver()

    def open(
        self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None
    ) -> TensorRtSession:
        """A session whose engine answers at once."""
        library = _NullLibrary(cast(Any, _NullTensorRt(_NullEngine(graph))))
        return TensorRtSession(library, b"", precision="none", cuda=_NullCuda(self.driver))


class _NullCuda(Cuda):
    device_kind = dlpack.CPU


def main() -> None:
    """Print one line a way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--scale", type=int, default=2)
    asked = parser.parse_args()
    size = asked.width, asked.height
    print(
        f"{size[0]}x{size[1]} NV12, {asked.scale} times, {platform.processor() or platform.machine()}, {ROUNDS} rounds"
    )
    print(_bare_copies(size, asked.scale, asked.frames))
    model = random_model(asked.scale, layers=1, features=4)
    spec = spec_of(model)
    assert spec is not None
    for label, tile in (("512", None), ("whole frame", size)):
        for planes_at in ("host", "card in", "card"):
            card = NullCard()
            with Upscaler(model, spec, card, tile=tile, reuse=False) as upscaler:
                frame = _frame(size, on_card=planes_at != "host")
                enlarge = _on_card(upscaler, size, frame) if planes_at == "card" else _through(upscaler, frame)
                print(_measured(f"{label:12} {planes_at:8}", card, enlarge, asked.frames))


def _frame(size: tuple[int, int], *, on_card: bool) -> tuple[Any, ...]:
    planes = tuple(np.full(shape, 128, np.uint8) for shape in FORMAT.plane_shapes(*size))
    if not on_card:
        return planes
    return tuple(
        DevicePlane(plane.ctypes.data, plane.shape, plane.dtype, device=(dlpack.CPU, 0), owner=plane)
        for plane in planes
    )


def _through(upscaler: Upscaler, frame: tuple[Any, ...]) -> Callable[[], object]:
    out = FORMAT.empty(*(plane * upscaler.scale for plane in reversed(frame[0].shape)))  # given back by the encoder
    return lambda: upscaler.submit(frame, FORMAT, COLOR, out).result()


def _on_card(upscaler: Upscaler, size: tuple[int, int], frame: tuple[Any, ...]) -> Callable[[], object]:
    def enlarge() -> None:
        out = upscaler.lend_frame((dlpack.CPU, 0), FORMAT, COLOR, *size)
        assert out is not None
        made = upscaler.submit(frame, FORMAT, COLOR, out).result()
        assert frame_on_card(cast(tuple[Any, ...], made), FORMAT) is not None

    return enlarge


def _bare_copies(size: tuple[int, int], scale: int, frames: int) -> str:
    """The planes of a frame and of its enlargement, copied once."""
    parts = []
    for label, factor in (("in", 1), ("out", scale)):
        shapes = FORMAT.plane_shapes(size[0] * factor, size[1] * factor)
        pairs = [(np.ones(shape, np.uint8), np.ones(shape, np.uint8)) for shape in shapes]
        costs = []
        for _ in range(ROUNDS):
            start = time.process_time()
            for _ in range(frames):
                for source, target in pairs:
                    np.copyto(target, source)
            costs.append((time.process_time() - start) / frames)
        parts.append(f"{median(costs) * 1000:.2f} ms {label}")
    return f"a bare copy of the planes: {', '.join(parts)}"


def _measured(label: str, card: NullCard, enlarge: Callable[[], object], frames: int) -> str:
    enlarge()
    before, costs = card.driver.calls, list[float]()
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(frames):
            enlarge()
        costs.append((time.process_time() - start) / frames)
    calls = (card.driver.calls - before) / (ROUNDS * frames)
    return f"{label} {median(costs) * 1000:7.2f} ms CPU a frame (least {min(costs) * 1000:.2f}), {calls:5.0f} calls"


if __name__ == "__main__":
    main()

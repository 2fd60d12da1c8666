"""What the engine asks of a runtime: two protocols and one table of strings.

    ComposedGraph ──Backend.open──► Session ──run(planes, deliver)──► deliver(output planes)

`ComposedGraph` is one FP32 ONNX graph from raw planes to raw planes at one static size
(`sr_core.graph.compose.compose` makes it). A backend compiles it; a session runs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol, cast, runtime_checkable

from sr_core.errors import BadInput, NotAvailable
from sr_core.frame import Array, Device, PixelFormat, PlaneOnDevice
from sr_core.wording import closest, option

if TYPE_CHECKING:
    from onnx import ModelProto

    from sr_core.packing import PackedGraph

Precision = Literal["auto", "exact", "fast", "f32", "bf16+f32", "f16+f32", "int8+f32"]
PRECISIONS: tuple[Precision, ...] = ("auto", "exact", "fast")  # what users choose from; the rest bind what came of it
Deliver = Callable[[Sequence[Array]], None]
Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class ComposedGraph:
    """Raw planes → network → raw planes, as one ONNX graph at a static size.

    Attributes:
        model: FP32 graph; inputs and outputs are the planes of one tile. Input `y` is
            [1, 1, H, W], `uv` is [1, H/2, W/2, 2], `rgb` packed is [1, H, W, 3]; the outputs have
            the same names with `_out` and the model's scale.
        keep_fp32: names of the nodes that must not lose precision: colour edges, interpolated
            base, final add, first convolution.
        scale: output pixels per input pixel.
        width, height: luma size of the input tile.
        depth: bits of an integer sample (float formats: 16 or 32).
        packed: composes the same function with packed outputs, for backends on a CPU; None where the network
            does not end in a sub-pixel convolution.
        square: composes the same graph for a square tile of at least that side, or of the model's fixed size.
        has_int8: the model has quantizers, and the format 8 bits.
        int8: composes the same graph with the network's body in INT8, by quantizers; None without `has_int8`.
        int8_loss_db: what INT8 was measured to cost against ground truth, at most; None = not measured.
        network_digest: hash of the network alone, whatever the format and size.
    """

    model: ModelProto
    keep_fp32: frozenset[str]
    scale: int
    width: int
    height: int
    depth: int
    packed: Callable[[], PackedGraph | None] = lambda: None
    square: Callable[[int], ComposedGraph] | None = None
    network_digest: Callable[[], str] = lambda: ""
    has_int8: bool = False
    int8: Callable[[], ComposedGraph | None] = lambda: None
    int8_loss_db: float | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(value.name for value in self.model.graph.input)

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(value.name for value in self.model.graph.output)

    @property
    def shift(self) -> int:
        """Bits by which stored codes are shifted up: P010 and its like keep them in the high bits."""
        return 16 - self.depth if "uv" in self.input_names and self.depth > 8 else 0


class Session(Protocol):
    """One compiled graph with `contexts` ways to run it at the same time."""

    contexts: int
    precision: str  # what really runs, e.g. 'f32', 'bf16+f32', 'fp16+fp32'

    def run(self, planes: Sequence[Array], deliver: Deliver) -> None:
        """Run one tile; block until `deliver` has returned.

        Thread-safe, up to `contexts` calls run at once, others wait; releases the GIL while it
        computes. `planes` are read only, may be strided views, and are not kept. `deliver` gets
        the output planes, shaped as `ComposedGraph.model`'s outputs without the leading
        ones of planar planes: (H, W), (H, W, 2) or (H, W, 3). They belong to the session and are
        valid only until `deliver` returns.

        Raises:
            EngineError: the runtime failed; its own text is in the message.
        """

    def close(self) -> None:
        """Free the runtime's memory. No `run` may be in progress."""


@runtime_checkable
class DirectSession(Protocol):
    """A session that can write into the caller's planes, which saves a copy."""

    def run_into(self, planes: Sequence[Array], targets: Sequence[Array], corners: Sequence[tuple[int, int]]) -> None:
        """As `Session.run`, but fills each target with the part of its output plane from (row, column) on."""


@runtime_checkable
class LendingSession(DirectSession, Protocol):
    """A session whose `run_into` fills frames on its device, where an encoder reads them."""

    def lend_frame(self, fmt: PixelFormat, width: int, height: int) -> tuple[PlaneOnDevice, ...] | None:
        """The planes of a frame there; it is given back when nobody holds them. None: use arrays."""


class Backend(Protocol):
    """A runtime that turns graphs into sessions."""

    name: str
    device: str  # for people: 'AMD EPYC, 2 cores', 'NVIDIA L4'
    contexts: int  # how many contexts pay here
    on_cpu: bool  # True: tiles that fit its caches; False: as large as a device's memory allows

    @property
    def plane_device(self) -> Device | None:
        """Where its sessions also take planes as they lie there, by DLPack; None: arrays only."""

    def open(self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None) -> Session:
        """Compile `graph`.

        Args:
            progress: called as (phase, share done 0..1), at least for work over a second.

        Raises:
            EngineError: the runtime refused the graph.
        """


# name -> (class, module whose presence means that it can work, extra to install)
_THREADS_A_CPU = 4  # each holds memory of its own: 100,000 filled 5 GB and never came to the first frame
BACKENDS: dict[str, tuple[str, str, str]] = {
    "tensorrt": ("sr_core.backends.tensorrt:TensorRt", "tensorrt", "tensorrt"),
    "tensorrt_rtx": ("sr_core.backends.tensorrt:TensorRtRtx", "tensorrt_rtx", "rtx"),
    "openvino": ("sr_core.backends.openvino:OpenVino", "openvino", ""),
    "webgpu": ("sr_core.backends.webgpu:WebGpu", "onnxruntime_ep_webgpu", "gpu"),
    "onnxruntime": ("sr_core.backends.onnxruntime:OnnxRuntime", "onnxruntime", "onnxruntime"),
}
_ALSO_CALLED = {
    "trt": "tensorrt", "rtx": "tensorrt_rtx", "cuda": "tensorrt_rtx", "nvidia": "tensorrt_rtx", "ov": "openvino",
    "cpu": "openvino", "onnx": "onnxruntime", "ort": "onnxruntime", "vulkan": "webgpu", "metal": "webgpu",
    "directml": "webgpu", "dml": "webgpu", "gpu": "auto",
}  # fmt: skip


def backend_hint(wanted: str) -> str:
    """For a backend that is none: the one that was meant, where that can be guessed, and all there are."""
    meant = _ALSO_CALLED.get(wanted.lower())
    guess = f"did you mean {meant}? " if meant else closest(wanted, ("auto", *BACKENDS))
    return f"{guess}choose one of: auto, {', '.join(BACKENDS)}"


def open_backend(name: str, *, threads: int | None = None, device: int | str | None = None) -> Backend:
    """Open a backend by name.

    Args:
        threads: limits the CPU threads it may use.
        device: number of the GPU to use, or OpenVINO's name of a device; None = the first, where it uses one.

    Raises:
        BadInput: many times more threads than CPUs.
        NotAvailable: unknown name, package not installed, or no device for it.
    """
    if threads is not None and threads > _THREADS_A_CPU * (cpus := os.cpu_count() or 1):
        raise BadInput(f"{threads} threads are too many for {cpus} CPUs", hint="by default each CPU has one")
    if name not in BACKENDS:
        raise NotAvailable(f"unknown backend {name!r}", hint=backend_hint(name))
    if isinstance(device, str) and name != "openvino":
        raise NotAvailable(
            f"{name} numbers its GPUs and has no {device}, which is a name of OpenVINO's",
            hint=f"use {option('backend', 'openvino')}, or a number as srkit doctor shows",
        )
    target, module_needed, extra = BACKENDS[name]
    if find_spec(module_needed) is None:
        raise NotAvailable(
            f"backend {name!r} needs the package {module_needed!r}, which is not installed",
            hint=f"pip install 'srvid[{extra}]'" if extra else "reinstall srvid",
        )
    module, _, class_name = target.partition(":")
    opener = getattr(import_module(module), class_name)
    return cast(Backend, opener(threads=threads, device_index=device))


def plane_of(tensor: Array, name: str) -> Array:
    """The plane inside a graph's tensor `name`: (H, W), or (H, W, n) for `uv` and `rgb`. A view."""
    plane: Array = tensor[0] if name.removesuffix("_out") in ("uv", "rgb") else tensor[0, 0]
    return plane


def usable_cpus() -> int:
    """CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

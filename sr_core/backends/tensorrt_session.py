"""One TensorRT engine running: three streams, N slots, one execution context.

    thread A  ─ copy to pinned ─┐ H2D ──e_in──► compute ──e_done──► D2H ──e_out──► deliver
    thread B       ─ copy to pinned ─┐ H2D ──e_in──► compute ──e_done──► D2H ──► deliver
                      stream:          in            compute           out

Upload, compute and download of different tiles overlap; computing does not, so the activation
memory is paid once however many slots there are. A slot owns one pinned and one device buffer a
plane, three events and (tensorrt) the CUDA graph captured with its addresses. Who holds a slot is
the only one to touch its buffers; what `deliver` gets are views into the slot's pinned buffers.

Note [fixed addresses]: TensorRT-RTX captures the graph itself, and anew whenever an address it was
told has changed, which three slots in turn would do at every tile. It is therefore told one set of
addresses for good, and the compute stream copies planes between that set and the slot's buffers.
"""

from __future__ import annotations

import ctypes
import logging
import queue
import threading
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from sr_core.backend import Deliver, plane_of
from sr_core.backends.cuda import LEGACY_STREAM, Cuda
from sr_core.backends.dlpack import DevicePlane
from sr_core.backends.frame_ring import FrameRing
from sr_core.backends.tensorrt_library import NativeLog, TensorRtLibrary, native_log, write_jit_cache
from sr_core.backends.tensorrt_native import Native, Slot, free_unheld
from sr_core.errors import BadInput, EngineError, OutOfMemory, failure_of_engine
from sr_core.frame import Array, PixelFormat
from sr_core.wording import option

log = logging.getLogger(__name__)
SLOTS = 3  # one uploading, one computing, one downloading


class TensorRtSession:
    """A `sr_core.backend.Session` on one GPU. See the module's picture.

    Args:
        plan: the serialised engine, static shapes, planes as `trt_build` makes them.
        jit_cache: file of TensorRT-RTX's runtime cache; ignored by `tensorrt`.

    Raises:
        EngineError: the plan does not fit this GPU, driver or version, or memory ran out.
    """

    def __init__(
        self,
        library: TensorRtLibrary,
        plan: bytes,
        *,
        precision: str,
        device_index: int = 0,
        slots: int = SLOTS,
        jit_cache: Path | None = None,
        cuda: Cuda | None = None,
    ) -> None:
        self.contexts, self.device_index = slots, device_index
        self.precision = precision
        self.cuda = cuda or Cuda()
        self._library = library
        stack = ExitStack()
        logger, self._log = stack.enter_context(native_log(library))
        self._native = Native(self.cuda, library, device_index, stack, jit_path=jit_cache)
        self._finalizer = weakref.finalize(self, free_unheld, self._native)
        self._enqueue_lock, self._ring_lock = threading.Lock(), threading.Lock()
        self._ring: FrameRing | None = None
        self._ring_is_refused = False
        self._free_slots: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        try:
            self.cuda.cudaSetDevice(device_index)
            self._load(logger, plan)
            self._describe()
            self._native.legacy_event = self.cuda.event()
            if not library.captures_graphs:
                self._bind_for_good()
            for _ in range(slots):
                self._add_slot()
            for slot in self._native.slots:
                self._warm(slot)
                self._free_slots.put(slot)
            # what was compiled on the card is kept now: a process that is killed never comes to `free`
            write_jit_cache(library, self._native.jit_cache, jit_cache)
        except BaseException as error:
            try:
                self.close()
            except EngineError as second:
                error.add_note(f"and freeing what there was failed: {second}")
            raise

    # ---- the Session protocol

    def run(self, planes: Sequence[Array | DevicePlane], deliver: Deliver) -> None:
        """See `sr_core.backend.Session.run`; planes on this GPU (any DLPack tensor) go in as they are."""
        slot = self._free_slots.get()
        try:
            loans = self._begin(slot, planes)
            with self._enqueue_lock:
                self._compute(slot)
                self._download(slot)
            self.cuda.cudaEventSynchronize(slot.downloaded)
            del loans  # the GPU has read them
            deliver([slot.host[name] for name in self._outputs])
        finally:
            self._free_slots.put(slot)

    def run_into(
        self,
        planes: Sequence[Array | DevicePlane],
        targets: Sequence[Array | DevicePlane],
        corners: Sequence[tuple[int, int]],
    ) -> None:
        """See `sr_core.backend.DirectSession`; targets on this GPU are filled there, and are complete on return."""
        if all(isinstance(target, np.ndarray) for target in targets):
            return self.run(planes, partial(_copy_parts, cast(Sequence[Array], targets), corners))
        lent = [self._borrow(target) for target in targets]
        slot = self._free_slots.get()
        try:
            loans = self._begin(slot, planes)
            with self._enqueue_lock:
                self._compute(slot)
                self._copy_out(slot, lent, corners)
            self.cuda.cudaEventSynchronize(slot.downloaded)  # whoever reads the targets does so on a stream of its own
            del loans
        finally:
            self._free_slots.put(slot)

    def lend_frame(self, fmt: PixelFormat, width: int, height: int) -> tuple[DevicePlane, ...] | None:
        """See `sr_core.backend.LendingSession`."""
        if fmt.layout != "semiplanar" or fmt.depth > 10 or width % 2 or height % 2:
            return None  # what NVENC and PyAV take on a card
        with self._ring_lock:
            if self._ring_is_refused:
                return None
            try:
                if self._ring is None or (self._ring.format, self._ring.width, self._ring.height) != (
                    fmt, width, height,
                ):  # fmt: skip
                    self._ring = FrameRing(self.cuda, self._native.device_index, fmt, width, height)
                return self._ring.lend()
            except OutOfMemory as error:
                self._ring_is_refused = True
                log.warning("frames go to the encoder through ordinary memory: %s", error.message)
                return None

    def close(self) -> None:
        """Free all GPU and pinned memory; keep the runtime cache. No `run` may be in progress.

        Raises:
            EngineError: CUDA refused a part; everything else is freed.
        """
        if self._ring is not None:
            self._ring.close()
        if self._finalizer.detach() is not None:
            self._native.free()

    # ---- setting up

    def _load(self, logger: Any, plan: bytes) -> None:
        native, trt = self._native, self._library.trt
        runtime = native.runtime = trt.Runtime(logger)
        refusal = self._library.refusal(runtime, plan)
        if refusal:
            raise EngineError(
                f"the engine cannot run on this machine: {refusal}",
                hint="srkit engines why shows what it is tied to",
            )
        engine = native.engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._error("the engine was refused", hint="srkit engines prune, then run again to rebuild it")
        native.context, native.jit_cache = self._library.create_context(engine, native.jit_path)
        if native.context is None:
            raise OutOfMemory(  # the one reason that is left: the plan was accepted, activations come with the context
                f"no execution context: {self._log.errors or 'out of GPU memory?'}",
                hint=f"use a smaller {option('tile')}",
            )
        for _ in range(3):
            native.streams.append(self.cuda.stream())
        self._in, self._main, self._out = native.streams

    def _describe(self) -> None:
        trt, engine = self._library.trt, self._native.engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        is_input = {name: engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names}
        self._inputs = [name for name in names if is_input[name]]
        self._outputs = [name for name in names if not is_input[name]]
        self._shapes = {name: tuple(int(n) for n in engine.get_tensor_shape(name)) for name in names}
        self._dtypes = {name: np.dtype(trt.nptype(engine.get_tensor_dtype(name))) for name in names}
        dynamic = [name for name, shape in self._shapes.items() if min(shape) < 1]
        if dynamic:
            raise EngineError(f"the engine has no fixed size for {', '.join(dynamic)}")
        self._bytes = {name: int(np.prod(self._shapes[name])) * self._dtypes[name].itemsize for name in names}

    def _bind_for_good(self) -> None:
        """See Note [fixed addresses]."""
        for name, size in self._bytes.items():
            self._native.bound[name] = int(self.cuda.cudaMalloc(size))
        self._bind(self._native.bound)

    def _add_slot(self) -> None:
        cuda, slot = self.cuda, Slot()
        self._native.slots.append(slot)  # first: what follows may run out of memory half way
        for name, size in self._bytes.items():
            slot.device[name] = int(cuda.cudaMalloc(size))
            slot.pinned[name] = int(cuda.cudaHostAlloc(size, 0))
            memory = (ctypes.c_uint8 * size).from_address(slot.pinned[name])
            slot.host[name] = self._plane(np.frombuffer(memory, np.uint8), name)
        slot.uploaded, slot.computed, slot.downloaded = (cuda.event() for _ in range(3))

    def _plane(self, memory: Array, name: str) -> Array:
        """A buffer's bytes as the plane that callers know: byte pairs are uint16 (see trt_build)."""
        shape, dtype = self._shapes[name], self._dtypes[name]
        if len(shape) == 5:
            shape, dtype = shape[:-1], np.dtype(np.uint16)
        return plane_of(memory.view(dtype).reshape(shape), name)

    def _warm(self, slot: Slot) -> None:
        """Run once, so that nothing is left to compile; then capture the slot's graph."""
        self._enqueue(slot)
        self.cuda.cudaStreamSynchronize(self._main)
        if not self._library.captures_graphs:
            return
        try:
            self._capture(slot)
        except EngineError as error:
            # the same kernels run one by one: the same picture, some microseconds a tile later
            log.warning("%s; it runs without one", error)

    def _capture(self, slot: Slot) -> None:
        cuda = self.cuda
        mode = cuda.runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        cuda.cudaStreamBeginCapture(self._main, mode)
        accepted = self._native.context.execute_async_v3(int(self._main))
        code, graph = cuda.runtime.cudaStreamEndCapture(self._main)  # ends the capture whatever it returns
        if int(code) != 0 or not accepted:
            cuda.runtime.cudaGetLastError()  # a failed capture would be reported by the next call
            reason = self._log.errors if not accepted else cuda.explain(code)
            raise cuda.error(f"the engine cannot be captured as a CUDA graph ({reason})", code)
        slot.graph = cuda.cudaGraphInstantiate(graph, 0)
        cuda.cudaGraphDestroy(graph)

    # ---- one tile

    def _begin(self, slot: Slot, planes: Sequence[Array | DevicePlane]) -> list[DevicePlane]:
        """Start the upload; return what must live until the GPU has read it."""
        if self._native.context is None:
            raise EngineError("this session is closed")
        if len(planes) != len(self._inputs):
            raise BadInput(f"the engine takes planes {', '.join(self._inputs)}, got {len(planes)}")
        self.cuda.cudaSetDevice(self._native.device_index)  # CUDA's current device is one a thread
        loans: list[DevicePlane] = []
        for name, plane in zip(self._inputs, planes, strict=True):
            target = slot.host[name]
            if plane.shape != target.shape or plane.dtype != target.dtype:
                raise BadInput(f"plane {name!r} is {plane.dtype} {plane.shape}, expected {target.dtype} {target.shape}")
            if isinstance(plane, np.ndarray):
                np.copyto(target, plane)
            else:
                loans.append(self._borrow(plane))
        with self._enqueue_lock:
            self._upload(slot, planes, loans)
        return loans

    def _borrow(self, plane: Any) -> DevicePlane:
        borrowed = DevicePlane.borrow(plane)
        wanted = (self.cuda.device_kind, self._native.device_index)
        if borrowed.device != wanted or not borrowed.has_dense_rows:
            raise BadInput(f"a plane on device {borrowed.device} cannot be read by an engine on {wanted}")
        return borrowed

    def _upload(self, slot: Slot, planes: Sequence[Array | DevicePlane], loans: list[DevicePlane]) -> None:
        cuda, waiting = self.cuda, iter(loans)
        if loans:  # their producer works on the legacy stream; ours do not wait for it by themselves
            cuda.cudaEventRecord(self._native.legacy_event, LEGACY_STREAM)
            cuda.cudaStreamWaitEvent(self._in, self._native.legacy_event, 0)
        for name, plane in zip(self._inputs, planes, strict=True):
            device = slot.device[name]
            if isinstance(plane, np.ndarray):
                pinned = slot.pinned[name]
                cuda.cudaMemcpyAsync(device, pinned, self._bytes[name], cuda.host_to_device, self._in)
            else:
                loan = next(waiting)
                width, rows, kind = loan.row_bytes, loan.shape[0], cuda.device_to_device
                cuda.cudaMemcpy2DAsync(device, width, loan.pointer, loan.strides[0], width, rows, kind, self._in)
        cuda.cudaEventRecord(slot.uploaded, self._in)

    def _compute(self, slot: Slot) -> None:
        cuda = self.cuda
        cuda.cudaStreamWaitEvent(self._main, slot.uploaded, 0)
        if slot.graph is not None:
            cuda.cudaGraphLaunch(slot.graph, self._main)
        else:
            self._enqueue(slot)
        cuda.cudaEventRecord(slot.computed, self._main)

    def _download(self, slot: Slot) -> None:
        cuda = self.cuda
        cuda.cudaStreamWaitEvent(self._out, slot.computed, 0)
        for name in self._outputs:
            source, target, size = slot.device[name], slot.pinned[name], self._bytes[name]
            cuda.cudaMemcpyAsync(target, source, size, cuda.device_to_host, self._out)
        cuda.cudaEventRecord(slot.downloaded, self._out)

    def _copy_out(self, slot: Slot, targets: Sequence[DevicePlane], corners: Sequence[tuple[int, int]]) -> None:
        """Each target gets the part of its plane from its corner on."""
        cuda = self.cuda
        cuda.cudaStreamWaitEvent(self._out, slot.computed, 0)
        for name, target, (top, left) in zip(self._outputs, targets, corners, strict=True):
            rows, columns = target.shape[:2]
            part = self._device_plane(slot, name)[top : top + rows, left : left + columns]
            if part.shape != target.shape or part.dtype != target.dtype:
                raise BadInput(f"plane {name!r} is {part.dtype} {part.shape}, the target {target.dtype} {target.shape}")
            pitches = target.strides[0], part.pointer, part.strides[0]
            cuda.cudaMemcpy2DAsync(target.pointer, *pitches, target.row_bytes, rows, cuda.device_to_device, self._out)
        cuda.cudaEventRecord(slot.downloaded, self._out)

    def _enqueue(self, slot: Slot) -> None:
        context, bound = self._native.context, self._native.bound
        if bound:
            self._copy_on_device(bound, slot.device, self._inputs)
        else:
            self._bind(slot.device)
        if not context.execute_async_v3(int(self._main)):
            raise self._error("the engine failed to run")
        if bound:
            self._copy_on_device(slot.device, bound, self._outputs)

    def _bind(self, addresses: dict[str, int]) -> None:
        context = self._native.context
        for name, pointer in addresses.items():
            if not context.set_tensor_address(name, pointer):
                raise self._error(f"the buffer of {name!r} was refused")

    def _copy_on_device(self, targets: dict[str, int], sources: dict[str, int], names: Sequence[str]) -> None:
        cuda = self.cuda
        for name in names:
            size = self._bytes[name]
            cuda.cudaMemcpyAsync(targets[name], sources[name], size, cuda.device_to_device, self._main)

    def _device_plane(self, slot: Slot, name: str) -> DevicePlane:
        host = slot.host[name]
        device = (self.cuda.device_kind, self._native.device_index)
        return DevicePlane(slot.device[name], host.shape, host.dtype, device=device, owner=self)

    def _error(self, what: str, *, hint: str = "") -> EngineError:
        return _with_native_text(self._library, self._log, what, hint)


def _copy_parts(targets: Sequence[Array], corners: Sequence[tuple[int, int]], outputs: Sequence[Array]) -> None:
    for source, target, (top, left) in zip(outputs, targets, corners, strict=True):
        np.copyto(target, source[top : top + target.shape[0], left : left + target.shape[1]])


def _with_native_text(library: TensorRtLibrary, log: NativeLog, what: str, hint: str) -> EngineError:
    return failure_of_engine(f"{what}: {log.errors or f'{library.name} gave no reason'}", hint=hint)

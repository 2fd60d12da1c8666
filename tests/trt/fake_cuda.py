# ruff: noqa: N801, N802, N815 - the names are CUDA's own
"""A cuda.bindings.runtime whose streams are deferred: work runs only when somebody synchronises.

Between streams the order is random (seeded) but respects events, so a wait that is missing in the
code under test shows as wrong data; a stream in `dawdling` runs only when nothing else can. Memory of
the host and of each device are apart: a copy that takes one for the other, or that reaches beyond an
allocation, is refused, and so is freeing by the wrong call. Addresses inside an allocation are good,
and those in none at all are somebody else's, such as a decoder's frame. Errors stay in
cudaGetLastError until they are asked for, a thread. `used_devices`: where CUDA made a context.
Used in addition to the real bindings, whose names and error paths other tests check.
"""

from __future__ import annotations

import ctypes
import enum
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

Work = Callable[[], Any]


_ERRORS = {
    0: (b"cudaSuccess", b"no error"),
    1: (b"cudaErrorInvalidValue", b"invalid argument"),
    2: (b"cudaErrorMemoryAllocation", b"out of memory"),
    100: (b"cudaErrorNoDevice", b"no CUDA-capable device is detected"),
    400: (b"cudaErrorInvalidResourceHandle", b"invalid resource handle"),
    700: (b"cudaErrorIllegalAddress", b"an illegal memory access was encountered"),
    901: (b"cudaErrorStreamCaptureInvalidated", b"operation failed due to a previous error during capture"),
}


class _Block(NamedTuple):
    """One allocation; `buffer` is the memory."""

    buffer: Any
    size: int
    is_host: bool


class FakeCuda:
    """Stands in for the module. `ignore_waits` is the negative control's sabotage."""

    class cudaMemcpyKind(enum.IntEnum):
        cudaMemcpyHostToDevice = 1
        cudaMemcpyDeviceToHost = 2
        cudaMemcpyDeviceToDevice = 3

    class cudaStreamCaptureMode(enum.IntEnum):
        cudaStreamCaptureModeThreadLocal = 1

    def __init__(self, seed: int = 0, *, ignore_waits: bool = False, memory_bytes: int = 1 << 34) -> None:
        self.memory: dict[int, _Block] = {}
        self.dawdling: set[int] = set()
        self.used_devices: set[int] = set()
        self.failing: dict[str, int] = {}  # name of a call -> the code it answers with
        self.event_flags: set[int] = set()
        self.handles: set[int] = set()
        self.ignore_waits = ignore_waits
        self.memory_left = self.memory_bytes = memory_bytes
        self.capture_fails = False
        self.copied_bytes: Counter[int] = Counter()  # by kind of copy
        self._thread = threading.local()
        self._device_of: dict[int, int] = {}  # stream or event -> GPU
        self._queues: dict[int, list[tuple[Callable[[], bool], Work]]] = {0: []}
        self._events: dict[int, list[int]] = {}
        self._capture: tuple[int, list[Work]] | None = None
        self._ids = itertools.count(1)
        self._random = random.Random(seed)
        self._lock = threading.RLock()

    # ---- bookkeeping

    def push(self, stream: int, work: Work, ready: Callable[[], bool] = lambda: True) -> None:
        with self._lock:
            if self._capture is not None and self._capture[0] == stream:
                self._capture[1].append(work)
            else:
                self._queues[stream].append((ready, work))

    def _run_until(self, done: Callable[[], bool]) -> None:
        with self._lock:
            while not done():
                candidates = [stream for stream, work in self._queues.items() if work and work[0][0]()]
                assert candidates, "deadlock: every stream waits"
                candidates = [stream for stream in candidates if stream not in self.dawdling] or candidates
                _, work = self._queues[self._random.choice(candidates)].pop(0)
                work()

    def _handle(self) -> int:
        handle = next(self._ids)
        self.handles.add(handle)
        return handle

    # ---- the API

    def _answer(self, call: str, code: int = 0) -> tuple[int]:
        """What `call` returns; an error stays until it is asked for."""
        code = self.failing.get(call, code)
        self.used_devices.add(self.current)
        if code:
            self._thread.last_error = code
        return (code,)

    @property
    def last_error(self) -> int:
        """cudaPeekAtLastError of the calling thread."""
        return int(getattr(self._thread, "last_error", 0))

    def cudaMemGetInfo(self) -> tuple[int, int, int]:
        return (*self._answer("cudaMemGetInfo"), self.memory_left, self.memory_bytes)

    def _block_of(self, address: int, size: int) -> _Block | None:
        """The allocation that holds all of it; None: somebody else's memory.

        Raises:
            ValueError: it begins in an allocation and ends outside.
        """
        for start, block in self.memory.items():
            if start <= address < start + block.size:
                if address + size > start + block.size:
                    raise ValueError("beyond the allocation")
                return block
        return None

    def _fits(self, target: int, target_bytes: int, source: int, source_bytes: int, kind: int) -> bool:
        """Whether a copy is of the kind it says. Only a decoder's frame, read on the device, is not ours."""
        try:
            into, out_of = self._block_of(target, target_bytes), self._block_of(source, source_bytes)
        except ValueError:
            return False
        if into is None or into.is_host != (kind == 2):
            return False
        return kind == 3 if out_of is None else out_of.is_host == (kind == 1)

    def cudaGetErrorName(self, code: int) -> tuple[int, bytes]:
        return 0, _ERRORS[int(code)][0]

    def cudaGetErrorString(self, code: int) -> tuple[int, bytes]:
        return 0, _ERRORS[int(code)][1]

    @property
    def current(self) -> int:
        """The calling thread's GPU; every thread begins on 0."""
        return int(getattr(self._thread, "device", 0))

    def is_current(self, handle: int) -> bool:
        """Whether a stream or event belongs to the calling thread's GPU."""
        return self._device_of[handle] == self.current

    def cudaSetDevice(self, index: int) -> tuple[int]:
        self._thread.device = index
        return (0,)

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:
        return self._allocate("cudaMalloc", size)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Any, ...]:
        return self._allocate("cudaHostAlloc", size)

    def _allocate(self, call: str, size: int) -> tuple[Any, ...]:
        (code,) = self._answer(call, 2 if size > self.memory_left else 0)
        if code:
            return code, None
        self.memory_left -= size
        buffer = ctypes.create_string_buffer(size)
        address = ctypes.addressof(buffer)
        self.memory[address] = _Block(buffer, size, call == "cudaHostAlloc")
        return 0, address

    def cudaFree(self, address: int) -> tuple[int]:
        return self._free("cudaFree", address)

    def cudaFreeHost(self, address: int) -> tuple[int]:
        return self._free("cudaFreeHost", address)

    def _free(self, call: str, address: int) -> tuple[int]:
        block = self.memory.get(int(address))
        if block is None or block.is_host != (call == "cudaFreeHost"):
            return self._answer(call, 1)
        if code := self._answer(call)[0]:
            return (code,)
        self.memory_left += block.size
        del self.memory[int(address)]
        return (0,)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[int, int]:
        stream = self._handle()
        self._queues[stream] = []
        self._device_of[stream] = self.current
        return 0, stream

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:
        assert not self._queues.pop(stream), "destroyed with work in it"
        self.handles.remove(stream)
        return (0,)

    def cudaEventCreateWithFlags(self, flags: int) -> tuple[int, int]:
        self.event_flags.add(flags)
        event = self._handle()
        self._events[event] = [0, 0]  # times recorded, newest time reached
        self._device_of[event] = self.current
        return 0, event

    def cudaEventDestroy(self, event: int) -> tuple[int]:
        del self._events[event]
        self.handles.remove(event)
        return (0,)

    def cudaEventRecord(self, event: int, stream: int) -> tuple[int]:
        if self._device_of[event] != self._device_of.get(
            stream, self.current
        ):  # the legacy stream is the current GPU's
            return (400,)
        with self._lock:
            self._events[event][0] += 1
            number = self._events[event][0]
            self.push(stream, lambda: self._events[event].__setitem__(1, number))
        return (0,)

    def cudaStreamWaitEvent(self, stream: int, event: int, flags: int) -> tuple[int]:
        with self._lock:
            number = self._events[event][0]
            if not self.ignore_waits:
                self.push(stream, lambda: None, lambda: self._events[event][1] >= number)
        return (0,)

    def cudaEventSynchronize(self, event: int) -> tuple[int]:
        with self._lock:
            number = self._events[event][0]
            self._run_until(lambda: self._events[event][1] >= number)
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        self._run_until(lambda: not self._queues[stream])
        return self._answer("cudaStreamSynchronize")

    def cudaMemcpyAsync(self, target: int, source: int, size: int, kind: int, stream: int) -> tuple[int]:
        if not self._fits(target, size, source, size, kind):
            return self._answer("cudaMemcpyAsync", 1)
        self.copied_bytes[kind] += size
        self.push(stream, lambda: ctypes.memmove(target, source, size))
        return self._answer("cudaMemcpyAsync")

    def cudaMemcpy2DAsync(
        self,
        target: int,
        target_pitch: int,
        source: int,
        pitch: int,
        width: int,
        rows: int,
        kind: int,
        stream: int,
    ) -> tuple[int]:
        def copy() -> None:
            for row in range(rows):
                ctypes.memmove(target + row * target_pitch, source + row * pitch, width)

        spans = ((rows - 1) * pitch_ + width for pitch_ in (target_pitch, pitch))
        if not self._fits(target, next(spans), source, next(spans), kind):
            return self._answer("cudaMemcpy2DAsync", 1)
        self.copied_bytes[kind] += width * rows
        self.push(stream, copy)
        return (0,)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[int]:
        self._capture = (stream, [])
        return (0,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[int, Any]:
        assert self._capture is not None
        graph, self._capture = self._capture[1], None
        (code,) = self._answer("cudaStreamEndCapture", 901 if self.capture_fails else 0)
        return (code, None) if code else (0, graph)

    def cudaGetLastError(self) -> tuple[int]:
        code, self._thread.last_error = self.last_error, 0
        return (code,)

    def cudaGraphInstantiate(self, graph: Any, flags: int) -> tuple[int, Any]:
        handle = self._handle()
        return 0, SimpleNamespace(work=list(graph), handle=handle)

    def cudaGraphDestroy(self, graph: Any) -> tuple[int]:
        return (0,)

    def cudaGraphExecDestroy(self, graph: Any) -> tuple[int]:
        self.handles.remove(graph.handle)
        return (0,)

    def cudaGraphLaunch(self, graph: Any, stream: int) -> tuple[int]:
        if not self.is_current(stream):
            return (400,)
        self.push(stream, lambda: [work() for work in graph.work])
        return (0,)

"""A strongly typed ONNX graph becomes an engine.

The build runs in a thread of its own while the caller's thread waits: Ctrl-C arrives in the
caller's thread, sets a flag, and the library's progress monitor stops the build at its next step.
(An exception raised inside the monitor would unwind through the library's own C++ frames.)
The thread is no daemon: Python kills a daemon inside the library, which aborts the process. At
exit Python waits for it, and the monitor stops the build as soon as the main thread is gone.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import Any

from sr_core.backend import Progress
from sr_core.backends.cuda import Cuda
from sr_core.backends.tensorrt_library import NativeLog, TensorRtLibrary, native_log
from sr_core.engine_key import BuildOptions, GpuFacts
from sr_core.errors import BadModel, Cancelled, EngineError
from sr_core.wording import option

_POLL_SECONDS = 0.1  # how soon Ctrl-C is noticed
_STOP_SECONDS = 60.0  # the longest a library may take from "stop" to its next step


@dataclass(frozen=True, kw_only=True)
class SerializedEngine:
    """What the builder made, and what it said about it."""

    content: bytes
    activation_bytes: int  # device memory one execution context needs
    weights_bytes: int
    seconds: float
    warnings: tuple[str, ...]


def serialize_engine(
    library: TensorRtLibrary,
    onnx_bytes: bytes,
    *,
    target: str,
    options: BuildOptions,
    gpu: GpuFacts | None = None,
    progress: Progress | None = None,
) -> SerializedEngine:
    """Compile `onnx_bytes` for `target`.

    Args:
        gpu: where `tensorrt` times its tactics; None = CUDA's first.
        progress: called as (phase, share done 0..1) from the building thread. What it raises
            stops the build and is raised here.

    Raises:
        BadModel: the parser refused the graph.
        EngineError: the builder failed; its own text is in the message.
        Cancelled: Ctrl-C, or `progress` raised Cancelled.
    """
    library.check_target(target)
    ticket = _Ticket(progress)
    outcome: list[SerializedEngine] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            if gpu is not None and library.builds_on_gpu:
                Cuda().cudaSetDevice(gpu.index)  # holds for this thread
            outcome.append(_build(library, onnx_bytes, target, options, ticket))
        except BaseException as error:  # handed over whole to the waiting thread
            failure.append(error)

    thread = threading.Thread(target=work, name="trt-build", daemon=False)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_POLL_SECONDS)
    except KeyboardInterrupt:
        ticket.cancelled.set()
        thread.join(_STOP_SECONDS)
        raise Cancelled("the build was stopped; nothing was written") from None
    if ticket.raised is not None:
        raise ticket.raised
    if failure:
        raise failure[0]
    return outcome[0]


class _Ticket:
    """What the monitor and the waiting thread share, and the sum of nested phases."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.cancelled = threading.Event()
        self.raised: BaseException | None = None
        self._phases: dict[str, list[Any]] = {}  # name -> [steps done, steps, parent]
        self._shown = 0.0

    def start(self, phase: str, parent: str | None, steps: int) -> None:
        self._phases[phase] = [0, max(steps, 1), parent]

    def finish(self, phase: str) -> None:
        self._phases.pop(phase, None)

    def step(self, phase: str, index: int) -> bool:
        """Report; False tells the library to stop."""
        if not threading.main_thread().is_alive():
            self.cancelled.set()
        if phase in self._phases:
            self._phases[phase][0] = index + 1
        if self.progress is not None and not self.cancelled.is_set():
            roots = [name for name, (_, _, parent) in self._phases.items() if parent not in self._phases]
            self._shown = max([self._shown, *(min(self._share(root), 1.0) for root in roots[:1])])
            try:
                self.progress(phase, self._shown)
            except BaseException as error:  # not through C++: kept, and raised by serialize_engine
                self.raised = error
                self.cancelled.set()
        return not self.cancelled.is_set()

    def _share(self, phase: str) -> float:
        done, steps, _ = self._phases[phase]
        inner = sum(self._share(name) for name, (_, _, parent) in self._phases.items() if parent == phase)
        return float((done + min(inner, 1.0)) / steps)


def _build(
    library: TensorRtLibrary, onnx_bytes: bytes, target: str, options: BuildOptions, ticket: _Ticket
) -> SerializedEngine:
    trt = library.trt
    started = time.perf_counter()
    with native_log(library) as (logger, log):
        builder = trt.Builder(logger)
        if builder is None:
            raise EngineError(f"{library.name} cannot create a builder: {log.errors}")
        # 10.x needs the flag, 11.x and RTX know nothing else
        strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(strongly_typed)
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(onnx_bytes):
            problems = [str(parser.get_error(index)) for index in range(parser.num_errors)]
            raise BadModel(f"{library.name} cannot read the graph: {'; '.join(problems)[:2000] or log.errors}")
        config = builder.create_builder_config()
        # TF32 is on by default and would leave the FP32 colour matrix 10 bits of mantissa
        config.clear_flag(trt.BuilderFlag.TF32)
        if options.workspace_bytes is not None:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
        if options.max_aux_streams is not None:
            config.max_aux_streams = options.max_aux_streams
        library.configure(config, target, options)
        config.progress_monitor = monitor = _monitor(trt, ticket)  # the library keeps no reference
        engine = builder.build_serialized_network(network, config)
        del monitor
        if engine is None:
            if ticket.cancelled.is_set():
                raise Cancelled("the build was stopped; nothing was written")
            raise _build_error(library, log, options)
        return SerializedEngine(
            content=bytes(memoryview(engine)),
            activation_bytes=_log_bytes(log, "Total Activation Memory"),
            weights_bytes=_log_bytes(log, "Total Weights Memory"),
            seconds=round(time.perf_counter() - started, 3),
            warnings=log.warnings,
        )


def _build_error(library: TensorRtLibrary, log: NativeLog, options: BuildOptions) -> EngineError:
    text = log.errors or "the builder gave no reason"
    hint = ""
    if options.workspace_bytes is not None:  # TensorRT-RTX reports a bound too small as a failed tactic
        hint = f"the memory bound is {options.workspace_bytes >> 20} MiB: raise it, or use a smaller {option('tile')}"
    elif "OutOfMemory" in text:
        hint = f"use a smaller {option('tile')}"
    return EngineError(f"{library.name} could not build the engine: {text}", hint=hint)


def _monitor(trt: Any, ticket: _Ticket) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            ticket.start(phase_name, parent_phase, num_steps)

        def phase_finish(self, phase_name: str) -> None:
            ticket.finish(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return ticket.step(phase_name, step)

    return Monitor()


def _log_bytes(log: NativeLog, what: str) -> int:
    """The figure in the builder's line 'Total ... Memory: N bytes'; 0 where it logged none."""
    pattern = re.compile(re.escape(what) + r": (\d+)")
    found = [int(match.group(1)) for _, text in log.messages if (match := pattern.search(text))]
    return max(found, default=0)

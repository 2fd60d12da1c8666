"""`tensorrt` and `tensorrt_rtx` behind one face: the only place where the two differ.

                      tensorrt 10.12+, 11.x             tensorrt_rtx 1.7+
    built             on the GPU it runs on             on any machine, for a compute capability
    refused plan      deserialize returns None          get_engine_validity says why
    CUDA graph        captured by us                    captured by the library
    JIT               none                              a runtime cache worth keeping

Both accept strongly typed networks only as we use them; every other call is the same. Never
load both in one process.
"""

from __future__ import annotations

import platform
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from sr_core.engine_key import PORTABLE, RTX_TARGETS, THIS_GPU, BuildOptions, GpuFacts
from sr_core.errors import BadInput, EngineError, NotAvailable, StorageError
from sr_core.storage import write_atomically
from sr_core.wording import option

Trt = Any  # the module `tensorrt` or `tensorrt_rtx`; neither ships types

_MESSAGES_KEPT = 5000

INSTALL_HINTS = {
    "tensorrt": "pip install 'srvid[tensorrt]'",
    "tensorrt_rtx": "pip install 'srvid[rtx]'  (driver older than CUDA 13: 'srvid[rtx-cu12]')",
}


class NativeLog:
    """The messages a library logged while it was collecting: `errors` joined, and all of them."""

    def __init__(self) -> None:
        # (severity: 0 and 1 error, 2 warning, 3 information; text), the newest
        self.messages: deque[tuple[int, str]] = deque(maxlen=_MESSAGES_KEPT)

    @property
    def errors(self) -> str:
        """The library's own words on what went wrong, newest last, at most 2000 characters."""
        return "; ".join(text for severity, text in self.messages if severity <= 1)[-2000:]

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(text for severity, text in self.messages if severity == 2)


class TensorRtLibrary:
    """The `tensorrt` package."""

    name = "tensorrt"
    captures_graphs = True  # we capture the CUDA graph ourselves
    builds_on_gpu = True  # tactics are timed on the card

    def __init__(self, trt: Trt) -> None:
        self.trt = trt
        self.version: str = trt.__version__

    def check_target(self, target: str) -> None:
        """Raise BadInput unless plans can be built for `target`."""
        if target != THIS_GPU:
            raise BadInput(
                f"tensorrt builds for the GPU it runs on, not for {target!r}",
                hint=f"leave {option('target')} away, or build with the tensorrt_rtx library",
            )

    def targets_that_run_on(self, gpu: GpuFacts) -> tuple[str, ...]:
        """Targets whose plans run on `gpu`, the best first."""
        return (THIS_GPU,)

    def key_fields(self, gpu: GpuFacts | None, options: BuildOptions) -> dict[str, Any]:
        """The fields of EngineKey that tie a plan of this library to a machine."""
        if gpu is None:
            raise NotAvailable(
                "tensorrt builds an engine on the GPU that will run it, and there is none here",
                hint="build ahead of time with tensorrt_rtx: pip install 'srvid[rtx]'",
            )
        major, minor = gpu.compute_capability
        fields = {
            "gpu_compute_capability": f"{major}.{minor}",
            "system": platform.system(),
            "machine": platform.machine(),
        }
        if options.hardware_compatibility:
            return fields
        return fields | {
            "gpu_name": gpu.name,
            "gpu_multiprocessors": gpu.multiprocessors,
            "gpu_memory_bytes": gpu.memory_bytes,
        }

    def configure(self, config: Any, target: str, options: BuildOptions) -> None:
        """Set what only this library has on an IBuilderConfig."""
        config.builder_optimization_level = options.optimization_level
        if options.hardware_compatibility:
            level = getattr(self.trt.HardwareCompatibilityLevel, options.hardware_compatibility)
            config.hardware_compatibility_level = level

    def refusal(self, runtime: Any, plan: bytes) -> str:
        """Why `plan` cannot run here, before it is loaded; '' where it can or cannot be known."""
        return ""

    def create_context(self, engine: Any, jit_cache: Path | None) -> tuple[Any, Any]:
        """Return (execution context or None, what `save_jit_cache` takes)."""
        return engine.create_execution_context(), None

    def save_jit_cache(self, cache: Any, path: Path) -> None:
        """Keep what the library compiled while running, for the next start."""


class TensorRtRtxLibrary(TensorRtLibrary):
    """The `tensorrt_rtx` package."""

    name = "tensorrt_rtx"
    builds_on_gpu = False
    captures_graphs = False  # WHOLE_GRAPH_CAPTURE below; capturing twice is invalid

    def check_target(self, target: str) -> None:
        if target != PORTABLE and target not in RTX_TARGETS:
            raise BadInput(
                f"tensorrt_rtx cannot build for {target!r}",
                hint=f"one of {', '.join((*RTX_TARGETS, PORTABLE))}",
            )

    def targets_that_run_on(self, gpu: GpuFacts) -> tuple[str, ...]:
        if not gpu.rtx_targets:
            raise NotAvailable(
                f"tensorrt_rtx does not support {gpu.name} ({gpu.target})",
                hint=f"it runs on {', '.join(RTX_TARGETS)}; here use: pip install 'srvid[tensorrt]'",
            )
        return gpu.rtx_targets

    def key_fields(self, gpu: GpuFacts | None, options: BuildOptions) -> dict[str, Any]:
        return {}

    def configure(self, config: Any, target: str, options: BuildOptions) -> None:
        if target == PORTABLE:
            return  # the default: every supported compute capability from Ampere on
        config.num_compute_capabilities = 1
        if not config.set_compute_capability(getattr(self.trt.ComputeCapability, target.upper()), 0):
            raise EngineError(f"tensorrt_rtx {self.version} does not build for {target}")

    def refusal(self, runtime: Any, plan: bytes) -> str:
        validity, diagnostics = runtime.get_engine_validity(plan)
        if validity != self.trt.EngineValidity.INVALID:
            return ""
        members = self.trt.EngineInvalidityDiagnostics.__members__
        causes = [name.lower().replace("_", " ") for name, bit in members.items() if int(diagnostics) & int(bit)]
        return ", ".join(causes) or "no reason given; is there a GPU?"

    def create_context(self, engine: Any, jit_cache: Path | None) -> tuple[Any, Any]:
        trt = self.trt
        runtime_config = engine.create_runtime_config()
        eager = trt.DynamicShapesKernelSpecializationStrategy.EAGER
        runtime_config.dynamic_shapes_kernel_specialization_strategy = eager
        runtime_config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        if jit_cache is None:
            return engine.create_execution_context(runtime_config), None
        runtime_cache = runtime_config.create_runtime_cache()
        if jit_cache.exists():
            # False means: another GPU, driver or version. It then starts empty and is replaced.
            runtime_cache.deserialize(jit_cache.read_bytes())
        runtime_config.set_runtime_cache(runtime_cache)
        # the context reads the configuration while it lives, so the two travel together
        return engine.create_execution_context(runtime_config), (runtime_cache, runtime_config)

    def save_jit_cache(self, cache: Any, path: Path) -> None:
        if cache is None:
            return
        runtime_cache, _ = cache
        content = bytes(memoryview(runtime_cache.serialize()))
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content)


_LIBRARIES: dict[str, type[TensorRtLibrary]] = {
    "tensorrt": TensorRtLibrary,
    "tensorrt_rtx": TensorRtRtxLibrary,
}
_loaded: dict[str, TensorRtLibrary] = {}
_loggers: dict[str, Any] = {}
_sinks: list[NativeLog] = []
_lock = threading.RLock()


def load_library(name: str) -> TensorRtLibrary:
    """Import a TensorRT library.

    Raises:
        NotAvailable: it is not installed, its native libraries do not load, or the other one is
            loaded in this process.
    """
    if name not in _LIBRARIES:
        raise NotAvailable(f"unknown TensorRT library {name!r}", hint=f"one of {', '.join(_LIBRARIES)}")
    with _lock:
        if name in _loaded:
            return _loaded[name]
        if _loaded:
            raise NotAvailable(
                f"{name} cannot be loaded beside {next(iter(_loaded))}", hint="use one of them in one process"
            )
        try:
            trt = import_module(name)
            trt.Builder  # noqa: B018 - without its native libraries the package imports but is empty
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            raise NotAvailable(f"{name} is not usable here: {error}", hint=INSTALL_HINTS[name]) from error
        _loaded[name] = _LIBRARIES[name](trt)
        return _loaded[name]


@contextmanager
def native_log(library: TensorRtLibrary) -> Iterator[tuple[Any, NativeLog]]:
    """Yield (the library's logger, the messages logged inside the block).

    TensorRT takes one logger a process and ignores a second one, so there is one for ever and
    what changes is where its messages go. Blocks running at the same time see each other's.
    """
    log = NativeLog()
    with _lock:
        if library.name not in _loggers:
            _loggers[library.name] = _make_logger(library.trt)
        _sinks.append(log)
    try:
        yield _loggers[library.name], log
    finally:
        with _lock:
            _sinks[:] = [sink for sink in _sinks if sink is not log]


def _make_logger(trt: Trt) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: Any, message: str) -> None:
            level = int(severity)
            if level <= int(trt.ILogger.Severity.INFO):
                with _lock:
                    for sink in _sinks:
                        sink.messages.append((level, message))

    return Logger()


def write_jit_cache(library: TensorRtLibrary, cache: Any, path: Path | None) -> str:
    """Save the JIT cache; return '' or why it could not be saved, which costs time and nothing else."""
    if path is None:
        return ""
    try:
        library.save_jit_cache(cache, path)
    except StorageError as error:
        return error.message
    return ""

"""The CUDA runtime through cuda-bindings: calls that raise, and which GPUs are here.

No torch, no cupy and no libcudart: cuda-bindings (8 MB) brings the runtime and needs the driver only.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from sr_core.backends import dlpack
from sr_core.engine_key import GpuFacts
from sr_core.errors import EngineError, NotAvailable, OutOfMemory
from sr_core.wording import option

LEGACY_STREAM = 0  # the stream of whoever names none, e.g. FFmpeg's decoder
_NON_BLOCKING = 1  # cudaStreamNonBlocking
_BLOCKING_SYNC, _DISABLE_TIMING = 1, 2  # cudaEventBlockingSync, cudaEventDisableTiming
# After these every call fails until the process ends (cudaError_t: "leaves the process in an inconsistent state"):
# ECC, illegal address, timeout, destroyed, assert, stack, instruction, misaligned, address space, pc, launch failure
_LOSES_CONTEXT = frozenset({214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719})
_NO_MEMORY = 2  # cudaErrorMemoryAllocation
_KERNEL_MODULE = Path("/proc/driver/nvidia/version")


class Cuda:
    """`cuda.cudaMalloc(n)` returns the value alone, or raises EngineError with CUDA's own words.

    `runtime` is the module `cuda.bindings.runtime`, or what a test puts in its place.
    """

    device_kind = dlpack.CUDA  # of the memory that cudaMalloc gives

    def __init__(self, runtime: Any = None) -> None:
        self.runtime = runtime if runtime is not None else _bindings()
        kinds = self.runtime.cudaMemcpyKind
        self.host_to_device = kinds.cudaMemcpyHostToDevice
        self.device_to_host = kinds.cudaMemcpyDeviceToHost
        self.device_to_device = kinds.cudaMemcpyDeviceToDevice
        self._calls: dict[str, Callable[..., Any]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not name.startswith("cuda"):
            raise AttributeError(name)
        function = getattr(self.runtime, name)

        def call(*arguments: Any) -> Any:
            code, *values = function(*arguments)
            if int(code) != 0:
                self.runtime.cudaGetLastError()  # or whoever asks next, e.g. TensorRT, takes it for an error of its own
                raise self.error(f"{name}: {self.explain(code)}", code)
            return values[0] if len(values) == 1 else (tuple(values) or None)

        self.__dict__[name] = call  # the next look-up does not come here
        return call

    def explain(self, code: Any) -> str:
        """CUDA's name and sentence for an error code."""
        texts = [self.runtime.cudaGetErrorName(code)[1], self.runtime.cudaGetErrorString(code)[1]]
        return ", ".join(text.decode() if isinstance(text, bytes) else str(text) for text in texts)

    @staticmethod
    def error(message: str, code: Any) -> EngineError:
        """What to raise for `code`; says where nothing can run on the card any more."""
        if int(code) == _NO_MEMORY:
            return OutOfMemory(message, hint=f"use a smaller {option('tile')}, or end what else uses the card")
        if int(code) not in _LOSES_CONTEXT:
            return EngineError(message)
        return EngineError(
            f"{message}: the CUDA context is lost, nothing runs on this card until srvid is started again",
            hint=f"start again; if it comes back, use {option('backend', 'openvino')} and report card and driver",
        )

    def stream(self) -> Any:
        """A new stream that does not wait for the legacy one."""
        return self.cudaStreamCreateWithFlags(_NON_BLOCKING)

    def event(self) -> Any:
        """A new event without timing; whoever waits for it sleeps, where CUDA's default keeps a CPU busy."""
        return self.cudaEventCreateWithFlags(_BLOCKING_SYNC | _DISABLE_TIMING)


def find_gpus(runtime: Any = None) -> tuple[GpuFacts, ...]:
    """The NVIDIA GPUs that CUDA sees, at least one.

    Raises:
        NotAvailable: no cuda-bindings, no driver, a driver too old, or no GPU; the message says which.
    """
    cuda = Cuda(runtime)
    code, count = cuda.runtime.cudaGetDeviceCount()
    driver = _version(cuda.cudaDriverGetVersion())
    if int(code) != 0 or not count:
        needed = _version(cuda.cudaRuntimeGetVersion())
        if driver == "0.0":
            raise NotAvailable(
                "no NVIDIA driver was found", hint=f"install the driver, or use {option('backend', 'openvino')}"
            )
        if int(code) != 0 and tuple(map(int, driver.split("."))) < tuple(map(int, needed.split("."))):
            raise NotAvailable(
                f"the NVIDIA driver supports CUDA {driver}, cuda-bindings needs CUDA {needed}",
                hint="update the driver, or: pip install 'srvid[rtx-cu12]'",
            )
        raise NotAvailable(f"CUDA sees no GPU: {cuda.explain(code)}", hint="is CUDA_VISIBLE_DEVICES set?")
    words = f"CUDA {driver}"
    if release := driver_release():
        words = f"driver {release}, {words}"
    return tuple(_facts(cuda, index, words) for index in range(count))


def driver_release() -> str:
    """NVIDIA's own number of the driver, e.g. '580.95.05'; '' where nobody says it.

    Releases of one CUDA version compile and compute differently; CUDA itself does not tell them apart.
    """
    with suppress(Exception):  # cuda-bindings before 12.9 has no nvml; its exceptions share no base with ours
        nvml = import_module("cuda.bindings.nvml")
        nvml.init_v2()
        return str(nvml.system_get_driver_version())
    with suppress(OSError):  # NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue …
        words = _KERNEL_MODULE.read_text(encoding="utf-8", errors="replace").split()
        return next((word for word in words if word.replace(".", "").isdecimal() and "." in word), "")
    return ""


def gpu_at(index: int | None, gpus: tuple[GpuFacts, ...]) -> GpuFacts:
    """GPU number `index` of `gpus`; None takes the first, which CUDA makes the fastest.

    Raises:
        NotAvailable: there is no such number; the hint lists those there are.
    """
    if index is None:
        return gpus[0]
    for gpu in gpus:
        if gpu.index == index:
            return gpu
    found = ", ".join(f"{gpu.index} {gpu.name}" for gpu in gpus)
    raise NotAvailable(f"there is no GPU {index}", hint=f"there is: {found}")


def _facts(cuda: Cuda, index: int, driver: str) -> GpuFacts:
    properties = cuda.cudaGetDeviceProperties(index)
    name = properties.name
    return GpuFacts(
        index=index,
        name=name.decode() if isinstance(name, bytes) else str(name),
        compute_capability=(int(properties.major), int(properties.minor)),
        multiprocessors=int(properties.multiProcessorCount),
        memory_bytes=int(properties.totalGlobalMem),
        driver=driver,
    )


def _version(number: int) -> str:
    """'13.5' from CUDA's 13050."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _bindings() -> Any:
    try:
        return import_module("cuda.bindings.runtime")
    except ImportError as error:
        raise NotAvailable(
            f"running on an NVIDIA GPU needs cuda-bindings ({error})", hint="pip install 'srvid[rtx]'"
        ) from error

"""The CUDA runtime through cuda-bindings: calls that raise, and which GPUs are here.

No torch, no cupy and no libcudart: cuda-bindings (8 MB) brings the runtime and needs the driver only.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from sr_core.backends import dlpack
from sr_core.engine_key import GpuFacts
from sr_core.errors import EngineError, NotAvailable

LEGACY_STREAM = 0  # the stream of whoever names none, e.g. FFmpeg's decoder
_NON_BLOCKING, _DISABLE_TIMING = 1, 2  # cudaStreamNonBlocking, cudaEventDisableTiming


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
                raise EngineError(f"{name}: {self.explain(code)}")
            return values[0] if len(values) == 1 else (tuple(values) or None)

        self.__dict__[name] = call  # the next look-up does not come here
        return call

    def explain(self, code: Any) -> str:
        """CUDA's name and sentence for an error code."""
        texts = [self.runtime.cudaGetErrorName(code)[1], self.runtime.cudaGetErrorString(code)[1]]
        return ", ".join(text.decode() if isinstance(text, bytes) else str(text) for text in texts)

    def stream(self) -> Any:
        """A new stream that does not wait for the legacy one."""
        return self.cudaStreamCreateWithFlags(_NON_BLOCKING)

    def event(self) -> Any:
        """A new event without timing."""
        return self.cudaEventCreateWithFlags(_DISABLE_TIMING)


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
            raise NotAvailable("no NVIDIA driver was found", hint="install the driver, or use --backend openvino")
        if int(code) != 0 and tuple(map(int, driver.split("."))) < tuple(map(int, needed.split("."))):
            raise NotAvailable(
                f"the NVIDIA driver supports CUDA {driver}, cuda-bindings needs CUDA {needed}",
                hint="update the driver, or: pip install 'srvid[rtx-cu12]'",
            )
        raise NotAvailable(f"CUDA sees no GPU: {cuda.explain(code)}", hint="is CUDA_VISIBLE_DEVICES set?")
    return tuple(_facts(cuda, index, driver) for index in range(count))


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
        driver=f"CUDA {driver}",
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

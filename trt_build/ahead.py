"""Engines before they are needed: the graphs `srvid` will ask for, built without running one.

`AheadBackend` is a backend whose `open` only builds. Given to an Upscaler it builds exactly the
graphs that the same Upscaler will open on the GPU later, whatever its rule for tiles is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from sr_core.backend import ComposedGraph, Deliver, Precision, Progress
from sr_core.backends.tensorrt_library import TensorRtLibrary
from sr_core.backends.tensorrt_session import SLOTS
from sr_core.engine_key import BuildOptions, BuiltEngine, GpuFacts
from sr_core.errors import BadInput, EngineError
from sr_core.frame import Array, PixelFormat, gray, rgb, yuv
from trt_build.ensure import build_engine
from trt_build.store import EngineStore

# What --format accepts: FFmpeg's names for the formats that decoders and cameras give.
FORMATS: dict[str, PixelFormat] = {
    "yuv420p": yuv("420"),
    "yuv422p": yuv("422"),
    "yuv444p": yuv("444"),
    "yuv420p10": yuv("420", 10),
    "yuv422p10": yuv("422", 10),
    "yuv444p10": yuv("444", 10),
    "nv12": yuv("420", semiplanar=True),
    "p010": yuv("420", 10, semiplanar=True),
    "rgb24": rgb(packed=True),
    "rgb48": rgb(16, packed=True),
    "gbrp": rgb(),
    "gray": gray(),
}


def format_from_name(name: str) -> PixelFormat:
    """The PixelFormat that FFmpeg calls `name` ('le' may follow).

    Raises:
        BadInput: not one of FORMATS.
    """
    found = FORMATS.get(name.removesuffix("le"))
    if found is None:
        raise BadInput(f"unknown pixel format {name!r}", hint=f"one of {', '.join(FORMATS)}")
    return found


LEAST_MEMORY_BYTES = 8 << 30  # of the cards that are built for ahead of time; one with less builds its own


class AheadBackend:
    """Builds each graph it is asked to open, for every target; its sessions do not run.

    Args:
        memory_bytes: of the card that is built for, which decides whether a frame is one tile; None = of `gpu`,
            or LEAST_MEMORY_BYTES.

    Attributes:
        built: what was built or found, in order.
    """

    on_cpu = False
    plane_device = None
    contexts = SLOTS

    def __init__(
        self,
        native: TensorRtLibrary,
        *,
        targets: Sequence[str],
        store: EngineStore,
        gpu: GpuFacts | None = None,
        memory_bytes: int | None = None,
        options: BuildOptions | None = None,
    ) -> None:
        for target in targets:
            native.check_target(target)
        self.name, self.version = native.name, native.version
        self.device = f"ahead of time for {', '.join(targets)}"
        self.memory_bytes = memory_bytes or (gpu.memory_bytes if gpu is not None else LEAST_MEMORY_BYTES)
        self.built: list[BuiltEngine] = []
        self._native, self._targets, self._store = native, tuple(targets), store
        self._gpu, self._options = gpu, options

    def open(
        self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None
    ) -> _NotRunning:
        """Build `graph` for every target."""
        for target in self._targets:
            engine = build_engine(
                graph,
                self._native,
                target=target,
                gpu=self._gpu,
                precision=precision,
                progress=progress,
                options=self._options,
                store=self._store,
            )
            self.built.append(engine)
        return _NotRunning(self.built[-1].facts.key.precision)


class _NotRunning:
    """What an AheadBackend opens."""

    contexts = SLOTS

    def __init__(self, precision: str) -> None:
        self.precision = precision

    def run(self, planes: Sequence[Array], deliver: Deliver) -> NoReturn:
        raise EngineError("this engine was built ahead of time and is not loaded")

    def close(self) -> None:
        """Nothing is held."""

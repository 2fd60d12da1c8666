"""What a TensorRT session must free, in an order that a card allows.

It stands apart from the session so that it can be freed when nobody holds that any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sr_core.backends.cuda import Cuda
from sr_core.backends.tensorrt_library import TensorRtLibrary, write_jit_cache
from sr_core.errors import EngineError
from sr_core.frame import Array

log = logging.getLogger(__name__)


@dataclass
class Slot:
    """Buffers of one tile under way, owned by the session."""

    device: dict[str, int] = field(default_factory=dict)
    pinned: dict[str, int] = field(default_factory=dict)
    host: dict[str, Array] = field(default_factory=dict)  # the pinned buffers as planes
    uploaded: Any = None
    computed: Any = None
    downloaded: Any = None
    graph: Any = None


@dataclass
class Native:
    """Everything that must be freed, in an object that does not keep the session alive."""

    cuda: Cuda
    library: TensorRtLibrary
    device_index: int
    log: ExitStack
    context: Any = None
    engine: Any = None
    runtime: Any = None
    jit_cache: Any = None
    jit_path: Path | None = None
    streams: list[Any] = field(default_factory=list)
    bound: dict[str, int] = field(default_factory=dict)  # see Note [fixed addresses]; empty: the slots' own
    slots: list[Slot] = field(default_factory=list)
    legacy_event: Any = None

    def free(self) -> None:
        """Wait for the GPU, then free in the order of dependence. A step that fails keeps none from being tried.

        Raises:
            EngineError: the first that failed.
        """
        cuda, failed = self.cuda, list[EngineError]()

        def attempt(call: Callable[..., object], *arguments: object) -> None:
            try:
                call(*arguments)
            except EngineError as error:
                failed.append(error)

        if self.streams or self.slots or self.bound:
            attempt(cuda.cudaSetDevice, self.device_index)
        for stream in self.streams:
            attempt(cuda.cudaStreamSynchronize, stream)
        if self.context is not None:
            write_jit_cache(self.library, self.jit_cache, self.jit_path)
        for slot in self.slots:
            if slot.graph is not None:
                attempt(cuda.cudaGraphExecDestroy, slot.graph)
        self.context = self.jit_cache = None
        self.engine = self.runtime = None
        for slot in self.slots:
            slot.host.clear()
            for pointer in slot.device.values():
                attempt(cuda.cudaFree, pointer)
            for pointer in slot.pinned.values():
                attempt(cuda.cudaFreeHost, pointer)
            for event in (slot.uploaded, slot.computed, slot.downloaded):
                if event is not None:
                    attempt(cuda.cudaEventDestroy, event)
        for pointer in self.bound.values():
            attempt(cuda.cudaFree, pointer)
        if self.legacy_event is not None:
            attempt(cuda.cudaEventDestroy, self.legacy_event)
        for stream in self.streams:
            attempt(cuda.cudaStreamDestroy, stream)
        self.log.close()
        if failed:
            raise failed[0]


def free_unheld(native: Native) -> None:
    """Free what nobody closed; there is nobody to tell of an error but the log."""
    try:
        native.free()
    except EngineError as error:
        log.warning("freeing the engine: %s", error)

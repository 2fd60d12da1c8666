"""TensorRT and TensorRT-RTX as backends: which GPU, which engine, then a session.

Engines are built by `trt_build`, which stands above this floor. It is handed in:

    srvid ─ trt_build.opener.open_tensorrt(name) ─► TensorRt(ensure_engine=trt_build.ensure.ensure_engine)

A backend opened without it (`sr_core.backend.open_backend`) knows its GPU and refuses `open`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from sr_core.backend import ComposedGraph, Precision, Progress
from sr_core.backends.cuda import Cuda, find_gpus, gpu_at
from sr_core.backends.tensorrt_library import TensorRtLibrary, load_library
from sr_core.backends.tensorrt_session import SLOTS, TensorRtSession
from sr_core.difference import Difference, difference
from sr_core.engine_key import BuiltEngine, EnsureEngine, GpuFacts, Reference
from sr_core.errors import EngineError, NotAvailable
from sr_core.frame import Array
from sr_core.storage import cache_dir, write_atomically
from sr_core.wording import option

log = logging.getLogger(__name__)
REQUIRED_PSNR_DB = 47.0  # the build's gate of 50 dB on a CPU, less 3 dB for another order of summation


class TensorRt:
    """The `tensorrt` package on one NVIDIA GPU.

    Args:
        threads: accepted as every backend's; a GPU session needs no CPU threads of its own.
        ensure_engine: finds or builds engines (`trt_build.ensure.ensure_engine`).
        device_index: which GPU, as CUDA counts them; None = the first.

    Raises:
        NotAvailable: package, driver or GPU missing, or a GPU the library does not support.
    """

    name = "tensorrt"
    on_cpu = False
    contexts = SLOTS

    def __init__(
        self, *, threads: int | None = None, ensure_engine: EnsureEngine | None = None, device_index: int | None = None
    ) -> None:
        del threads
        self._ensure_engine = ensure_engine
        self.gpu: GpuFacts = gpu_at(device_index, find_gpus())
        if self.name not in self.gpu.libraries:
            raise NotAvailable(
                f"{self.name} does not support {self.gpu.name} ({self.gpu.target})",
                hint=f"use {option('backend', self.gpu.libraries[0])}",
            )
        self._library: TensorRtLibrary = load_library(self.name)
        self.version = self._library.version
        self.memory_bytes = self.gpu.memory_bytes  # lets `sr_core.tiles.sessions` take whole frames
        self.plane_device = (Cuda.device_kind, self.gpu.index)
        self.device = f"GPU {self.gpu.index}, {self.gpu.name}, {self.gpu.memory_bytes >> 30} GiB, {self.gpu.driver}"

    def open(
        self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None
    ) -> TensorRtSession:
        """The engine of `graph`, found or built (seconds to minutes the first time), and running.

        'auto' and 'fast' run the network in FP16 between FP32 edges; 'exact' runs FP32 without TF32.
        """
        if self._ensure_engine is None:
            raise EngineError(
                f"backend {self.name!r} was opened without an engine builder",
                hint="open it with trt_build.opener.open_tensorrt",
            )
        built = self._ensure_engine(graph, library=self.name, gpu=self.gpu, precision=precision, progress=progress)
        for note in built.notes:
            log.warning("%s", note)
        return self.run_engine(built)

    def run_engine(self, built: BuiltEngine) -> TensorRtSession:
        """A session on an engine that is there already, held against FP32 the first time on this GPU."""
        key = built.facts.key
        gpu = re.sub(r"[^A-Za-z0-9]+", "-", f"{self.gpu.name} {self.gpu.driver}")
        stem = f"{key.file_stem(built.facts.label)}.{gpu}"
        folder = cache_dir("engines")
        session = TensorRtSession(
            self._library,
            built.content,
            precision=key.precision,
            device_index=self.gpu.index,
            jit_cache=folder / f"{stem}.jit",
            cuda=Cuda(),
        )
        verdict = folder / f"{stem}.verified"
        if built.reference is not None and not _holds(verdict, built):
            try:
                psnr_db = hold_against(session, built.reference())
            except BaseException:
                session.close()
                raise
            write_atomically(verdict, f"{built.facts.engine_sha256} {psnr_db:.2f} dB\n".encode())
        return session


def hold_against(session: TensorRtSession, reference: Reference) -> float:
    """Run `reference` on the card; return the PSNR in dB (999 where nothing differs).

    Raises:
        EngineError: the card's picture is not the one FP32 makes: better none than a wrong one.
    """
    found: list[Difference] = []

    def compare(outputs: Sequence[Array]) -> None:
        for got, wanted in zip(outputs, reference.expected, strict=True):
            found.append(difference(got, wanted, peak=reference.peak_code))

    session.run(reference.given, compare)
    worst = min(found, key=lambda entry: entry.psnr_db)
    if worst.psnr_db < REQUIRED_PSNR_DB:
        raise EngineError(
            f"the engine's picture on this card differs from FP32: {worst}",
            hint=f"use {option('precision', 'exact')} or {option('backend', 'openvino')}, and please report this card "
            "and driver",
        )
    return min(worst.psnr_db, 999.0)


def _holds(verdict: Path, built: BuiltEngine) -> bool:
    """Whether this engine was held against FP32 before on this GPU and driver."""
    return verdict.exists() and verdict.read_text(encoding="utf-8").startswith(built.facts.engine_sha256)


class TensorRtRtx(TensorRt):
    """The `tensorrt_rtx` package on one RTX card."""

    name = "tensorrt_rtx"

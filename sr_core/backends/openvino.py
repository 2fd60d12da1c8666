"""OpenVINO: on the CPU the embedded default; on Intel's GPUs and NPUs where there are such.

Precision is always set and named, because the plug-ins silently run bf16 or f16 where they can: `exact` is f32
throughout. `auto` and `fast` take the fastest of the ways (`openvino_ways`) that is faithful and runs here;
which one that is was tried once, and is kept (`choice`). What a GPU or NPU computes is held against the CPU's f32.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from functools import partial

import numpy as np

from sr_core.backend import ComposedGraph, Precision, Progress, usable_cpus
from sr_core.backends.choice import Trial, cpu_clock, decide, interleaved_seconds
from sr_core.backends.fidelity import fidelity_db, gate_planes, output_shapes
from sr_core.backends.openvino_devices import CPU, config_for, contexts_of, device_called, full_name
from sr_core.backends.openvino_session import OpenVinoSession
from sr_core.backends.openvino_telemetry import telemetry_off
from sr_core.backends.openvino_ways import WAYS, model_of, needed_db, ways_for
from sr_core.errors import EngineError, NotAvailable, failure_of_engine
from sr_core.wording import count_of, option

with telemetry_off():
    import openvino as ov

TRIAL_SIDE = 96  # of the tile that ways are tried on: fidelity on 144 is within 0.8 dB, time a pixel within 15 %
MASK_VARIABLE = "ONEDNN_MAX_CPU_ISA"  # lets this CPU stand for one with fewer instructions
log = logging.getLogger(__name__)


class OpenVino:
    """One plug-in: the CPU's with one stream of one thread per context, or that of an Intel GPU or NPU.

    Args:
        device_index: 'GPU.0', 'GPU' or 'NPU' as OpenVINO calls them; None is the CPU.

    Raises:
        NotAvailable: no such device, or a number, which is NVIDIA's way.
    """

    name = "openvino"
    plane_device = None

    def __init__(self, *, threads: int | None = None, device_index: int | str | None = None) -> None:
        if isinstance(device_index, int):
            raise NotAvailable(
                f"openvino computes on the CPU here, not on GPU {device_index}",
                hint=f"leave {option('device')} out, name Intel's as {option('device', 'GPU.0')}, or choose another "
                f"{option('backend')}",
            )
        self._core = ov.Core()
        self._plugin = CPU if device_index is None else device_called(device_index, self._core)
        self.on_cpu = self._plugin == CPU
        self.placement = "" if self.on_cpu else self._plugin
        self.contexts = contexts_of(self._plugin, threads or usable_cpus())
        self._named = full_name(self._core, self._plugin)
        self.device = f"{self._named}, {count_of(self.contexts, 'thread')}" if self.on_cpu else self._named
        self.version = str(ov.get_version())
        self.capabilities = frozenset(self._core.get_property(self._plugin, "OPTIMIZATION_CAPABILITIES"))

    def open(
        self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None
    ) -> OpenVinoSession:
        """Compile `graph`; a second or less for compact networks."""
        return self._open_as(graph, self._way(graph, precision, progress), self.contexts, self._plugin)

    def _way(self, graph: ComposedGraph, precision: Precision, progress: Progress | None) -> str:
        """The way that `precision` means for this kind of graph, here."""
        if precision in WAYS:
            return precision
        ways = ways_for(graph, self.capabilities, precision, device=self._plugin)
        if len(ways) == 1 and (self.on_cpu or ways == ("f32",)):
            return ways[0]
        question = {
            "graph": f"{graph.model.graph.name} {graph.network_digest()[:12]}",
            "precision": precision,
            "device": self._named,
            "runtime": f"openvino {self.version}",
        }
        if self.on_cpu and (mask := os.environ.get(MASK_VARIABLE)):
            question["instructions"] = f"at most {mask}"
        verdict = decide(question, partial(self._trials, graph, ways, progress))
        log.debug("%s: %s", ", ".join(verdict.question.values()), verdict)
        return verdict.way

    def _trials(self, graph: ComposedGraph, ways: tuple[str, ...], progress: Progress | None) -> Iterator[Trial]:
        """Every way on one tile and one context: how close it comes to the CPU's f32, and how long it takes."""
        tried = graph.square(TRIAL_SIDE) if graph.square else graph
        planes = gate_planes(tried)
        targets = [np.empty(shape, planes[0].dtype) for shape in output_shapes(planes, tried)]
        reference = self._open_as(tried, "f32", 1, CPU)
        sessions, refused = dict[str, OpenVinoSession](), dict[str, str]()
        for way in ways:
            try:
                is_reference = self.on_cpu and way == "f32"
                sessions[way] = reference if is_reference else self._open_as(tried, way, 1, self._plugin)
            except EngineError as error:
                refused[way] = error.message
        runs = {
            way: partial(session.run_into, planes, targets, [(0, 0)] * len(targets))
            for way, session in sessions.items()
        }
        tell = partial(progress, "choosing a precision") if progress else None
        seconds = interleaved_seconds(runs, tell=tell, clock=cpu_clock() if self.on_cpu else time.perf_counter)
        for way in ways:
            if way in refused:
                yield Trial(way=way, refusal=refused[way])
            elif sessions[way] is reference:
                yield Trial(way=way, seconds=seconds[way])
            else:
                reached, needed = fidelity_db(sessions[way], reference, tried), needed_db(tried, way)
                yield Trial(
                    way=way,
                    seconds=seconds[way],
                    note=f"{reached:.1f} dB against f32",
                    refusal="" if reached >= needed else f"{needed:g} dB needed",
                )

    def _open_as(self, graph: ComposedGraph, way: str, contexts: int, plugin: str) -> OpenVinoSession:
        model, packed = model_of(self._core, graph, way, packs=plugin == CPU)
        try:
            compiled = self._core.compile_model(model, plugin, config_for(plugin, way, contexts))
        except RuntimeError as error:
            raise failure_of_engine(f"OpenVINO cannot compile the graph in {way} for {plugin}: {error}") from error
        return OpenVinoSession(compiled, graph, contexts, way, packed)

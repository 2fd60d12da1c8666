"""A graph that OpenVINO compiled, and its infer requests."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from sr_core.backend import ComposedGraph, Deliver, plane_of
from sr_core.backends.openvino_telemetry import telemetry_off
from sr_core.errors import failure_of_engine
from sr_core.frame import Array
from sr_core.packing import PackedGraph, copy_piece

with telemetry_off():
    import openvino as ov


class OpenVinoSession:
    """A compiled graph and a pool of infer requests; inputs and outputs live in the requests."""

    def __init__(
        self,
        compiled: ov.CompiledModel,
        graph: ComposedGraph,
        contexts: int,
        precision: str,
        packed: PackedGraph | None = None,
    ) -> None:
        self.contexts = contexts
        self.precision = precision
        self.compiled = compiled
        self._inputs, self._outputs, self._pack = graph.input_names, graph.output_names, packed
        self._requests: queue.SimpleQueue[ov.InferRequest] = queue.SimpleQueue()
        for _ in range(contexts):
            self._requests.put(compiled.create_infer_request())
        self.dtype = compiled.input(0).get_element_type().to_dtype()

    def run(self, planes: Sequence[Array], deliver: Deliver) -> None:
        """See `sr_core.backend.Session.run`."""
        if self._pack is not None:
            outputs = [np.empty(shape, self.dtype) for shape in self._pack.shapes]
            self.run_into(planes, outputs, [(0, 0)] * len(outputs))
            deliver(outputs)
            return
        with self._finish(planes) as request:
            deliver([plane_of(request.get_tensor(name).data, name) for name in self._outputs])

    def run_into(self, planes: Sequence[Array], targets: Sequence[Array], corners: Sequence[tuple[int, int]]) -> None:
        """See `sr_core.backend.DirectSession`."""
        with self._finish(planes) as request:
            if self._pack is None:
                for name, target, (row, column) in zip(self._outputs, targets, corners, strict=True):
                    plane = plane_of(request.get_tensor(name).data, name)
                    np.copyto(target, plane[row : row + target.shape[0], column : column + target.shape[1]])
                return
            for piece in self._pack.pieces:
                row, column = corners[piece.plane]
                tensor = request.get_tensor(piece.tensor).data[0]
                copy_piece(piece, tensor, targets[piece.plane], row=row, column=column)

    @contextmanager
    def _finish(self, planes: Sequence[Array]) -> Iterator[ov.InferRequest]:
        """A request that has run on `planes`; others may use it afterwards."""
        request = self._requests.get()
        try:
            for name, plane in zip(self._inputs, planes, strict=True):
                np.copyto(plane_of(request.get_tensor(name).data, name), plane)
            try:
                request.infer(share_outputs=True)  # or it would return copies
            except RuntimeError as error:
                raise failure_of_engine(f"OpenVINO failed while running: {error}") from error
            yield request
        finally:
            self._requests.put(request)

    def close(self) -> None:
        """Free every request."""
        for _ in range(self.contexts):
            self._requests.get()

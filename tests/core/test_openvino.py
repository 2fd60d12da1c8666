"""What the OpenVINO backend promises beside running graphs."""

from __future__ import annotations

import tracemalloc
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import openvino as ov
import pytest

from sr_core import graph
from sr_core.backend import ComposedGraph, Deliver
from sr_core.backends.openvino import OpenVino, OpenVinoSession, _fidelity_db
from sr_core.color import ColorSpec
from sr_core.errors import EngineError
from sr_core.frame import Array, yuv
from sr_core.model_spec import spec_of
from sr_core.testing import random_model


@pytest.fixture(scope="module")
def composed() -> ComposedGraph:
    model = random_model(2, layers=3)
    spec = spec_of(model)
    assert spec is not None
    return graph.compose(model, spec, yuv("420"), ColorSpec(), width=64, height=48)


def test_the_precision_that_runs_is_named(composed: ComposedGraph) -> None:
    backend = OpenVino(threads=1)
    assert backend.open(composed, precision="exact").precision == "f32"
    expected = "bf16+f32" if backend.has_bf16 else "f32"
    assert backend.open(composed, precision="auto").precision == expected


def test_threads_are_not_pinned_so_that_two_processes_use_two_cores(composed: ComposedGraph) -> None:
    """Pinned, each takes the first cores: two of one thread were as fast as one."""
    session = OpenVino(threads=1).open(composed, precision="exact")
    assert session.compiled.get_property("ENABLE_CPU_PINNING") is False


def test_a_frame_is_written_into_its_planes_without_another_copy() -> None:
    """By default `InferRequest.infer` returns copies of the outputs, which cost more than a light graph."""
    model = random_model(2, layers=1)
    spec = spec_of(model)
    assert spec is not None
    large = graph.compose(model, spec, yuv("420"), ColorSpec(), width=640, height=480)
    session = OpenVino(threads=1).open(large, precision="exact")
    planes, targets = yuv("420").empty(640, 480), yuv("420").empty(1280, 960)
    corners = [(0, 0)] * len(targets)
    session.run_into(planes, targets, corners)
    tracemalloc.start()
    try:
        session.run_into(planes, targets, corners)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < targets[1].nbytes // 2


def test_exact_runs_every_convolution_in_f32(composed: ComposedGraph) -> None:
    """The plug-in would choose bf16 by itself where it can (facts/openvino.md §0)."""
    session = OpenVino(threads=1).open(composed, precision="exact")
    operations = session.compiled.get_runtime_model().get_ordered_ops()
    kinds = {
        op.get_friendly_name(): op.get_rt_info()["runtimePrecision"].astype(str)
        for op in operations
        if op.get_rt_info()["layerType"].astype(str) == "Convolution"
    }
    assert kinds
    assert set(kinds.values()) == {"f32"}


def test_every_sensitive_operation_is_marked_for_fp32(composed: ComposedGraph, tmp_path: Path) -> None:
    backend = OpenVino(threads=1)
    ov.serialize(backend._marked(composed), str(tmp_path / "g.xml"), str(tmp_path / "g.bin"))
    layers = list(ET.parse(tmp_path / "g.xml").getroot().iterfind("layers/layer"))
    marked = {
        str(layer.get("name"))
        for layer in layers
        if layer.find("rt_info/attribute[@name='DisablePrecisionConversion']") is not None
    }
    convolutions = {str(layer.get("name")) for layer in layers if layer.get("type") == "Convolution"}
    edges = {name for name in convolutions if name.startswith(("in/", "out/", "net/base/"))}
    first, *body = sorted(
        (name for name in convolutions if name.startswith("net/body")),
        key=lambda name: int(name.split("/")[2].removeprefix("Conv")),
    )
    assert edges <= marked
    assert first in marked
    assert not marked & set(body)
    assert not [layer for layer in layers if layer.get("type") == "Pad" and layer.get("version") == "opset12"]


@pytest.mark.parametrize("semiplanar", [False, True])
def test_one_code_of_ten_bits_is_sixty_decibels_however_codes_are_stored(semiplanar: bool) -> None:
    """P010 keeps them in the high bits; taken for the low ones, every bf16 graph would have been dropped."""
    model = random_model(2, layers=1)
    spec, fmt = spec_of(model), yuv("420", 10, semiplanar=semiplanar)
    assert spec is not None
    wide = graph.compose(model, spec, fmt, ColorSpec(), width=64, height=48)
    session = OpenVino(threads=1).open(wide, precision="exact")
    one_code = 1 << 6 if semiplanar else 1

    class OneCodeOff:
        dtype = session.dtype

        def run(self, planes: Sequence[Array], deliver: Deliver) -> None:
            session.run(planes, lambda outputs: deliver([plane ^ one_code for plane in outputs]))

    found = _fidelity_db(cast(OpenVinoSession, OneCodeOff()), session, wide)
    assert found == pytest.approx(20 * np.log10(1023))


def test_a_graph_openvino_cannot_read_is_an_engine_error_with_its_text(composed: ComposedGraph) -> None:
    broken = type(composed.model)()
    broken.CopyFrom(composed.model)
    broken.graph.node[0].op_type = "NoSuchOperator"
    graph_of_it = ComposedGraph(model=broken, keep_fp32=frozenset(), scale=2, width=64, height=48, depth=8)
    with pytest.raises(EngineError, match="NoSuchOperator"):
        OpenVino(threads=1).open(graph_of_it)


def test_contexts_run_at_the_same_time_without_mixing_results(composed: ComposedGraph) -> None:
    from concurrent.futures import ThreadPoolExecutor

    session = OpenVino(threads=2).open(composed)
    frames = [
        tuple(np.full(shape, value, np.uint8) for shape in ((48, 64), (24, 32), (24, 32))) for value in range(40, 200)
    ]

    def run(planes: tuple[np.ndarray, ...]) -> np.ndarray:
        kept: list[np.ndarray] = []
        session.run(planes, lambda outputs: kept.append(outputs[0].copy()))
        return kept[0]

    serial = [run(planes) for planes in frames]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, frames))
    assert all(np.array_equal(a, b) for a, b in zip(serial, together, strict=True))

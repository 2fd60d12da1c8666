"""What runs in bf16: the types of the graph, on any CPU, and its numbers, emulated."""

from __future__ import annotations

from functools import cache

import numpy as np
import openvino as ov
import pytest
from onnx import ModelProto, numpy_helper

from sr_core.backend import ComposedGraph
from sr_core.backends.body_types import nearest_bf16, type_body
from sr_core.backends.fidelity import fidelity_db, gate_planes, least_db, run_once
from sr_core.backends.openvino import OpenVino
from sr_core.color import ColorSpec
from sr_core.difference import difference
from sr_core.emulated import EmulatedSession
from sr_core.errors import EngineError
from sr_core.frame import PixelFormat, gray, rgb, yuv
from sr_core.graph.body import body_nodes
from sr_core.graph.compose import compose
from sr_core.graph.network import merge_base
from sr_core.graph.onnx_builder import OnnxBuilder
from sr_core.model_spec import INPUT_NAME, OUTPUT_NAME, ModelSpec, load_model, spec_of, with_spec
from sr_core.testing import nearest_model, random_model
from sr_zoo.models import find_model

FORMATS = [yuv("420"), yuv("420", 10), yuv("420", 10, semiplanar=True), yuv("444"), gray(), rgb(), rgb(16, packed=True)]
SIDE = 48


def composed(model: ModelProto, fmt: PixelFormat, side: int = SIDE) -> ComposedGraph:
    spec = spec_of(model)
    assert spec is not None
    return compose(model, spec, fmt, ColorSpec(), width=side, height=side)


def forms(graph: ComposedGraph) -> list[ModelProto]:
    """Everything a backend may compile."""
    packed = graph.packed()
    return [graph.model, merge_base(graph.model), *([packed.model] if packed else [])]


@cache
def shipped(name: str) -> ModelProto:
    return load_model(find_model(name))


def typed(model: ModelProto) -> ov.Model:
    return type_body(ov.Core().read_model(model.SerializeToString()), model, body_nodes(model))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("color_space", ["rgb", "y"])
def test_only_features_are_typed_bf16_whatever_the_format(fmt: PixelFormat, color_space: str) -> None:
    """By construction: no name, mark or fusion decides it."""
    for model in forms(composed(random_model(2, layers=3, color_space=color_space), fmt)):  # type: ignore[arg-type]
        graph = typed(model)
        kinds = {op.get_friendly_name(): op.get_output_element_type(0) for op in graph.get_ordered_ops()}
        narrow = {name.removesuffix("/WithoutBiases") for name, kind in kinds.items() if kind == ov.Type.bf16}
        named = {node.name: node for node in model.graph.node}
        convolutions = [name for name, node in named.items() if node.op_type == "Conv"]
        first, *features = [name for name in convolutions if name.startswith("net/body")]
        assert set(features) <= narrow
        assert not narrow & {first, *(name for name in named if name.startswith(("in/", "out/", "net/base/")))}
        assert all(value.get_element_type() != ov.Type.bf16 for value in (*graph.inputs, *graph.outputs))


def test_the_exit_is_typed_bf16_only_where_it_corrects_a_base() -> None:
    for has_base in (True, False):
        packed = composed(random_model(2, layers=3, base=has_base), yuv("420")).packed()
        assert packed is not None
        exits = [node for node in packed.model.graph.node if node.name.startswith("exit/Conv")]
        wide = [node.name for node in exits if node.name not in body_nodes(packed.model)]
        sources = {node.input[0] for node in exits if node.name in wide}
        assert len(wide) == len(exits) // 2 if has_base else len(exits)
        assert not has_base or not any("PRelu" in source for source in sources)


def test_the_offset_of_codes_is_not_in_what_runs_in_bf16() -> None:
    """There the whole picture, not its correction, would be written in 8 significant bits."""
    packed = composed(random_model(2, layers=3), yuv("420")).packed()
    assert packed is not None
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in packed.model.graph.initializer}
    largest = {True: 0.0, False: 0.0}
    for node in packed.model.graph.node:
        if node.name.startswith("exit/Conv"):
            is_narrow = node.name in body_nodes(packed.model)
            largest[is_narrow] = max(largest[is_narrow], float(np.abs(held[node.input[2]]).max()))
    assert largest[True] < 1
    assert largest[False] >= 128


def test_a_sum_with_a_constant_is_no_base() -> None:
    """A last convolution whose result is shifted or scaled makes the picture all the same."""
    build, inner = OnnxBuilder(), random_model(2, layers=2, base=False)
    value = build.inline(inner, INPUT_NAME, "inner/")
    build.op("body", "Add", value, build.constant(0.5), output=OUTPUT_NAME)
    build.inputs.extend(inner.graph.input)
    build.outputs.extend(inner.graph.output)
    model = with_spec(build.model("shifted", 18), ModelSpec(name="shifted", scale=2, halo_px=8))
    graph = composed(model, rgb()).model
    last = [node.name for node in graph.graph.node if node.op_type == "Conv"][-1]
    assert last not in body_nodes(graph)


def test_a_network_without_features_has_no_body() -> None:
    assert not body_nodes(composed(nearest_model(2), yuv("420")).model)
    with pytest.raises(EngineError, match="no body"):
        OpenVino(threads=1).open(composed(nearest_model(2), yuv("420")), precision="bf16+f32")


def test_constants_are_rounded_to_nearest_even() -> None:
    """Constant folding of a Convert is not: it cost 2 to 6 dB."""
    step = 2.0**-7
    ties = np.array([1 + 0.5 * step, 1 + 1.5 * step, -(1 + 0.5 * step), 1 + 0.51 * step, 0.0], np.float32)
    assert nearest_bf16(ties).tolist() == [1.0, 1 + 2 * step, -1.0, 1 + step, 0.0]
    graph = typed(composed(random_model(2, layers=3), yuv("420")).model)
    constants = [
        op.input_value(0).get_node()
        for op in graph.get_ordered_ops()
        if op.get_type_name() == "Convert" and op.get_output_element_type(0) == ov.Type.bf16
    ]
    values = [node.data for node in constants if node.get_type_name() == "Constant"]
    assert len(values) >= 2 * 3
    assert all(np.array_equal(nearest_bf16(value), value) for value in values)


@pytest.mark.parametrize("fmt", [yuv("420"), yuv("420", 10), rgb(16, packed=True)], ids=str)
@pytest.mark.parametrize("name", ["clear-x4", "clear-restore-x4", "swift-x3", "espcn-x3", "srcnn-x3"])
def test_the_gate_admits_networks_with_a_base_and_refuses_those_without(name: str, fmt: PixelFormat) -> None:
    """Its thresholds were chosen on others: clear-x2, swift-x2, espcn-x2, fsrcnn-x2, subpixel-rgb-x2."""
    graph = composed(shipped(name), fmt, side=96)
    exact, mixed = (EmulatedSession(graph, is_bf16=is_bf16) for is_bf16 in (False, True))
    reached = fidelity_db(mixed, exact, graph)
    has_base = not name.startswith(("espcn", "srcnn"))
    assert (reached >= least_db(graph)) == has_base, f"{reached:.1f} dB"


def test_what_is_emulated_without_bf16_is_what_openvino_runs_in_f32() -> None:
    graph = composed(shipped("swift-x2"), yuv("420"))
    planes = gate_planes(graph)
    ours = run_once(OpenVino(threads=1).open(graph, precision="exact"), planes, graph)
    emulated = run_once(EmulatedSession(graph, is_bf16=False), planes, graph)
    for actual, expected in zip(ours, emulated, strict=True):
        assert difference(actual, expected, peak=255).psnr_db > 85


@pytest.mark.parametrize("bits", [8, 10, 16])
def test_deeper_formats_must_come_closer(bits: int) -> None:
    needed = least_db(composed(nearest_model(2), yuv("420", bits)))
    assert needed == {8: 57.5, 10: 63.0, 16: 65.0}[bits]
    half = PixelFormat(family="rgb", depth=16, is_float=True)
    assert least_db(composed(nearest_model(2), half)) == 65.0

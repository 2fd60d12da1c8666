"""Every shipped model through the real builder, and through the gate every build has to pass."""

from __future__ import annotations

import numpy as np
import pytest

from sr_core.backend import ComposedGraph
from sr_core.backends.tensorrt_library import load_library
from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.difference import difference
from sr_core.engine_key import PORTABLE, SHIPPED_TARGETS, BuildOptions
from sr_core.graph import compose
from sr_core.model_spec import load_model, spec_of
from sr_zoo.models import DEFAULT_MODEL, find_model, shipped_names
from tests.trt.networks import NV12, P010, RGB24, YUV420P8
from tests.trt.test_fp16 import as_bytes, feeds_of, session
from trt_build.build import build_plan
from trt_build.byte_planes import with_byte_planes
from trt_build.check import PEAK_LIMIT, REQUIRED_PSNR_DB, lower_and_check
from trt_build.fp16 import lower_to_fp16

FORMATS = {"yuv420p8": YUV420P8, "nv12": NV12, "p010": P010, "rgb24": RGB24}
TARGETS = (*SHIPPED_TARGETS, PORTABLE)
# A 128x128 tile of the shipped models takes 19 to 26 MiB in TensorRT-RTX 1.7.1.
ACTIVATION_BOUND_BYTES = 128 << 20


def composed_model(name: str, format_name: str) -> ComposedGraph:
    model = load_model(find_model(name))
    spec, fmt = spec_of(model), FORMATS[format_name]
    assert spec is not None
    color = FULL_RANGE_RGB if fmt.family == "rgb" else ColorSpec()
    return compose(model, spec, fmt, color, width=128, height=128)


def test_there_are_shipped_models() -> None:
    assert shipped_names()


def cases() -> list[tuple[str, str, tuple[str, ...]]]:
    """(model, format, targets): every pair for the default model, one target a format for the others."""
    found = []
    for row, name in enumerate(shipped_names()):
        for column, format_name in enumerate(FORMATS):
            one = (TARGETS[(row + column) % len(TARGETS)],)
            found.append((name, format_name, TARGETS if name.startswith(f"{DEFAULT_MODEL}-") else one))
    return found


@pytest.mark.parametrize(("name", "format_name", "targets"), cases())
def test_a_shipped_model_builds_for_its_targets(name: str, format_name: str, targets: tuple[str, ...]) -> None:
    graph = composed_model(name, format_name)
    model, added = with_byte_planes(graph.model)
    content = lower_to_fp16(model, graph.keep_fp32 | added).SerializeToString()
    native = load_library("tensorrt_rtx")
    for target in targets:
        plan = build_plan(native, content, target=target, options=BuildOptions())
        assert plan.content
        assert 0 < plan.activation_bytes < ACTIVATION_BOUND_BYTES


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_model_passes_the_gate_with_no_layer_sent_back(name: str) -> None:
    checked = lower_and_check(composed_model(name, "nv12"))
    assert checked.fp32_layers == ()
    assert checked.psnr_db is not None
    assert checked.psnr_db >= REQUIRED_PSNR_DB
    assert checked.peak_activation < PEAK_LIMIT


@pytest.mark.parametrize("name", shipped_names())
def test_openvino_and_onnxruntime_agree_on_the_graph_the_builder_starts_from(name: str) -> None:
    """FP32 with byte planes: within one code on two runtimes, so neither is the odd one out."""
    import openvino as ov

    graph = composed_model(name, "p010")
    model, _ = with_byte_planes(graph.model)
    feeds = as_bytes(feeds_of(graph.model, 10))
    expected = session(model).run(None, feeds)
    core = ov.Core()
    compiled = core.compile_model(
        core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    actual = compiled([feeds[value.name] for value in model.graph.input])
    for index, wanted in enumerate(expected):
        got = actual[compiled.output(index)]
        codes, reference = (np.ascontiguousarray(plane).view(np.uint16)[..., 0] >> 6 for plane in (got, wanted))
        assert difference(codes.astype(np.int32), reference.astype(np.int32)).worst <= 1

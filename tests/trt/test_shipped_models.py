"""Every shipped model through the real builder, and through the gate every build has to pass."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from math import gcd

import numpy as np
import pytest

from sr_core.backend import ComposedGraph
from sr_core.backends.tensorrt_library import load_library
from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.difference import difference
from sr_core.engine_key import PORTABLE, SHIPPED_TARGETS, BuildOptions
from sr_core.graph.compose import compose
from sr_core.model_spec import load_model, spec_of
from sr_zoo.models import DEFAULT_MODEL, find_model, shipped_names
from tests.trt.networks import NV12, P010, RGB24, YUV420P8
from tests.trt.running import as_bytes, feeds_of, session
from trt_build.build import serialize_engine
from trt_build.byte_planes import with_byte_planes
from trt_build.check import PEAK_LIMIT, REQUIRED_PSNR_DB, lower_and_check
from trt_build.forms import forms_of
from trt_build.fp16 import lower_to_fp16

Case = tuple[str, str, str]  # model, format, target
FORMATS = {"yuv420p8": YUV420P8, "nv12": NV12, "p010": P010, "rgb24": RGB24}
TARGETS = (*SHIPPED_TARGETS, PORTABLE)
PAIRS = tuple((name, target) for name in FORMATS for target in TARGETS)
# Which the lean form brings to 56.3 and 51.2 dB of the 57.5 that it needs: the gate takes the careful one.
CAREFUL = (("swift-x3", "rgb24"), ("vivid-x4", "nv12"))
WHOLLY = f"{DEFAULT_MODEL}-x2"
# A 128x128 tile takes 10 to 44 MiB in TensorRT-RTX 1.7.1: ESPCN the least, SRCNN on RGB the most.
ACTIVATION_BOUND_BYTES = 128 << 20


def composed_model(name: str, format_name: str) -> ComposedGraph:
    model = load_model(find_model(name))
    spec, fmt = spec_of(model), FORMATS[format_name]
    assert spec is not None
    color = FULL_RANGE_RGB if fmt.family == "rgb" else ColorSpec()
    return compose(model, spec, fmt, color, width=128, height=128)


@cache
def final_onnx(name: str, format_name: str) -> bytes:
    """What the builder parses."""
    form = next(forms_of(composed_model(name, format_name)))  # the one they pass in: below
    model, added = with_byte_planes(form.model)
    return lower_to_fp16(model, form.keep_fp32 | added).SerializeToString()


def test_there_are_shipped_models() -> None:
    assert shipped_names()


def covering(models: Sequence[str], each: int) -> set[Case]:
    """At least `each` pairs of target and format for every model, and every pair for some model.

    Pair k is target k mod 5 with format k mod 4: 5 and 4 have no common divisor, so 20 in a row are
    all there are, and two in a row differ in both. Each model takes the next `each` of them.
    """
    assert gcd(len(TARGETS), len(FORMATS)) == 1
    names = list(FORMATS)
    return {
        (models[k // each % len(models)], names[k % len(names)], TARGETS[k % len(TARGETS)])
        for k in range(max(len(models) * each, len(PAIRS)))
    }


def cases() -> list[Case]:
    """Every pair for one model and two each for the others; with SRVID_EVERY_ENGINE=1 every pair for all."""
    models = shipped_names()
    if os.environ.get("SRVID_EVERY_ENGINE") == "1":
        return [(model, *pair) for model in models for pair in PAIRS]
    return sorted({(WHOLLY, *pair) for pair in PAIRS} | covering([m for m in models if m != WHOLLY], 2))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 9, 10, 20, 22, 41])
def test_the_cases_cover_every_pair_and_every_model(count: int) -> None:
    models = [f"model-{index}" for index in range(count)]
    chosen = covering(models, 2)
    assert {(name, target) for _, name, target in chosen} == set(PAIRS)
    for model in models:
        mine = [(name, target) for owner, name, target in chosen if owner == model]
        assert len({name for name, _ in mine}) >= 2
        assert len({target for _, target in mine}) >= 2
    assert len(chosen) == max(2 * count, len(PAIRS))


@pytest.mark.parametrize(("name", "format_name", "target"), cases())
def test_a_shipped_model_builds_for_a_target(name: str, format_name: str, target: str) -> None:
    """Every model × target × format would be 20 builds a model, and their number grows.

    Here every model is built, for two targets in two formats; every target is built in every
    format, for one model wholly and once more for the others together. All of them:
    SRVID_EVERY_ENGINE=1 (make test-engines).
    """
    native = load_library("tensorrt_rtx")
    plan = serialize_engine(native, final_onnx(name, format_name), target=target, options=BuildOptions())
    assert plan.content
    assert 0 < plan.activation_bytes < ACTIVATION_BOUND_BYTES


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_model_passes_the_gate_in_its_leanest_form(name: str) -> None:
    """In another format for each: planes of 8 bits and of 10, and packed RGB, which feeds luma networks differently."""
    formats = list(FORMATS)
    format_name = formats[shipped_names().index(name) % len(formats)]
    graph = composed_model(name, format_name)
    checked = lower_and_check(graph)
    if (name, format_name) in CAREFUL:
        assert checked.form == "careful"
    else:
        assert checked.form == next(forms_of(graph)).name
        assert checked.passed_over == ()
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

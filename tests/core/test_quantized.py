"""INT8: quantizers beside float weights, what runs with them, and that no CPU changes a bit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from sr_core.backend import ComposedGraph
from sr_core.backends import openvino as openvino_backend
from sr_core.backends.fidelity import fidelity_db
from sr_core.backends.openvino import OpenVino
from sr_core.color import ColorSpec
from sr_core.errors import EngineError
from sr_core.frame import PixelFormat, rgb, yuv
from sr_core.graph.compose import compose
from sr_core.graph.ensemble import self_ensembled
from sr_core.graph.quantized import (
    DEQUANTIZE,
    QUANTIZE,
    Range,
    add_quantizers,
    has_quantizers,
    remove_quantizers,
    weight_scales,
)
from sr_core.graph.receptive_field import receptive_radius
from sr_core.model_spec import ModelSpec, load_model, spec_of, with_spec
from sr_core.storage import CACHE_VARIABLE
from sr_core.testing import random_model
from sr_zoo.cost import parameter_count
from sr_zoo.models import shipped_models
from sr_zoo.onnx_run import open_int8_runner, open_runner, probe_noise

PROJECT = Path(__file__).resolve().parents[2]
MASKS = ("AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI", "AVX512_CORE_BF16", "DEFAULT")


def quantized(*, layers: int = 3, loss_db: float = 0.01, scale: int = 2) -> ModelProto:
    """A random network whose inner convolutions have quantizers."""
    model = random_model(scale, layers=layers)
    inner = [node for node in model.graph.node if node.op_type == "Conv" and node.name.startswith("body/")][1:]
    made = add_quantizers(model, {node.input[0]: Range(-0.4, 2.0) for node in inner}, [node.name for node in inner])
    spec = spec_of(model)
    assert spec is not None
    facts = {"name": f"quantized-x{scale}", "scale": scale, "halo_px": spec.halo_px, "int8_loss": {"set5": loss_db}}
    return with_spec(made, ModelSpec(**facts))


def composed(model: ModelProto, fmt: PixelFormat, width: int = 64, height: int = 48) -> ComposedGraph:
    spec = spec_of(model)
    assert spec is not None
    return compose(model, spec, fmt, ColorSpec(), width=width, height=height)


def kinds(model: ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_without_its_quantizers_a_model_is_what_it_was() -> None:
    before, after = random_model(2, layers=3), quantized()
    checker.check_model(after)
    assert kinds(after).count(QUANTIZE) == 3 + 3, "three tensors, and the weights of three convolutions"
    remove_quantizers(after)
    assert list(after.graph.node) == list(before.graph.node)
    assert list(after.graph.initializer) == list(before.graph.initializer)


def test_whoever_wants_floats_sees_none() -> None:
    model, plain = quantized(), random_model(2, layers=3)
    for fmt in (yuv("420"), rgb(packed=True), yuv("420", 10)):
        graph = composed(model, fmt)
        packed = graph.packed()
        for form in (graph.model, *([packed.model] if packed else [])):
            assert not {QUANTIZE, DEQUANTIZE} & set(kinds(form))
        assert graph.model.graph.node == composed(plain, fmt).model.graph.node
    assert not has_quantizers(self_ensembled(model))
    assert parameter_count(model) == parameter_count(plain)
    assert receptive_radius(model, scale=2) == receptive_radius(plain, scale=2)
    noise = probe_noise((1, 3, 24, 20))
    assert np.array_equal(open_runner(model)(noise), open_runner(plain)(noise))
    assert not np.array_equal(open_int8_runner(model)(noise), open_runner(plain)(noise))


def test_a_foreign_files_quantizers_are_part_of_its_function() -> None:
    model = quantized()
    for node in model.graph.node:
        node.name = node.name.replace("int8/", "theirs/")
    assert not has_quantizers(model)
    assert composed(model, yuv("420")).int8() is None
    assert QUANTIZE in kinds(composed(model, yuv("420")).model)


def test_weights_in_the_composed_graph_are_codes_already() -> None:
    """What a runtime makes of a quantized constant differs."""
    graph = composed(quantized(), yuv("420")).int8()
    assert graph is not None
    packed = graph.packed()
    assert packed is not None
    for form in (graph.model, packed.model):
        held = {tensor.name: tensor for tensor in form.graph.initializer}
        codes = [
            held[node.input[0]] for node in form.graph.node if node.op_type == DEQUANTIZE and node.input[0] in held
        ]
        assert len(codes) == 3
        assert all(tensor.data_type == TensorProto.INT8 for tensor in codes)
        assert kinds(form).count(QUANTIZE) == 3


def test_only_frames_of_eight_bits_run_in_int8() -> None:
    model = quantized()
    half = PixelFormat(family="rgb", depth=16, is_float=True)
    assert [not composed(model, fmt).has_int8 for fmt in (yuv("420"), rgb(), yuv("420", 10), rgb(16), half)] == [
        False, False, True, True, True,
    ]  # fmt: skip
    with pytest.raises(EngineError, match="INT8 is for frames of 8 bits"):
        OpenVino(threads=1).open(composed(model, yuv("420", 10)), precision="int8+f32")


@pytest.mark.parametrize("fmt", [yuv("420"), yuv("420", semiplanar=True), rgb(packed=True)], ids=str)
def test_int8_comes_close_to_f32_in_every_form(fmt: PixelFormat) -> None:
    graph = composed(quantized(), fmt, 96, 96)
    backend = OpenVino(threads=1)
    reached = fidelity_db(backend.open(graph, precision="int8+f32"), backend.open(graph, precision="exact"), graph)
    assert 45 < reached < 80


def test_two_neighbouring_codes_never_overflow_sixteen_bits() -> None:
    random = np.random.default_rng(0)
    for weights in (np.ones((4, 8, 3, 3)), random.normal(size=(16, 7, 3, 3)), random.normal(size=(8, 32, 1, 1)) ** 5):
        codes = np.rint(weights / weight_scales(weights)[:, None, None, None])
        padded = np.pad(np.abs(codes), ((0, 0), (0, codes.shape[1] % 2), (0, 0), (0, 0)))
        assert 255 * (padded[:, ::2] + padded[:, 1::2]).max() <= np.iinfo(np.int16).max
        assert np.abs(codes).max() <= 127


def test_the_largest_weights_and_features_come_out_whole() -> None:
    """On a CPU without VNNI, 145.7 came out instead of 288: byte products were added in 16 bits."""
    channels = 32
    signs = np.where(np.random.default_rng(0).random((channels, channels, 3, 3)) < 0.5, 1.0, -1.0)
    signs[0] = 1.0
    nodes = [
        helper.make_node("Conv", ["lr", "one"], ["wide"], name="first"),
        helper.make_node("Relu", ["wide"], ["features"], name="act"),
        helper.make_node("Conv", ["features", "signs"], ["sr"], name="second", pads=[1] * 4),
    ]
    held = [
        numpy_helper.from_array(np.ones((channels, 3, 1, 1), np.float32) / 3, "one"),
        numpy_helper.from_array(signs.astype(np.float32), "signs"),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count, 16, 16])
        for name, count in (("lr", 3), ("sr", channels))
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "largest", values[:1], values[1:], held),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    narrow = add_quantizers(model, {"features": Range(0.0, 1.0)}, ["second"])
    made = open_int8_runner(narrow)(np.ones((1, 3, 16, 16), np.float32))
    assert made[0, 0, 8, 8] == pytest.approx(288, abs=0.01)
    np.testing.assert_allclose(made, open_runner(model)(np.ones((1, 3, 16, 16), np.float32)), atol=0.01)


PHOTOGRAPHS = PROJECT / "trt_build" / "check_images.png"  # four of 128 x 128, two above two
DIGEST = """
import hashlib, sys
from pathlib import Path
import numpy as np
from PIL import Image
from sr_core.backends.fidelity import gate_planes, run_once
from sr_core.backends.openvino import OpenVino
from sr_core.color import ColorSpec
from sr_core.frame import yuv
from sr_core.graph.compose import compose
from sr_core.model_spec import load_model, spec_of
from sr_core.testing import planes_from_rgb
square = np.asarray(Image.open(sys.argv[1]).convert("RGB")) / 255
corners = [(top, left) for top in (0, 128) for left in (0, 128)]
photographs = [planes_from_rgb(square[y : y + 128, x : x + 128], yuv("420"), ColorSpec()) for y, x in corners]
for path in sys.argv[2:]:
    model = load_model(Path(path))
    graph = compose(model, spec_of(model), yuv("420"), ColorSpec(), width=128, height=128)
    session = OpenVino(threads=1).open(graph, precision="int8+f32")
    for frames in ([gate_planes(graph)], photographs):
        planes = [plane for frame in frames for plane in run_once(session, frame, graph)]
        print(hashlib.sha256(b"".join(plane.tobytes() for plane in planes)).hexdigest())
"""


def test_every_instruction_set_that_this_cpu_can_wear_gives_the_same_bytes(tmp_path: Path) -> None:
    """A film begun on one machine and finished on another; f32 cannot promise that."""
    path = tmp_path / "quantized.onnx"
    path.write_bytes(quantized().SerializeToString())
    files = [str(path), *(str(model.path) for model in shipped_models() if model.spec.int8_loss)]
    found: dict[str, str] = {}
    for mask in MASKS:
        variables = os.environ | {"ONEDNN_MAX_CPU_ISA": mask, "PYTHONPATH": str(PROJECT)}
        done = subprocess.run(
            [sys.executable, "-c", DIGEST, str(PHOTOGRAPHS), *files],
            env=variables, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found[mask] = done.stdout
    assert len(set(found["AVX2"].split())) == 2 * len(files) > 2, "two pictures a model, all different"
    assert len(set(found.values())) == 1, found


@pytest.fixture
def backend_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., OpenVino]:
    """A backend that finds the ways to take the given seconds; an empty cache."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))

    def make(seconds: dict[str, float], *, has_bf16: bool = False) -> OpenVino:
        monkeypatch.setattr(
            openvino_backend, "interleaved_seconds", lambda work, tell, clock: {way: seconds[way] for way in work}
        )
        backend = OpenVino(threads=1)
        backend.capabilities = frozenset({"BF16"} if has_bf16 else ())
        return backend

    return make


SECONDS = {"f32": 1.0, "bf16+f32": 0.7, "int8+f32": 0.5}


def test_auto_takes_int8_where_it_is_fastest_and_costs_next_to_nothing(backend_where: Callable[..., OpenVino]) -> None:
    cheap, dear = (composed(quantized(loss_db=loss), yuv("420")) for loss in (0.02, 0.021))
    assert backend_where(SECONDS).open(cheap).precision == "int8+f32"
    assert backend_where(SECONDS).open(dear).precision == "f32"
    assert backend_where(SECONDS).open(dear, precision="fast").precision == "int8+f32"
    assert backend_where(SECONDS).open(cheap, precision="exact").precision == "f32"
    assert backend_where(SECONDS).open(composed(quantized(), yuv("420", 10)), precision="fast").precision == "f32"


def test_where_bf16_is_as_fast_it_goes_before_int8(
    backend_where: Callable[..., OpenVino], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_backend, "fidelity_db", lambda *_: 60.0)
    for seconds, expected in ((0.65, "bf16+f32"), (0.5, "int8+f32")):
        graph = composed(quantized(layers=3 if seconds == 0.65 else 4), yuv("420"))
        backend = backend_where(SECONDS | {"int8+f32": seconds}, has_bf16=True)
        assert backend.open(graph).precision == expected


def test_a_runtime_that_makes_something_else_of_int8_is_not_taken(
    backend_where: Callable[..., OpenVino], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_backend, "fidelity_db", lambda *_: 39.0)
    assert backend_where(SECONDS).open(composed(quantized(), yuv("420")), precision="fast").precision == "f32"


def test_a_model_carries_what_int8_costs_through_its_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(quantized(loss_db=0.015).SerializeToString())
    spec = spec_of(load_model(path))
    assert spec is not None
    assert spec.int8_loss == {"set5": 0.015}

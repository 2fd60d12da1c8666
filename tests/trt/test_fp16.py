"""The strongly typed FP16 graph: what is lowered, what is not, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from sr_core.color import ColorSpec
from sr_core.difference import difference
from sr_core.errors import BadModel
from sr_core.frame import PixelFormat, gray, rgb, yuv
from sr_core.graph.compose import compose
from sr_core.model_spec import load_model, spec_of
from sr_zoo.models import find_model
from tests.trt.networks import NV12, P010, RGB24, YUV420P8, composed, identity
from tests.trt.running import as_bytes, feeds_of, session
from trt_build import check
from trt_build.byte_planes import with_byte_planes
from trt_build.check import check_pictures, gate_pictures, lower_and_check, round_after_every_node
from trt_build.ensure import final_graph
from trt_build.fp16 import fp16_nodes, lower_to_fp16, name_nodes

# FP16 has 11 significant bits; around code 255 a step is 1/8, so rounding moves by at most one code.
MIXED_WORST_CODES = 1
FORMATS = [
    YUV420P8, NV12, P010, RGB24, rgb(), gray(), yuv("422", 10), yuv("444", 16), rgb(16),
    PixelFormat(family="rgb", depth=16, is_float=True),
    PixelFormat(family="yuv", depth=32, is_float=True),
]  # fmt: skip


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("color_space", ["rgb", "y"])
def test_the_lowered_graph_differs_by_at_most_one_code(fmt: PixelFormat, color_space: str) -> None:
    graph = composed(fmt, color_space=color_space)  # type: ignore[arg-type]
    lowered = lower_to_fp16(graph.model, graph.keep_fp32)
    feeds = feeds_of(graph.model, fmt.depth)
    expected = session(graph.model).run(None, feeds)
    actual = session(round_after_every_node(lowered)).run(None, feeds)
    for got, wanted in zip(actual, expected, strict=True):
        found = difference(got, wanted)
        if fmt.is_float:
            assert found.worst < 2 / 1023
        else:  # one code at 8 bits is 4 at 10 bits and 256 at 16 (or in P010's high bits)
            one_code = 1 << ((16 if fmt.msb_aligned else fmt.depth) - 8)
            assert found.worst <= MIXED_WORST_CODES * one_code


def test_the_network_is_fp16_and_the_edges_are_not() -> None:
    graph = composed(NV12)
    lowered = lower_to_fp16(graph.model, graph.keep_fp32)
    names = fp16_nodes(lowered)
    assert names
    assert all(name.startswith("net/") for name in names)
    assert not set(names) & graph.keep_fp32
    assert [value.type.tensor_type.elem_type for value in lowered.graph.input] == [TensorProto.UINT8] * 2


def test_a_kept_node_stays_fp32_with_its_weights() -> None:
    graph = composed()
    victim = fp16_nodes(lower_to_fp16(graph.model, graph.keep_fp32))[0]
    lowered = lower_to_fp16(graph.model, graph.keep_fp32 | {victim})
    assert victim not in fp16_nodes(lowered)


def test_weights_that_fp16_cannot_hold_keep_their_node_fp32() -> None:
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["t"], "large"),
        helper.make_node("Mul", ["t", "v"], ["y"], "small"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [
            numpy_helper.from_array(np.array([1e5], np.float32), "w"),
            numpy_helper.from_array(np.array([1e-5], np.float32), "v"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    assert fp16_nodes(lower_to_fp16(model, frozenset())) == ["small"]
    lowered = lower_to_fp16(model, frozenset({"small"}))
    given = np.array([[1, 2, 3, 4]], np.float32)
    assert np.allclose(session(lowered).run(None, {"x": given})[0], given)


def test_a_third_party_graph_with_constant_nodes_and_float_planes_keeps_its_interface() -> None:
    nodes = [
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.array(2.0, np.float32))),
        helper.make_node("Mul", ["x", "two"], ["t"]),
        helper.make_node("Shape", ["t"], ["size"]),
        helper.make_node("Cast", ["size"], ["size_f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["size_f"], ["total"], keepdims=0),
        helper.make_node("Add", ["t", "total"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    lowered = lower_to_fp16(model, frozenset())
    assert [value.type.tensor_type.elem_type for value in lowered.graph.output] == [TensorProto.FLOAT]
    assert np.array_equal(session(lowered).run(None, {"x": np.ones((1, 4), np.float32)})[0], np.full((1, 4), 7.0))


def test_control_flow_is_refused_by_name() -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])],
        "b",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])],
    )
    graph = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)],
        "g",
        [
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    with pytest.raises(BadModel, match="control flow"):
        name_nodes(helper.make_model(graph))


# ---- 16-bit planes as byte pairs


@pytest.mark.parametrize("fmt", [P010, yuv("420", 10), yuv("444", 16), rgb(16), gray(12)], ids=str)
def test_byte_pairs_compute_exactly_what_uint16_computes(fmt: PixelFormat) -> None:
    graph = composed(fmt)
    model, added = with_byte_planes(graph.model)
    assert added
    assert {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)} == {
        TensorProto.UINT8
    }
    feeds = feeds_of(graph.model, fmt.depth)
    expected = session(graph.model).run(None, feeds)
    for got, wanted in zip(session(model).run(None, as_bytes(feeds)), expected, strict=True):
        assert np.array_equal(got.view(np.uint16)[..., 0], wanted)


@pytest.mark.parametrize("fmt", [P010, yuv("444", 10), yuv("444", 16), rgb(16)], ids=str)
def test_every_code_survives_the_byte_pairs_of_an_identity(fmt: PixelFormat) -> None:
    graph = identity(fmt, width=256, height=256)
    model = final_graph(graph, "exact").model
    shift = 16 - fmt.depth if fmt.msb_aligned else 0
    codes = (np.arange(65536) % (fmt.peak + 1)).astype(np.uint16) << shift
    feeds = {
        value.name: np.resize(codes, [dim.dim_value for dim in value.type.tensor_type.shape.dim]).astype(np.uint16)
        for value in graph.model.graph.input
    }
    got = dict(zip((o.name for o in model.graph.output), session(model).run(None, as_bytes(feeds)), strict=True))
    first = fmt.plane_names[0]
    if fmt.family == "rgb":
        wanted = feeds[first]
        assert np.array_equal(got[f"{first}_out"].view(np.uint16)[..., 0], wanted)
    else:  # through RGB and back, in FP32: neutral chroma, every luma code
        neutral = np.uint16((1 << (fmt.depth - 1)) << shift)
        feeds = {name: plane if name == "y" else np.full_like(plane, neutral) for name, plane in feeds.items()}
        got = dict(zip((o.name for o in model.graph.output), session(model).run(None, as_bytes(feeds)), strict=True))
        worst = np.abs(got["y_out"].view(np.uint16)[..., 0].astype(int) - feeds["y"].astype(int)).max()
        assert worst == 0


def test_a_16_bit_plane_used_without_a_cast_is_refused() -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT16, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.UINT16, [1, 1, 4, 4])],
    )
    with pytest.raises(BadModel, match="'x' is not cast to FLOAT"):
        with_byte_planes(helper.make_model(graph))


# ---- the check


def test_the_oracle_agrees_with_torchs_own_half_precision() -> None:
    """One convolution and one PReLU in FP16, against torch computing them in torch.float16."""
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(3)
    weight = (random.standard_normal((16, 8, 3, 3)) * 0.2).astype(np.float32)
    slope = np.full((16, 1, 1), 0.2, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["t"], pads=[1] * 4),
            helper.make_node("PRelu", ["t", "s"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, 32, 32])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(slope, "s")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    given = random.standard_normal((1, 8, 32, 32)).astype(np.float32)
    ours = session(round_after_every_node(lower_to_fp16(model, frozenset()))).run(None, {"x": given})[0]
    half = torch.nn.functional.conv2d(torch.from_numpy(given).half(), torch.from_numpy(weight).half(), padding=1)
    theirs = torch.where(half >= 0, half, half * torch.tensor(0.2).half()).float().numpy()
    exact = session(model).run(None, {"x": given})[0]
    noise = difference(theirs, exact).psnr_db
    assert abs(difference(ours, exact).psnr_db - noise) < 1.0  # the same amount of FP16 noise
    assert difference(ours, theirs).worst < 4e-3  # two roundings at most around 4.0


def test_a_healthy_network_passes_with_every_layer_in_fp16() -> None:
    checked = lower_and_check(composed(NV12, width=256, height=192))
    assert checked.fp32_layers == ()
    assert checked.psnr_db is not None
    assert checked.psnr_db >= 50
    assert 0 < checked.peak_activation < 3e4
    assert "rounded to FP16" in checked.checked_by


def test_layers_whose_activations_leave_fp16_go_back_to_fp32() -> None:
    graph = composed(gain=3e5)  # activations around 1e6 between the first and the last convolution
    checked = lower_and_check(graph)
    assert checked.fp32_layers
    assert checked.psnr_db is not None
    assert checked.psnr_db >= 50
    assert not set(checked.fp32_layers) & set(fp16_nodes(checked.model))


def test_a_failing_psnr_sends_back_only_as_much_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = composed(depth=8)
    monkeypatch.setattr(check, "least_db", lambda graph: 900.0)  # the careful form: the others lose no layers
    easy = lower_and_check(graph)
    assert easy.psnr_db is not None
    hard = lower_and_check(graph, required_psnr_db=easy.psnr_db + 1)
    assert hard.psnr_db is not None
    assert hard.psnr_db >= easy.psnr_db + 1
    assert len(hard.fp32_layers) > 0
    assert fp16_nodes(hard.model)


def test_the_check_pictures_are_real_photographs() -> None:
    pictures = check_pictures()
    assert [picture.shape for picture in pictures] == [(128, 128, 3)] * 4
    assert min(float(picture.std()) for picture in pictures) > 20  # not flat
    assert len({picture.tobytes() for picture in pictures}) == 4


def test_the_siting_of_chroma_reaches_the_lowered_graph() -> None:
    """A ramp in chroma lands half a luma pixel apart for 'left' and 'center'."""
    found = {}
    for siting in ("left", "center"):
        graph = composed(YUV420P8, color=ColorSpec(siting=siting))
        model = lower_to_fp16(graph.model, graph.keep_fp32)
        ramp = np.tile(np.arange(32, dtype=np.uint8) * 4 + 64, (24, 1))[None, None]
        flat = np.full((1, 1, 48, 64), 128, np.uint8)
        outputs = session(model).run(None, {"y": flat, "u": ramp, "v": np.full_like(ramp, 128)})
        found[siting] = outputs[1][0, 0, 20:28, 10:50].astype(float)
        exact = session(graph.model).run(None, {"y": flat, "u": ramp, "v": np.full_like(ramp, 128)})
        assert difference(outputs[1], exact[1]).worst <= MIXED_WORST_CODES
    slope = np.diff(found["left"].mean(axis=0)).mean()
    assert slope == pytest.approx(2.0, abs=0.1)  # 4 codes a chroma sample, two output samples each
    # Output chroma j lies at input luma j - 1/4 (left) or j (center); input chroma i at 2i or 2i + 1/2.
    # The same sample is therefore read 1/8 of a chroma sample further right with left siting: 0.5 codes.
    assert found["left"].mean() - found["center"].mean() == pytest.approx(0.5, abs=0.2)


def test_the_gate_sees_what_photographs_hide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise, the finest pattern and every corner of RGB; without them the same graph passes more easily."""
    model = load_model(find_model("swift-x4"))
    spec = spec_of(model)
    assert spec is not None
    graph = compose(model, spec, NV12, ColorSpec(), width=64, height=48)
    strict = lower_and_check(graph).psnr_db
    monkeypatch.setattr(check, "gate_pictures", check_pictures)
    assert strict < lower_and_check(graph).psnr_db - 3
    monkeypatch.undo()
    photographs = check_pictures()
    noise, checkerboard, primaries = gate_pictures()[len(photographs) :]
    assert noise.std() > 70
    assert np.array_equal(checkerboard[::2, ::2], np.zeros((64, 64, 3)))
    assert np.array_equal(checkerboard[::2, 1::2], np.full((64, 64, 3), 255))
    assert len(np.unique(primaries.reshape(-1, 3), axis=0)) == 8
    assert all(picture.shape == (128, 128, 3) and picture.dtype == np.uint8 for picture in gate_pictures())

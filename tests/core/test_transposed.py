"""A transposed convolution written as a convolution and a shuffle."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from sr_core.color import ColorSpec
from sr_core.frame import Array, yuv
from sr_core.graph.compose import compose
from sr_core.graph.transposed import shuffle_transposed
from sr_core.model_spec import load_model, spec_of
from sr_zoo.models import find_model
from sr_zoo.onnx_run import open_runner


def transposed(kernel: int, stride: int, pad: int, extra: int, *, has_bias: bool = True, **more: object) -> ModelProto:
    random = np.random.default_rng(kernel * 10 + stride)
    names = ["lr", "w", "b"] if has_bias else ["lr", "w"]
    node = helper.make_node(
        "ConvTranspose", names, ["sr"], name="up", strides=[stride] * 2, pads=[pad] * 4, output_padding=[extra] * 2,
        **more,
    )  # fmt: skip
    held = [numpy_helper.from_array(random.normal(size=(4, 3, kernel, kernel)).astype(np.float32), "w")]
    if has_bias:
        held.append(numpy_helper.from_array(random.normal(size=3).astype(np.float32), "b"))
    graph = helper.make_graph(
        [node],
        "up",
        [helper.make_tensor_value_info("lr", TensorProto.FLOAT, [1, 4, "h", "w_"])],
        [helper.make_tensor_value_info("sr", TensorProto.FLOAT, None)],
        held,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def kinds(model: ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def run(model: ModelProto) -> Array:
    return open_runner(model)(np.random.default_rng(1).normal(size=(1, 4, 7, 9)).astype(np.float32))


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "extra"),
    [(9, 2, 4, 1), (9, 3, 4, 2), (9, 4, 4, 3), (4, 2, 1, 0), (2, 2, 0, 0), (6, 2, 2, 0), (3, 3, 0, 0), (3, 1, 1, 0)],
)
def test_where_it_enlarges_by_its_stride_the_function_stays(
    kernel: int, stride: int, pad: int, extra: int, has_bias: bool
) -> None:
    model = transposed(kernel, stride, pad, extra, has_bias=has_bias)
    expected = run(model)
    shuffle_transposed(model)
    assert kinds(model) == ["Conv", "DepthToSpace"]
    np.testing.assert_allclose(run(model), expected, atol=2e-5)


@pytest.mark.parametrize(
    "other", [transposed(3, 2, 0, 0), transposed(4, 2, 1, 0, dilations=[2, 2]), transposed(4, 2, 0, 0)]
)
def test_any_other_is_left_alone(other: ModelProto) -> None:
    """Its output has another size than stride times the input's."""
    shuffle_transposed(other)
    assert kinds(other) == ["ConvTranspose"]


@pytest.mark.parametrize("scale", [2, 4])
def test_fsrcnn_is_packed(scale: int) -> None:
    model = load_model(find_model("fsrcnn", scale=scale))
    spec = spec_of(model)
    assert spec is not None
    graph = compose(model, spec, yuv("420"), ColorSpec(), width=64, height=48)
    assert graph.packed() is not None
    assert "ConvTranspose" not in kinds(graph.model)

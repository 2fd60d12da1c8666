"""The halo read from a graph is what a numeric probe of the network finds, never less."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

from sr_core.graph.onnx_builder import OnnxBuilder
from sr_core.graph.receptive_field import receptive_radius
from sr_core.testing import global_model, nearest_model, random_model

SIZE = 41  # of the probed picture; larger than twice any reach below


def finished(build: OnnxBuilder, last: str) -> ModelProto:
    build.op("end", "Identity", last, output="sr")
    build.inputs.append(helper.make_tensor_value_info("lr", TensorProto.FLOAT, [1, 1, "h", "w"]))
    build.outputs.append(helper.make_tensor_value_info("sr", TensorProto.FLOAT, [1, 1, "H", "W"]))
    return build.model("probe", 18)


def probed_radius(model: ModelProto, scale: int) -> int:
    """Largest distance, in input pixels, at which one changed sample changes an output pixel."""
    random = np.random.default_rng(0)
    still = random.random((1, 1, SIZE, SIZE), np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (before,) = session.run(None, {"lr": still})
    moved = still.copy()
    centre = SIZE // 2
    moved[0, 0, centre, centre] += 1
    (after,) = session.run(None, {"lr": moved})
    rows, columns = np.nonzero(np.abs(after - before)[0, 0] > 1e-7)
    distance = [np.abs(axis // scale - centre).max() for axis in (rows, columns)]
    return int(max(distance))


@st.composite
def chains(draw: st.DrawFn) -> tuple[ModelProto, int]:
    """A random chain of convolutions, shuffles and resizes with positive weights (nothing cancels)."""
    build, value, scale = OnnxBuilder(), "lr", 1
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["conv", "dilated", "valid", "shuffle", "linear", "cubic", "transposed", "pool"]))
        if kind in ("conv", "dilated"):
            size = draw(st.sampled_from([1, 3, 5]))
            dilation = 2 if kind == "dilated" else 1
            value = build.conv(
                "c", value, np.full((1, 1, size, size), 0.3),
                pads=[(size - 1) * dilation // 2] * 4, dilations=[dilation] * 2,
            )  # fmt: skip
        elif kind == "valid":
            value = build.pad_edge("c", value, top=1, left=2, bottom=1, right=0)
            value = build.conv("c", value, np.full((1, 1, 3, 3), 0.3))
        elif kind == "pool":
            value = build.op("c", "AveragePool", value, kernel_shape=[3, 3], pads=[1] * 4)
        elif scale > 2:
            continue
        elif kind == "shuffle":
            value = build.conv("c", value, np.full((4, 1, 3, 3), 0.2), pads=[1] * 4)
            value = build.op("c", "DepthToSpace", value, blocksize=2, mode="CRD")
            scale *= 2
        elif kind == "transposed":
            value = build.conv(
                "c", value, np.full((1, 1, 9, 9), 0.1), kind="ConvTranspose", strides=[2, 2],
                pads=[4] * 4, output_padding=[1, 1],
            )  # fmt: skip
            scale *= 2
        else:
            factors = build.constant([1, 1, 2, 2])
            value = build.op("c", "Resize", value, "", factors, mode=kind, cubic_coeff_a=-0.5)
            scale *= 2
    return finished(build, value), scale


@settings(max_examples=40, deadline=None)
@given(chains())
def test_the_halo_covers_every_influence_and_wastes_little(chain: tuple[ModelProto, int]) -> None:
    model, scale = chain
    radius, found = receptive_radius(model, scale=scale), probed_radius(model, scale)
    assert radius is not None
    assert found <= radius <= found + 1


@pytest.mark.parametrize(("layers", "halo"), [(1, 2), (2, 3), (7, 8)])
def test_a_plain_network_reaches_one_pixel_a_layer(layers: int, halo: int) -> None:
    assert receptive_radius(random_model(4, layers=layers), scale=4) == halo


def test_nearest_has_no_halo() -> None:
    assert receptive_radius(nearest_model(3), scale=3) == 0


def test_global_pooling_is_unbounded() -> None:
    assert receptive_radius(global_model(2), scale=2) is None


def test_an_unknown_operator_counts_as_unbounded_not_as_zero() -> None:
    build = OnnxBuilder()
    value = build.op("c", "LayerNormalization", "lr", build.constant(np.ones(SIZE)))
    assert receptive_radius(finished(build, value), scale=1) is None


def test_normalising_over_channels_is_local_but_over_space_is_not() -> None:
    for axes, expected in ([1], 0), ([2, 3], None):
        build = OnnxBuilder()
        value = build.op("c", "ReduceMean", "lr", build.constant(axes, np.int64), keepdims=1)
        value = build.op("c", "Sub", "lr", value)
        assert receptive_radius(finished(build, value), scale=1) == expected

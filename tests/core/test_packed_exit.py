"""Packed outputs: the same function as the usual exit, and the copy that spreads them out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto

from sr_core.backend import ComposedGraph, Session, open_backend
from sr_core.color import ColorSpec, Siting
from sr_core.difference import Tolerance, assert_close
from sr_core.frame import Array, PixelFormat, Planes, gray, rgb, yuv
from sr_core.graph.compose import compose
from sr_core.graph.onnx_builder import OnnxBuilder
from sr_core.model_spec import INPUT_NAME, OUTPUT_NAME, ModelSpec, spec_of, with_spec
from sr_core.packing import Piece, copy_piece
from sr_core.testing import picture, planes_from_rgb, random_model

WIDTH, HEIGHT = 48, 32
HALF, SINGLE = (PixelFormat(family="rgb", depth=depth, is_float=True) for depth in (16, 32))
FLOAT_420 = PixelFormat(family="yuv", depth=32, is_float=True, subsampling=(2, 2))
TIES = Tolerance(
    worst=1, share=5e-3, why="sums in another order; of 16-bit codes 1 of 1,000 changes on AVX2, 3.4 on AVX-512"
)
FLOAT_SUMS = Tolerance(worst=1e-3, share=1.0, why="half has 11 bits; single measured 3e-7")


def composed(model: ModelProto, fmt: PixelFormat, color: ColorSpec | None = None) -> ComposedGraph:
    spec = spec_of(model)
    assert spec is not None
    return compose(model, spec, fmt, color or ColorSpec(), width=WIDTH, height=HEIGHT)


def outputs_of(session: Session, planes: Planes) -> list[Array]:
    kept: list[Array] = []
    session.run(planes, lambda outputs: kept.extend(plane.copy() for plane in outputs))
    return kept


def assert_packed_equals_usual(model: ModelProto, fmt: PixelFormat, color: ColorSpec | None = None) -> None:
    usual = composed(model, fmt, color)
    assert usual.packed() is not None
    planes = planes_from_rgb(picture(WIDTH, HEIGHT), fmt, color or ColorSpec())
    actual = outputs_of(open_backend("openvino").open(usual, precision="exact"), planes)
    expected = outputs_of(open_backend("onnxruntime").open(usual, precision="exact"), planes)
    for a, b in zip(actual, expected, strict=True):
        assert_close(a, b, FLOAT_SUMS if fmt.is_float else TIES)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("siting", ["left", "center", "topleft", "bottom"])
def test_packed_chroma_keeps_its_siting_up_to_the_border(siting: Siting, scale: int) -> None:
    for sampling in ("420", "422", "440"):
        assert_packed_equals_usual(random_model(scale), yuv(sampling), ColorSpec(siting=siting))


@pytest.mark.parametrize(
    "fmt", [yuv("444"), yuv("420", 10), yuv("420", 16), rgb(), gray(12), HALF, SINGLE, FLOAT_420], ids=str
)
def test_packed_equals_the_usual_exit_in_every_kind_of_format(fmt: PixelFormat) -> None:
    assert_packed_equals_usual(random_model(2), fmt)
    assert_packed_equals_usual(random_model(4, base=False), fmt)
    assert_packed_equals_usual(random_model(3), fmt)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_packed_equals_the_usual_exit_for_luma_networks(scale: int) -> None:
    for fmt in (yuv("420"), yuv("444", 10), gray()):
        assert_packed_equals_usual(random_model(scale, color_space="y"), fmt)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_packed_equals_the_usual_exit_where_the_border_is_continued(scale: int) -> None:
    for color_space in ("rgb", "y"):
        model = random_model(scale, color_space=color_space)
        spec = spec_of(model)
        assert spec is not None
        with_spec(model, replace(spec, border_px=4))
        for fmt in (yuv("420"), yuv("422", 10), *([rgb()] if color_space == "rgb" else [])):
            assert_packed_equals_usual(model, fmt, ColorSpec(siting="topleft"))


def test_the_other_order_of_channels_is_packed_too() -> None:
    model = random_model(2, base=False)
    node = next(node for node in model.graph.node if node.op_type == "DepthToSpace")
    next(attribute for attribute in node.attribute if attribute.name == "mode").s = b"DCR"
    assert_packed_equals_usual(model, yuv("420"))


def test_without_its_strips_the_first_chroma_column_would_be_wrong() -> None:
    usual = composed(random_model(2), yuv("420"))
    packed = usual.packed()
    assert packed is not None
    bare = replace(packed, pieces=tuple(piece for piece in packed.pieces if piece.plane == 0 or piece.first >= 4))
    assert len(bare.pieces) < len(packed.pieces)
    planes = planes_from_rgb(picture(WIDTH, HEIGHT), yuv("420"), ColorSpec())
    whole, without = (
        outputs_of(
            open_backend("openvino").open(replace(usual, packed=lambda form=form: form), precision="exact"), planes
        )
        for form in (packed, bare)
    )
    for plane in (1, 2):
        assert (whole[plane][:, 1:] == without[plane][:, 1:]).all()
        assert (whole[plane][:, 0] != without[plane][:, 0]).any()


def test_a_network_that_ends_in_anything_else_is_not_packed() -> None:
    build, inner = OnnxBuilder(), random_model(2)
    value = build.inline(inner, INPUT_NAME, "inner/")
    build.op("body", "Clip", value, build.constant(0.0), build.constant(1.0), output=OUTPUT_NAME)
    build.inputs.extend(inner.graph.input)
    build.outputs.extend(inner.graph.output)
    clipped = with_spec(build.model("clipped", 18), ModelSpec(name="clipped", scale=2, halo_px=8))
    assert composed(clipped, yuv("420")).packed() is None
    assert composed(random_model(2), yuv("420", semiplanar=True)).packed() is None


@settings(max_examples=60, deadline=None)
@given(
    block=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    kind=st.sampled_from(["u1", "u2", "f2", "f4"]),
    window=st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(1, 6), st.integers(1, 6)),
    first=st.integers(0, 3),
    is_strided=st.booleans(),
)
def test_any_window_of_a_packed_plane_is_that_part_of_the_plane(
    block: tuple[int, int], kind: str, window: tuple[int, int, int, int], first: int, is_strided: bool
) -> None:
    rows, columns = block
    tensor = np.arange(6 * 7 * (first + rows * columns + 1)).reshape(6, 7, -1).astype(kind)
    cells = tensor[..., first : first + rows * columns].reshape(6, 7, rows, columns)
    plane = cells.transpose(0, 2, 1, 3).reshape(6 * rows, 7 * columns)
    top, left, down, across = window[0] * rows, window[1] * columns, window[2] * rows, window[3] * columns
    expected = plane[top : top + down, left : left + across]
    target = np.zeros((expected.shape[0], expected.shape[1] * 2), kind)
    target = target[:, ::2] if is_strided else target[:, : expected.shape[1]]
    copy_piece(Piece(plane=0, tensor="", first=first, block=block), tensor, target, row=top, column=left)
    assert np.array_equal(target, expected)

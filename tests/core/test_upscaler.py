"""Tiled equals whole, order is kept, reuse changes nothing, errors reach the caller."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from sr_core.backend import ComposedGraph, Deliver, open_backend, plane_of
from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.difference import Tolerance, assert_close, difference
from sr_core.errors import BadInput, EngineError
from sr_core.frame import Array, PixelFormat, Planes, gray, rgb, yuv
from sr_core.model_spec import ModelSpec, spec_of
from sr_core.testing import global_model, nearest_model, picture, planes_from_rgb, random_model
from sr_core.upscaler import Upscaler

FLOAT_RGB = PixelFormat(family="rgb", depth=32, is_float=True)
FP32_ACROSS_SHAPES = Tolerance(worst=1e-5, why="another tile shape may pick another summation order; measured 4e-7")
NETS = {
    "bilinear base": random_model(2, seed=1),
    "deeper, no base": random_model(3, layers=4, seed=2, base=False),
    "luma only": random_model(4, seed=3, color_space="y"),
}


def known_spec(model: ModelProto) -> ModelSpec:
    spec = spec_of(model)
    assert spec is not None
    return spec


class ReferenceBackend:
    """ONNX's own reference evaluator, plain and slow, in float64: one summation order for all shapes."""

    name = "reference"
    device = "numpy"
    contexts = 2
    on_cpu = False
    plane_device = None

    def open(self, graph: ComposedGraph, **_: object) -> ReferenceSession:
        return ReferenceSession(graph)


def in_float64(model: ModelProto) -> ModelProto:
    """The same graph in float64, where summation order never reaches a rounded code."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for node in copy.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.DOUBLE
    return copy


class ReferenceSession:
    contexts = 2
    precision = "f32"

    def __init__(self, graph: ComposedGraph) -> None:
        self.names, self.graph = graph.output_names, graph
        self.evaluator = ReferenceEvaluator(in_float64(graph.model))

    def run(self, planes: Sequence[Array], deliver: Deliver) -> None:
        feed = {
            value.name: plane.reshape([dim.dim_value for dim in value.type.tensor_type.shape.dim])
            for value, plane in zip(self.graph.model.graph.input, planes, strict=True)
        }
        outputs = self.evaluator.run(None, feed)
        deliver([plane_of(tensor, name) for tensor, name in zip(outputs, self.names, strict=True)])

    def close(self) -> None:
        """Nothing to free."""


def upscaled(
    model: ModelProto, planes: Planes, fmt: PixelFormat, color: ColorSpec, *, backend: object, tile: int
) -> Planes:
    with Upscaler(model, known_spec(model), backend, tile=tile) as upscaler:  # type: ignore[arg-type]
        return upscaler.planes(planes, fmt, color)


@settings(max_examples=12, deadline=None)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 50),
    tile=st.integers(24, 60),
    net=st.sampled_from(sorted(NETS)),
    sampling=st.sampled_from(["420", "422", "444"]),
)
def test_tiled_equals_whole_bit_for_bit_on_the_reference(
    width: int, height: int, tile: int, net: str, sampling: str
) -> None:
    fmt, color = yuv(sampling), ColorSpec()
    planes = planes_from_rgb(picture(width, height), fmt, color)
    whole = upscaled(NETS[net], planes, fmt, color, backend=ReferenceBackend(), tile=4096)
    tiled = upscaled(NETS[net], planes, fmt, color, backend=ReferenceBackend(), tile=tile)
    for a, b in zip(tiled, whole, strict=True):
        assert np.array_equal(a, b), f"{difference(a, b)}"


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("size", [(131, 97), (60, 200), (48, 48), (1, 1), (7, 90)], ids=str)
def test_tiled_equals_whole_on_each_backend(backend: str, net: str, size: tuple[int, int]) -> None:
    opened = open_backend(backend)
    pixels = picture(*size).astype(np.float32)
    planes = tuple(np.ascontiguousarray(pixels[..., index]) for index in range(3))
    whole = upscaled(NETS[net], planes, FLOAT_RGB, FULL_RANGE_RGB, backend=opened, tile=4096)
    tiled = upscaled(NETS[net], planes, FLOAT_RGB, FULL_RANGE_RGB, backend=opened, tile=48)
    for a, b in zip(tiled, whole, strict=True):
        assert_close(a, b, FP32_ACROSS_SHAPES)


@pytest.mark.parametrize("fmt", [yuv("420"), yuv("420", 10), rgb(packed=True), gray(16)], ids=str)
def test_integer_output_of_tiles_differs_from_whole_by_rounding_ties_only(fmt: PixelFormat) -> None:
    backend, color = open_backend("openvino"), ColorSpec()
    planes = planes_from_rgb(picture(301, 233), fmt, color)
    for model in NETS.values():
        whole = upscaled(model, planes, fmt, color, backend=backend, tile=4096)
        tiled = upscaled(model, planes, fmt, color, backend=backend, tile=64)
        for a, b in zip(tiled, whole, strict=True):
            allowed = 1e-5 if fmt.depth < 16 else 2e-2  # a 16-bit code is 1.5e-5: fp32 noise reaches it
            assert_close(a, b, Tolerance(worst=1, share=allowed, why="rounding ties"))


def test_a_halo_one_pixel_too_small_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seam tests above can fail."""
    model = NETS["deeper, no base"]
    planes = planes_from_rgb(picture(90, 60), rgb(), FULL_RANGE_RGB)
    backend = open_backend("openvino")
    whole = upscaled(model, planes, rgb(), FULL_RANGE_RGB, backend=backend, tile=4096)
    monkeypatch.setattr("sr_core.graph.compose.receptive_radius", lambda *_, **__: 2)
    tiled = upscaled(model, planes, rgb(), FULL_RANGE_RGB, backend=backend, tile=32)
    assert max(difference(a, b).worst for a, b in zip(tiled, whole, strict=True)) > 1


def steps_of_a_blended_gradient() -> float:
    """How much the difference from the whole frame changes between two columns, at most, in codes.

    The network scales a tile by its mean, so that on a gradient a tile and the whole disagree by up to 40 codes.
    """
    gradient = np.tile(np.linspace(40, 200, 260).astype(np.uint8), (100, 1))
    planes, backend = (gradient, gradient, gradient), open_backend("openvino")
    model = global_model(2)
    assert known_spec(model).halo_px is None
    tiled, whole = (upscaled(model, planes, rgb(), FULL_RANGE_RGB, backend=backend, tile=tile) for tile in (96, 4096))
    inner = (slice(24, -24), slice(24, -24))
    differences = [a[inner].astype(int) - b[inner] for a, b in zip(tiled, whole, strict=True)]
    return max(float(np.abs(np.diff(found, axis=1)).max()) for found in differences)


def test_unbounded_networks_are_blended_without_seams() -> None:
    assert steps_of_a_blended_gradient() <= 6


def test_a_hard_cut_between_tiles_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail."""

    def cut(length: int, *, overlap_before: int, overlap_after: int, margin: int = 0) -> list[float]:
        return [float(overlap_before // 2 <= index < length - overlap_after // 2) for index in range(length)]

    monkeypatch.setattr("sr_core.tiles.blending.ramp", cut)
    assert steps_of_a_blended_gradient() > 12


def test_reuse_changes_no_bit_and_saves_tiles() -> None:
    """A sequence where one corner moves: unchanged tiles are copied, and every frame is exact."""
    model, fmt, color = NETS["bilinear base"], yuv("420"), ColorSpec()
    still = planes_from_rgb(picture(256, 192), fmt, color)
    frames: list[Planes] = []
    for index in range(8):
        moved = tuple(plane.copy() for plane in still)
        moved[0][:16, :16] = index * 20
        frames.append(moved)
    backend = open_backend("openvino")
    results: dict[bool, list[Planes]] = {}
    for reuse in (False, True):
        with Upscaler(model, known_spec(model), backend, tile=64, reuse=reuse) as upscaler:
            futures: list[Future[Planes]] = [upscaler.submit(frame, fmt, color) for frame in frames]
            results[reuse] = [future.result() for future in futures]
            if reuse:
                assert upscaler.counts.reused > upscaler.counts.computed
    for plain, copied in zip(results[False], results[True], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(plain, copied, strict=True))


def test_callers_may_overwrite_their_input_after_a_result() -> None:
    """Reuse compares with a private copy, not with the caller's buffer."""
    model, fmt = nearest_model(2), gray()
    buffer = np.zeros((64, 64), np.uint8)
    with Upscaler(model, known_spec(model), open_backend("openvino"), tile=48) as upscaler:
        for value in (10, 200, 90):
            buffer[:] = value
            (out,) = upscaler.submit((buffer,), fmt, FULL_RANGE_RGB).result()
            assert (out == value).all()


def test_output_planes_may_be_strided_views_of_the_caller() -> None:
    fmt, model = yuv("420"), nearest_model(2)
    planes = planes_from_rgb(picture(40, 30), fmt, ColorSpec())
    wide = [np.zeros((60, 96), np.uint8), np.zeros((30, 64), np.uint8), np.zeros((30, 64), np.uint8)]
    views = (wide[0][:, :80], wide[1][:, :40], wide[2][:, :40])
    with Upscaler(model, known_spec(model), open_backend("openvino"), tile=64) as upscaler:
        out = upscaler.planes(planes, fmt, ColorSpec(), views)
        expected = upscaler.planes(planes, fmt, ColorSpec())
    assert all(a is b for a, b in zip(out, views, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(views, expected, strict=True))
    assert not wide[0][:, 80:].any()


def test_odd_output_into_given_planes_is_cropped_not_shifted() -> None:
    fmt, model = yuv("420"), nearest_model(3)
    planes = planes_from_rgb(picture(33, 21), fmt, ColorSpec())
    target = fmt.empty(99, 63)
    with Upscaler(model, known_spec(model), open_backend("openvino"), tile=64) as upscaler:
        upscaler.planes(planes, fmt, ColorSpec(), target)
    assert np.array_equal(target[0], planes[0].repeat(3, 0).repeat(3, 1))


def test_planes_that_do_not_fit_the_format_are_refused_with_their_shape() -> None:
    model = nearest_model(2)
    with (
        Upscaler(model, known_spec(model), open_backend("openvino"), tile=64) as upscaler,
        pytest.raises(BadInput, match=r"plane 'u' is uint8 \(8, 8\), expected uint8 \(4, 4\)"),
    ):
        upscaler.planes(tuple(np.zeros((8, 8), np.uint8) for _ in range(3)), yuv("420"), ColorSpec())


def test_an_engine_failure_reaches_the_caller_and_the_next_frame_works() -> None:
    class Flaky(ReferenceBackend):
        def open(self, graph: ComposedGraph, **_: object) -> ReferenceSession:
            session = ReferenceSession(graph)
            real = session.run

            def run(planes: Sequence[Array], deliver: Deliver) -> None:
                if planes[0].max() == 13:
                    raise EngineError("out of memory on tile")
                real(planes, deliver)

            session.run = run  # type: ignore[method-assign]
            return session

    model = nearest_model(2)
    bad, good = (np.full((40, 40), value, np.uint8) for value in (13, 14))
    with Upscaler(model, known_spec(model), Flaky(), tile=32) as upscaler:  # type: ignore[arg-type]
        first = upscaler.submit((bad,), gray(), FULL_RANGE_RGB)
        second = upscaler.submit((good,), gray(), FULL_RANGE_RGB)
        with pytest.raises(EngineError, match="out of memory"):
            first.result()
        assert (second.result()[0] == 14).all()


def test_waiting_callers_do_a_small_frame_themselves_and_reuse_it() -> None:
    model = nearest_model(2)
    threads: set[str] = set()

    class Watched(ReferenceBackend):
        def open(self, graph: ComposedGraph, **_: object) -> ReferenceSession:
            session = ReferenceSession(graph)
            real = session.run

            def run(planes: Sequence[Array], deliver: Deliver) -> None:
                threads.add(threading.current_thread().name)
                real(planes, deliver)

            session.run = run  # type: ignore[method-assign]
            return session

    frame = np.full((40, 40), 14, np.uint8)
    for tile, expected in ((64, {threading.current_thread().name}), (32, {"srvid-tile_0", "srvid-tile_1"})):
        threads.clear()
        with Upscaler(model, known_spec(model), Watched(), tile=tile) as upscaler:  # type: ignore[arg-type]
            for _ in range(2):
                (result,) = upscaler.next_planes((frame,), gray(), FULL_RANGE_RGB)
                assert (result == 14).all()
            assert upscaler.counts.reused == upscaler.counts.computed > 0
        assert threads <= expected


def test_a_closed_upscaler_says_so() -> None:
    model = nearest_model(2)
    upscaler = Upscaler(model, known_spec(model), open_backend("openvino"), tile=64)
    upscaler.close()
    with pytest.raises(EngineError, match="closed"):
        upscaler.planes((np.zeros((8, 8), np.uint8),), gray(), FULL_RANGE_RGB)

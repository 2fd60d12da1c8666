"""A card with too little memory for a tile gets smaller ones; only where none fits the next device is taken."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence

import numpy as np
import pytest

from sr_core.backend import Backend, ComposedGraph, Deliver, Precision, Progress, Session, open_backend
from sr_core.backends.cuda import Cuda
from sr_core.backends.next_best import NextBest
from sr_core.backends.tensorrt_session import TensorRtSession
from sr_core.color import ColorSpec
from sr_core.errors import OutOfMemory, failure_of_engine
from sr_core.frame import Array, yuv
from sr_core.model_spec import spec_of
from sr_core.testing import picture, random_model
from sr_core.upscaler import Upscaler
from srvid.recipe import EngineRecipe
from tests.trt.fake_cuda import FakeCuda
from tests.trt.fake_tensorrt import FakeRtxLibrary, FakeTensorRt
from tests.trt.networks import NV12
from trt_build.ensure import final_graph

MODEL = random_model(2, layers=1, features=4)
SPEC = spec_of(MODEL)
assert SPEC is not None
WIDTH, HEIGHT = 512, 256


class Card:
    """TensorRT-RTX on a card of so many bytes; the real session over the fakes."""

    name, device, contexts, on_cpu, plane_device = "tensorrt_rtx", "small card", 3, False, None

    def __init__(self, memory_bytes: int) -> None:
        self.cuda = FakeCuda(memory_bytes=memory_bytes)

    def open(self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None) -> Session:
        plan = final_graph(graph).model.SerializeToString()
        trt = FakeTensorRt(self.cuda)
        return TensorRtSession(FakeRtxLibrary(trt), plan, precision="fp16+fp32", cuda=Cuda(self.cuda))


def enlarged(backend: Backend, *, tile: int | None = None) -> tuple[list[Array], tuple[int, int]]:
    assert SPEC is not None
    codes = (picture(WIDTH, HEIGHT) * 219 + 16).round().astype(np.uint8)
    planes = codes[..., 1], np.ascontiguousarray(codes[::2, ::2, :2])
    with Upscaler(MODEL, SPEC, backend, tile=tile) as upscaler:
        made = [plane.copy() for plane in upscaler.planes(planes, NV12, ColorSpec())]
        return made, upscaler.read_size_for(NV12, ColorSpec(), WIDTH, HEIGHT)


def test_tiles_are_halved_until_they_fit_and_the_picture_is_the_same(caplog: pytest.LogCaptureFixture) -> None:
    expected, whole = enlarged(Card(1 << 30))
    assert whole == (WIDTH, HEIGHT)
    small = Card(4 << 20)
    with caplog.at_level(logging.WARNING):
        got, read = enlarged(small)
    assert read[0] <= WIDTH // 2
    assert not small.cuda.memory
    assert "small card has too little memory for tiles of 512x256 (cuda" in caplog.text
    for actual, wanted in zip(got, expected, strict=True):
        difference = np.abs(actual.astype(int) - wanted)
        assert difference.max() <= 1  # FP16 sums in another order where another kernel is taken


def test_a_tile_that_was_asked_for_is_not_made_smaller() -> None:
    with pytest.raises(OutOfMemory, match="out of memory") as caught:
        enlarged(Card(1 << 20), tile=256)
    assert "smaller tile" in caught.value.hint


class RunsShort:
    """A device whose memory is taken by somebody else at its `at`-th tile: from then on larger ones do not run."""

    name, device, contexts, on_cpu, plane_device = "onnxruntime", "shared card", 3, False, None

    most_pixels = 1 << 16

    def __init__(self, at: int) -> None:
        self.cpu = open_backend("openvino", threads=1)
        self.left = itertools.chain(range(at), itertools.repeat(at))
        self.at, self.refused, self.open_sizes = at, 0, list[tuple[int, int]]()

    def open(self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None) -> Session:
        self.open_sizes.append((graph.width, graph.height))
        return RunsShortSession(self, self.cpu.open(graph, precision="exact"), graph.width * graph.height)


class RunsShortSession:
    contexts, precision = 3, "f32"

    def __init__(self, device: RunsShort, session: Session, pixels: int) -> None:
        self.device, self.session, self.pixels = device, session, pixels

    def run(self, planes: Sequence[Array], deliver: Deliver) -> None:
        if next(self.device.left) == self.device.at and self.pixels > self.device.most_pixels:
            self.device.refused += 1
            raise failure_of_engine("Failed to allocate memory for requested buffer of size 1073741824")
        self.session.run(planes, deliver)

    def close(self) -> None:
        self.session.close()


# 700x300: two tiles, of which one may run and the other not; 512x512: one
@pytest.mark.parametrize(
    ("width", "height", "at"),
    [(700, 300, 0), (700, 300, 1), (700, 300, 3), (700, 300, 4), (512, 512, 0), (512, 512, 2)],
)
def test_memory_that_runs_out_midway_costs_no_frame(
    width: int, height: int, at: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert SPEC is not None
    fmt = yuv("420")
    rng = np.random.default_rng(1)
    frames = [[rng.integers(16, 236, shape, np.uint8) for shape in fmt.plane_shapes(width, height)] for _ in range(4)]
    frames[2] = frames[1]  # reuse must take nothing from a tile that was not made
    device = RunsShort(at)
    with caplog.at_level(logging.WARNING), Upscaler(MODEL, SPEC, device) as upscaler:
        made = [upscaler.submit(tuple(frame), fmt, ColorSpec()) for frame in frames]
        got = [[plane.copy() for plane in future.result(timeout=300)] for future in made]
        read = upscaler.read_size_for(fmt, ColorSpec(), width, height)
    with Upscaler(MODEL, SPEC, open_backend("openvino", threads=1), precision="exact") as upscaler:
        wanted = [upscaler.planes(tuple(frame), fmt, ColorSpec()) for frame in frames]
    for number, (actual, expected) in enumerate(zip(got, wanted, strict=True)):
        for plane, other in zip(actual, expected, strict=True):
            assert np.abs(plane.astype(int) - other).max() <= 1, number
    assert device.refused >= 1
    assert read[0] * read[1] <= device.most_pixels
    assert caplog.text.count("shared card has too little memory for tiles of") == len(set(device.open_sizes)) - 1


def test_memory_that_runs_out_for_a_tile_that_was_asked_for_ends_the_run() -> None:
    assert SPEC is not None
    planes = tuple(np.zeros(shape, np.uint8) for shape in yuv("420").plane_shapes(700, 300))
    with Upscaler(MODEL, SPEC, RunsShort(1), tile=512) as upscaler, pytest.raises(OutOfMemory, match="allocate"):
        upscaler.submit(planes, yuv("420"), ColorSpec()).result(timeout=300)


def test_where_no_tile_fits_it_ends_or_the_next_device_goes_on() -> None:
    with pytest.raises(OutOfMemory):
        enlarged(Card(1 << 10))
    said: list[str] = []
    cpu = open_backend("openvino", threads=1)
    got, _ = enlarged(NextBest(Card(1 << 10), [cpu], say=said.append))
    assert "going on with openvino" in said[0]
    expected, _ = enlarged(cpu)
    assert all(np.array_equal(actual, wanted) for actual, wanted in zip(got, expected, strict=True))


class Frames:
    """What `identity` asks of a video."""

    format, color, width, height = yuv("420"), ColorSpec(), 700, 300


def test_a_job_that_goes_on_begins_with_what_memory_left_and_is_still_the_same_job() -> None:
    assert SPEC is not None
    planes = tuple(np.full(shape, 90, np.uint8) for shape in yuv("420").plane_shapes(700, 300))
    with Upscaler(MODEL, SPEC, RunsShort(0)) as upscaler:
        begun = upscaler.identity(Frames())
        upscaler.submit(planes, yuv("420"), ColorSpec()).result(timeout=300)
        assert upscaler.identity(Frames()) == begun
        left = upscaler.tile_now(Frames())
        assert left != begun["tile"]
    recipe = EngineRecipe().like(begun | {"tile now": left})
    device = RunsShort(1 << 30)  # its memory is free again
    with Upscaler(MODEL, SPEC, device, tile=recipe.tile) as resumed:
        assert resumed.identity(Frames()) == begun
        assert resumed.tile_now(Frames()) == left
        assert device.open_sizes == [tuple(map(int, left.split("x")))]


def test_a_tile_that_a_job_began_with_gives_way_where_memory_is_short() -> None:
    """It was chosen, not asked for: the card that goes on may be a smaller one."""
    assert SPEC is not None
    with Upscaler(MODEL, SPEC, RunsShort(1 << 30)) as upscaler:
        begun = upscaler.identity(Frames())
    planes = tuple(np.full(shape, 90, np.uint8) for shape in yuv("420").plane_shapes(700, 300))
    with Upscaler(MODEL, SPEC, RunsShort(0), tile=EngineRecipe().like(begun).tile) as resumed:
        resumed.submit(planes, yuv("420"), ColorSpec()).result(timeout=300)
        assert resumed.tile_now(Frames()) != begun["tile"]
        assert resumed.identity(Frames()) == begun
    assert EngineRecipe(tile=256).like(begun).tile == 256  # asked for

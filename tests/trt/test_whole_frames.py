"""On a card that tells its memory a frame is one tile, where it fits and where tiles would cost the host time."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from onnx import ModelProto

from sr_core.backend import ComposedGraph, Precision, Progress
from sr_core.backends.next_best import NextBest
from sr_core.backends.tensorrt import TensorRtRtx
from sr_core.backends.tensorrt_library import load_library
from sr_core.color import ColorSpec
from sr_core.engine_key import BuildOptions
from sr_core.errors import OutOfMemory
from sr_core.graph.compose import compose
from sr_core.graph.cost import cost_of
from sr_core.model_spec import spec_of
from sr_core.testing import random_model
from sr_core.tiles.sessions import GPU_READ, TileSessions
from srvid.front_door import resolve_model
from tests.trt.cards import L4
from tests.trt.conftest import Machine
from tests.trt.networks import NV12, P010, YUV420P8
from trt_build.ahead import LEAST_MEMORY_BYTES, AheadBackend
from trt_build.build import serialize_engine
from trt_build.byte_planes import with_byte_planes
from trt_build.fp16 import lower_to_fp16, name_nodes
from trt_build.store import EngineStore

FULL_HD = (1920, 1080)


class Opens:
    """A device of so many bytes that opens graphs of up to so many pixels, and runs none."""

    name, device, contexts, on_cpu, plane_device = "card", "card", 3, False, None

    def __init__(self, memory_bytes: int, *, most_pixels: int = 1 << 30) -> None:
        self.opened: list[tuple[int, int]] = []
        self.most_pixels = most_pixels
        if memory_bytes:
            self.memory_bytes = memory_bytes

    def open(self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None) -> Any:
        self.opened.append((graph.width, graph.height))
        if graph.width * graph.height > self.most_pixels:
            raise OutOfMemory("no memory")
        return SimpleNamespace(precision="f32", contexts=3, close=lambda: None)


def read_size(
    backend: Any, model: ModelProto, size: tuple[int, int] = FULL_HD, *, shared_tiles: bool = False
) -> tuple[int, int]:
    spec = spec_of(model)
    assert spec is not None
    sessions = TileSessions(model, spec, backend, precision="auto", tile=None, shared_tiles=shared_tiles, progress=None)
    plan = sessions.for_frame(NV12, ColorSpec(), *size).plan
    sessions.close()
    return plan.read_width, plan.read_height


SMALL = random_model(2, layers=2, features=16)


def test_a_frame_is_one_tile_where_it_fits() -> None:
    assert read_size(Opens(8 << 30), SMALL) == FULL_HD
    assert read_size(NextBest(Opens(8 << 30), []), SMALL) == FULL_HD


@pytest.mark.parametrize("memory", [0, 1 << 30], ids=["not told", "too little"])
def test_otherwise_it_is_cut_as_before(memory: int) -> None:
    assert max(read_size(Opens(memory), SMALL)) <= GPU_READ


def test_networks_beside_which_tiles_cost_nothing_are_cut() -> None:
    """They take seconds a frame on a card, and minutes in FP32 on a CPU, which checks every engine once."""
    assert max(read_size(Opens(80 << 30), random_model(2, layers=3, features=256))) <= GPU_READ


def test_folders_of_images_share_one_shape() -> None:
    assert read_size(Opens(80 << 30), SMALL, shared_tiles=True) == (GPU_READ, GPU_READ)


def test_a_whole_frame_without_memory_is_halved(caplog: pytest.LogCaptureFixture) -> None:
    card = Opens(8 << 30, most_pixels=600 * 600)
    with caplog.at_level(logging.WARNING):
        read = read_size(card, SMALL)
    assert card.opened[0] == FULL_HD
    assert [max(size) for size in card.opened] == sorted((max(size) for size in card.opened), reverse=True)
    assert read == card.opened[-1]
    assert "too little memory for tiles of 1920x1080" in caplog.text


def test_engines_built_ahead_of_time_are_those_that_a_run_asks_for(tmp_path: Path) -> None:
    library = load_library("tensorrt_rtx")
    ahead = AheadBackend(library, targets=["sm89"], store=EngineStore(tmp_path))
    assert ahead.memory_bytes == LEAST_MEMORY_BYTES
    assert AheadBackend(library, targets=["sm89"], store=EngineStore(tmp_path), gpu=L4).memory_bytes == 24 << 30
    for name in ("clear-x2", "clear-x4", "swift-x4"):
        model, _ = resolve_model(name)
        for size in ((1280, 720), FULL_HD):
            run = read_size(Opens(L4.memory_bytes), model, size)
            assert run == size
            assert read_size(Opens(ahead.memory_bytes), model, size) == run


def test_the_cards_own_memory_is_what_counts(machine: Machine) -> None:
    assert TensorRtRtx(ensure_engine=machine.ensure).memory_bytes == L4.memory_bytes


@pytest.mark.parametrize("name", ["clear-x2", "swift-x4"])
@pytest.mark.parametrize("fmt", [NV12, P010, YUV420P8], ids=str)
def test_the_estimate_is_near_what_the_builder_states(name: str, fmt: Any) -> None:
    """The real builder; within a factor of 2, of which 1.5 is left as room; a third of the memory is taken."""
    model, spec = resolve_model(name)
    small = cost_of(compose(model, spec, fmt, ColorSpec(), width=96, height=96))
    graph = compose(model, spec, fmt, ColorSpec(), width=512, height=512)
    whole = cost_of(graph)
    assert small is not None
    assert whole is not None
    # the border around a small tile is a part of it: the estimate is made on one, and errs on the safe side
    assert whole.activation_bytes <= small.activation_bytes <= whole.activation_bytes * 1.25
    assert whole.multiplications <= small.multiplications <= whole.multiplications * 1.25
    split, added = with_byte_planes(name_nodes(graph.model))
    lowered = lower_to_fp16(split, graph.keep_fp32 | added)
    built = serialize_engine(
        load_library("tensorrt_rtx"), lowered.SerializeToString(), target="sm89", options=BuildOptions(), gpu=None
    )
    stated = built.activation_bytes / (512 * 512)
    assert stated / 2 < whole.activation_bytes < stated * 2.5

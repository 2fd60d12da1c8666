"""What the OpenVINO backend promises beside running graphs."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from sr_core.backend import ComposedGraph
from sr_core.backends import openvino as openvino_backend
from sr_core.backends.choice import cpu_clock, read_verdicts
from sr_core.backends.fidelity import fidelity_db
from sr_core.backends.openvino import OpenVino
from sr_core.backends.openvino_session import OpenVinoSession
from sr_core.color import ColorSpec
from sr_core.errors import EngineError
from sr_core.frame import Array, PixelFormat, yuv
from sr_core.graph.compose import compose
from sr_core.model_spec import spec_of
from sr_core.storage import CACHE_VARIABLE
from sr_core.testing import random_model


@pytest.fixture(scope="module")
def composed() -> ComposedGraph:
    model = random_model(2, layers=3)
    spec = spec_of(model)
    assert spec is not None
    return compose(model, spec, yuv("420"), ColorSpec(), width=64, height=48)


def test_the_precision_that_runs_is_named(composed: ComposedGraph) -> None:
    backend = OpenVino(threads=1)
    assert backend.open(composed, precision="exact").precision == "f32"
    assert backend.open(composed, precision="f32").precision == "f32"
    assert backend.open(composed, precision="bf16+f32").precision == "bf16+f32"


@pytest.fixture
def bf16_is_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], OpenVino]:
    """A backend on a CPU that says it has bf16, `times` as fast as f32; an empty cache."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))

    def backend(times: float) -> OpenVino:
        monkeypatch.setattr(
            openvino_backend,
            "interleaved_seconds",
            lambda work, tell, clock: {way: 1.0 if way == "f32" else 1.0 / times for way in work},
        )
        made = OpenVino(threads=1)
        made.capabilities = frozenset({"BF16", "FP32"})
        return made

    return backend


def composed_at(width: int, height: int, fmt: PixelFormat) -> ComposedGraph:
    model = random_model(2, layers=3)
    spec = spec_of(model)
    assert spec is not None
    return compose(model, spec, fmt, ColorSpec(), width=width, height=height)


def test_auto_takes_bf16_only_where_it_is_faster(bf16_is_faster: Callable[[float], OpenVino]) -> None:
    """With AMX masked, a CPU that lists BF16 ran it 1.7 times slower than f32."""
    frame, other = composed_at(64, 48, yuv("420")), composed_at(64, 48, yuv("422"))
    assert bf16_is_faster(1 / 1.7).open(frame).precision == "f32"
    assert bf16_is_faster(3.0).open(other).precision == "bf16+f32"
    assert bf16_is_faster(3.0).open(other, precision="exact").precision == "f32"


def test_what_was_decided_once_holds_for_every_size_and_every_later_run(
    bf16_is_faster: Callable[[float], OpenVino],
) -> None:
    assert bf16_is_faster(3.0).open(composed_at(64, 48, yuv("420"))).precision == "bf16+f32"
    assert bf16_is_faster(0.5).open(composed_at(96, 80, yuv("420"))).precision == "bf16+f32"
    (verdict,) = read_verdicts()
    assert re.fullmatch(r"random0-x2 yuv420-8 [0-9a-f]{12}", verdict.question["graph"])
    assert "dB against f32" in str(verdict)


def test_a_way_that_is_not_faithful_is_refused_without_a_word(
    bf16_is_faster: Callable[[float], OpenVino], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(openvino_backend, "fidelity_db", lambda *_: 57.4)
    backend = bf16_is_faster(9.0)
    assert backend.open(composed_at(64, 48, yuv("420"))).precision == "f32"
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]
    (verdict,) = read_verdicts()
    assert "57.4 dB against f32, refused: 57.5 dB needed" in str(verdict)


def test_ways_on_a_cpu_are_compared_by_its_time_not_by_the_clock_on_the_wall(
    bf16_is_faster: Callable[[float], OpenVino], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What else a machine does decided which bytes came out: int8 899 ms, f32 199, where they are equally fast."""
    backend, clocks = bf16_is_faster(3.0), list[object]()

    def count(work: dict[str, object], tell: object, clock: object) -> dict[str, float]:
        clocks.append(clock)
        return dict.fromkeys(work, 1.0)

    monkeypatch.setattr(openvino_backend, "interleaved_seconds", count)
    assert backend.open(composed_at(64, 48, yuv("420"))).precision == "f32"
    assert clocks == [cpu_clock()]


def test_threads_are_not_pinned_so_that_two_processes_use_two_cores(composed: ComposedGraph) -> None:
    """Pinned, each takes the first cores: two of one thread were as fast as one."""
    session = OpenVino(threads=1).open(composed, precision="exact")
    assert session.compiled.get_property("ENABLE_CPU_PINNING") is False


def test_a_frame_is_written_into_its_planes_without_another_copy() -> None:
    """By default `InferRequest.infer` returns copies of the outputs, which cost more than a light graph."""
    model = random_model(2, layers=1)
    spec = spec_of(model)
    assert spec is not None
    large = compose(model, spec, yuv("420"), ColorSpec(), width=640, height=480)
    session = OpenVino(threads=1).open(large, precision="exact")
    planes, targets = yuv("420").empty(640, 480), yuv("420").empty(1280, 960)
    corners = [(0, 0)] * len(targets)
    session.run_into(planes, targets, corners)
    tracemalloc.start()
    try:
        session.run_into(planes, targets, corners)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < targets[1].nbytes // 2


def test_exact_runs_every_convolution_in_f32(composed: ComposedGraph) -> None:
    """The plug-in would choose bf16 by itself where it can."""
    session = OpenVino(threads=1).open(composed, precision="exact")
    kinds = {  # no node is kept: one that is freed after its plug-in was unloaded crashes
        op.get_friendly_name(): op.get_rt_info()["runtimePrecision"].astype(str)
        for op in session.compiled.get_runtime_model().get_ordered_ops()
        if op.get_rt_info()["layerType"].astype(str) == "Convolution"
    }
    assert kinds
    assert set(kinds.values()) == {"f32"}


@pytest.mark.parametrize("semiplanar", [False, True])
def test_one_code_of_ten_bits_is_sixty_decibels_however_codes_are_stored(semiplanar: bool) -> None:
    """P010 keeps them in the high bits; taken for the low ones, every bf16 graph would have been dropped."""
    model = random_model(2, layers=1)
    spec, fmt = spec_of(model), yuv("420", 10, semiplanar=semiplanar)
    assert spec is not None
    wide = compose(model, spec, fmt, ColorSpec(), width=64, height=48)
    session = OpenVino(threads=1).open(wide, precision="exact")
    one_code = 1 << 6 if semiplanar else 1

    class OneCodeOff:
        def run_into(
            self, planes: Sequence[Array], targets: Sequence[Array], corners: Sequence[tuple[int, int]]
        ) -> None:
            session.run_into(planes, targets, corners)
            for plane in targets:
                plane ^= one_code

    found = fidelity_db(cast(OpenVinoSession, OneCodeOff()), session, wide)
    assert found == pytest.approx(20 * np.log10(1023))


def test_a_graph_openvino_cannot_read_is_an_engine_error_with_its_text(composed: ComposedGraph) -> None:
    broken = type(composed.model)()
    broken.CopyFrom(composed.model)
    broken.graph.node[0].op_type = "NoSuchOperator"
    graph_of_it = ComposedGraph(model=broken, keep_fp32=frozenset(), scale=2, width=64, height=48, depth=8)
    with pytest.raises(EngineError, match="NoSuchOperator"):
        OpenVino(threads=1).open(graph_of_it)


def test_contexts_run_at_the_same_time_without_mixing_results(composed: ComposedGraph) -> None:
    from concurrent.futures import ThreadPoolExecutor

    session = OpenVino(threads=2).open(composed)
    frames = [
        tuple(np.full(shape, value, np.uint8) for shape in ((48, 64), (24, 32), (24, 32))) for value in range(40, 200)
    ]

    def run(planes: tuple[np.ndarray, ...]) -> np.ndarray:
        kept: list[np.ndarray] = []
        session.run(planes, lambda outputs: kept.append(outputs[0].copy()))
        return kept[0]

    serial = [run(planes) for planes in frames]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, frames))
    assert all(np.array_equal(a, b) for a, b in zip(serial, together, strict=True))

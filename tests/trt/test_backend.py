"""The backend on a card that is not there: engine in, session out, and a card that computes wrongly caught."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr_core.backends import tensorrt
from sr_core.backends.dlpack import CUDA
from sr_core.backends.tensorrt import TensorRtRtx
from sr_core.errors import EngineError, NotAvailable
from tests.trt.cards import H100, L4
from tests.trt.conftest import Machine
from tests.trt.networks import NV12, P010, composed


@pytest.mark.parametrize("fmt", [NV12, P010], ids=str)
def test_an_engine_is_held_against_fp32_once_a_card_and_then_trusted(
    machine: Machine, fmt: Any, tmp_path: Path
) -> None:
    backend = TensorRtRtx(ensure_engine=machine.ensure)
    assert "NVIDIA L4" in backend.device
    graph = composed(fmt)
    backend.open(graph).close()
    (verdict,) = (tmp_path / "engines").glob("*.verified")
    assert "NVIDIA-L4-CUDA-13-0" in verdict.name
    assert float(verdict.read_text().split()[1]) > 50
    backend.open(graph).close()
    assert machine.references_computed == 1


def test_another_driver_is_held_against_fp32_again(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = composed(NV12)
    TensorRtRtx(ensure_engine=machine.ensure).open(graph).close()
    monkeypatch.setattr(tensorrt, "find_gpus", lambda: (replace(L4, driver="CUDA 13.1"),))
    TensorRtRtx(ensure_engine=machine.ensure).open(graph).close()
    assert machine.references_computed == 2


def test_a_card_that_computes_wrongly_is_refused_and_leaves_nothing_behind(machine: Machine, tmp_path: Path) -> None:
    machine.trt.output_error = 24  # codes
    with pytest.raises(EngineError, match="on this card differs from FP32: max") as caught:
        TensorRtRtx(ensure_engine=machine.ensure).open(composed(NV12))
    assert "backend=openvino" in caught.value.hint
    assert not list((tmp_path / "engines").glob("*.verified"))
    assert not machine.cuda.handles


def test_the_session_says_what_runs_and_gives_the_picture(machine: Machine) -> None:
    graph = composed(NV12)
    session = TensorRtRtx(ensure_engine=machine.ensure).open(graph)
    assert session.precision == "fp16+fp32"
    got: list[Any] = []
    planes = (np.full((48, 64), 120, np.uint8), np.full((24, 32, 2), 128, np.uint8))
    session.run(planes, lambda outputs: got.extend(plane.copy() for plane in outputs))
    session.close()
    assert [plane.shape for plane in got] == [(96, 128), (48, 64, 2)]
    exact = TensorRtRtx(ensure_engine=machine.ensure).open(graph, precision="exact")
    assert exact.precision == "fp32"
    exact.close()


def test_why_an_engine_was_rebuilt_reaches_the_log(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    graph = composed(NV12)
    backend = TensorRtRtx(ensure_engine=machine.ensure)
    backend.open(graph, precision="exact").close()
    with caplog.at_level(logging.WARNING):
        backend.open(graph).close()
    assert any("was not used: precision: 'fp32', expected 'fp16+fp32'" in message for message in caplog.messages)


def test_without_a_builder_the_backend_says_how_to_open_it(machine: Machine) -> None:
    with pytest.raises(EngineError, match="without an engine builder") as caught:
        TensorRtRtx().open(composed(NV12))
    assert "open_tensorrt" in caught.value.hint


def test_a_card_the_library_does_not_support_is_refused_with_the_one_that_does(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt, "find_gpus", lambda: (H100,))
    with pytest.raises(NotAvailable, match="tensorrt_rtx does not support NVIDIA H100") as caught:
        TensorRtRtx()
    assert "tensorrt" in caught.value.hint


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = replace(L4, name="NVIDIA RTX 4090", index=1)
    monkeypatch.setattr(tensorrt, "find_gpus", lambda: (L4, second))
    assert TensorRtRtx().gpu == L4
    assert TensorRtRtx(device_index=1).device.startswith("GPU 1, NVIDIA RTX 4090, ")
    assert TensorRtRtx(device_index=1).plane_device == (CUDA, 1)
    for absent in (2, -1):
        with pytest.raises(NotAvailable, match=f"no GPU {absent}") as caught:
            TensorRtRtx(device_index=absent)
        assert caught.value.hint == "there is: 0 NVIDIA L4, 1 NVIDIA RTX 4090"


def test_two_equal_cards_share_one_engine_and_its_verdict(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What an engine is tied to does not include the card's number."""
    monkeypatch.setattr(tensorrt, "find_gpus", lambda: (L4, replace(L4, index=1)))
    for index in (0, 1):
        TensorRtRtx(ensure_engine=machine.ensure, device_index=index).open(composed(NV12)).close()
    assert len(list((tmp_path / "engines").glob("*.engine"))) == 1
    assert machine.references_computed == 1

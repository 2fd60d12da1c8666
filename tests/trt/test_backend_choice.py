"""What 'auto' takes on machines of several kinds, and that it always says why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from sr_core.backends.handover import HandoverBackend
from sr_core.backends.next_best import NextBest
from sr_core.errors import NotAvailable
from srvid import backend_choice, front_door
from srvid.backend_choice import Choice, choose, open_named
from srvid.front_door import choose_backend
from srvid_cli.srkit.doctor import command as doctor
from tests.trt.cards import BLACKWELL, H100, L4, has_gpu

A100 = replace(L4, name="NVIDIA A100", compute_capability=(8, 0))


def candidates(
    monkeypatch: pytest.MonkeyPatch, *, gpu: object, installed: set[str], driver: bool = True
) -> list[tuple[str, str]]:
    """`_candidates` on a machine with that GPU and those packages."""

    def find_gpus() -> tuple[object, ...]:
        if gpu is None:
            raise NotAvailable("no NVIDIA driver was found")
        return (gpu,)

    monkeypatch.setattr(backend_choice, "find_spec", lambda name: name if name in installed | {"openvino"} else None)
    monkeypatch.setattr(backend_choice, "has_nvidia_driver", lambda: driver)
    monkeypatch.setattr("sr_core.backends.cuda.find_gpus", find_gpus)
    return [(name, reason) for name, _, reason in backend_choice._candidates()]


@pytest.mark.parametrize(
    ("gpu", "installed", "first", "reason"),
    [
        (L4, {"tensorrt_rtx", "tensorrt"}, "tensorrt_rtx", ""),
        (BLACKWELL, {"tensorrt_rtx"}, "tensorrt_rtx", ""),
        (H100, {"tensorrt_rtx", "tensorrt"}, "tensorrt", ""),
        (A100, {"tensorrt_rtx", "tensorrt"}, "tensorrt", ""),
        (H100, {"tensorrt_rtx"}, "tensorrt", "NVIDIA H100 is here: pip install 'srvid[tensorrt]'"),
        (L4, {"tensorrt"}, "tensorrt_rtx", "NVIDIA L4 is here: pip install 'srvid[rtx]'"),
        (None, {"tensorrt_rtx"}, "tensorrt_rtx", "no NVIDIA driver was found"),
        (L4, set(), "tensorrt_rtx", "an NVIDIA driver is here, but no TensorRT: pip install 'srvid[rtx]'"),
    ],
)
def test_the_first_candidate_is_the_library_made_for_the_card(
    monkeypatch: pytest.MonkeyPatch, gpu: object, installed: set[str], first: str, reason: str
) -> None:
    assert candidates(monkeypatch, gpu=gpu, installed=installed)[0] == (first, reason)


def test_after_nvidia_come_the_cpu_and_what_is_measured_against_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = candidates(monkeypatch, gpu=L4, installed={"tensorrt_rtx", "onnxruntime"})
    assert [name for name, _ in found] == ["tensorrt_rtx", "tensorrt", "openvino", "onnxruntime", "webgpu"]
    without = candidates(monkeypatch, gpu=L4, installed={"tensorrt_rtx"})
    assert ("onnxruntime", "its package is not installed") in without


def test_without_a_gpu_openvino_runs_and_the_line_says_why_nothing_better() -> None:
    if has_gpu():
        pytest.skip("this machine has a GPU")
    choice = choose()
    assert choice.backend.name == "openvino"
    assert choice.line == "OpenVINO on the CPU; srkit doctor says why not faster"
    assert ("tensorrt_rtx", "no NVIDIA driver was found") in choice.passed_over
    assert ("onnxruntime", "the installed package reaches no GPU") in choice.passed_over


def test_a_backend_asked_for_by_name_is_never_replaced() -> None:
    if has_gpu():
        pytest.skip("this machine has a GPU")
    for name in ("tensorrt", "tensorrt_rtx"):
        with pytest.raises(NotAvailable, match=r"tensorrt|NVIDIA driver") as caught:
            open_named(name)
        assert caught.value.hint


def test_doctor_prints_what_was_chosen_and_what_was_passed_over() -> None:
    output = CliRunner().invoke(doctor, [], catch_exceptions=False).output
    assert "chosen: " in output
    assert has_gpu() or "passed over: no NVIDIA driver was found" in output


def test_the_choice_is_said_in_one_line() -> None:
    said: list[str] = []
    choose_backend("openvino", say=said.append)
    assert said == ["OpenVINO on the CPU"]


def test_not_waiting_starts_on_openvino_and_names_what_is_being_built(monkeypatch: pytest.MonkeyPatch) -> None:
    class Card:
        """A TensorRT backend as far as choosing goes."""

        name, device, contexts, on_cpu, plane_device = "tensorrt_rtx", "NVIDIA L4", 3, False, (2, 0)
        version = "1"

    monkeypatch.setattr(front_door, "choose", lambda **_: Choice(backend=Card()))  # type: ignore[arg-type]
    waiting = choose_backend()
    assert isinstance(waiting, NextBest)
    assert isinstance(waiting.taken, Card)
    started = choose_backend(wait_for_engine=False)
    assert isinstance(started, HandoverBackend)
    assert started.device.startswith("NVIDIA L4; openvino on ")

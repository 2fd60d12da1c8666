"""'auto' between devices: measured once for each model, explained, and no failing device ends a run.

A device stands for itself at the boundary of `Backend`: it is the CPU under another name, and its seconds are told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from sr_core.backend import Backend, ComposedGraph, Deliver, Precision, Progress, Session, open_backend
from sr_core.backends.choice import read_verdicts
from sr_core.backends.next_best import NextBest
from sr_core.color import ColorSpec
from sr_core.errors import EngineError, NotAvailable
from sr_core.frame import Array, yuv
from sr_core.model_spec import spec_of
from sr_core.storage import CACHE_VARIABLE
from sr_core.testing import random_model
from sr_core.upscaler import Upscaler
from srvid import backend_choice, device_trial, front_door
from srvid.backend_choice import choose
from srvid.recipe import EngineRecipe
from srvid_cli.srkit.doctor import command as doctor

MODEL = random_model(2, layers=1, features=4)
SPEC = spec_of(MODEL)
assert SPEC is not None
CPU = "openvino on CPU"


class _Inverted:
    """A session whose shader is wrong."""

    def __init__(self, session: Session) -> None:
        self.contexts, self.precision, self._session = session.contexts, session.precision, session
        self.close = session.close

    def run(self, planes: Sequence[Array], deliver: Deliver) -> None:
        self._session.run(planes, lambda outputs: deliver([255 - plane for plane in outputs]))


class Device:
    """The CPU under another name."""

    plane_device = None

    def __init__(self, name: str, device: str, *, on_cpu: bool = False, fault: str = "", version: str = "1") -> None:
        self._cpu = open_backend("openvino", threads=1)
        self.name, self.device, self.contexts, self.on_cpu, self.version = name, device, 1, on_cpu, version
        self.fault, self.opened = fault, 0
        self.is_software = fault == "software"

    def open(self, graph: ComposedGraph, *, precision: Precision = "auto", progress: Progress | None = None) -> Session:
        self.opened += 1
        if self.fault == "refuses":
            raise EngineError("shader compiler: out of registers\nand a long log")
        session = self._cpu.open(graph, precision="exact")
        return _Inverted(session) if self.fault == "wrong" else session


Machine = Callable[..., dict[str, Device]]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """A machine with a CPU, an Intel GPU and a GPU by WebGPU; `seconds` is what each takes for the trial."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(device_trial, "SIZE", (64, 48))

    def make(seconds: dict[str, float] | None = None, **faults: str) -> dict[str, Device]:
        devices = {
            "cpu": Device("openvino", "CPU", on_cpu=True),
            "intel": Device("openvino", "Arc, GPU.0", fault=faults.get("intel", "")),
            "webgpu": Device("webgpu", "Radeon", fault=faults.get("webgpu", "")),
        }
        by_name = {("openvino", None): "cpu", ("openvino", "GPU.0"): "intel", ("webgpu", None): "webgpu"}

        def open_named(name: str, *, threads: int | None = None, device: Any = None) -> Device:
            if (name, device) not in by_name:
                raise NotAvailable(f"{name} has no device {device}")
            return devices[by_name[name, device]]

        monkeypatch.setattr(backend_choice, "open_named", open_named)
        monkeypatch.setattr(backend_choice, "_intel_devices", lambda: ("GPU.0",))
        monkeypatch.setattr(backend_choice, "_nvidia", lambda device: iter([("tensorrt_rtx", "no NVIDIA driver")]))
        monkeypatch.setattr(backend_choice, "find_spec", lambda name: name)
        if seconds is not None:
            named = {f"{entry.name} on {entry.device}": seconds[key] for key, entry in devices.items()}
            monkeypatch.setattr(
                device_trial, "interleaved_seconds", lambda work, tell: {way: named[way] for way in work}
            )
        return devices

    return make


def measured(backends: Sequence[Backend]) -> Sequence[Backend]:
    assert SPEC is not None
    return device_trial.fastest_first(backends, MODEL, SPEC)[0]


def enlarged(backend: Backend) -> Array:
    assert SPEC is not None
    planes = tuple(np.full(shape, 90, np.uint8) for shape in ((48, 64), (24, 32), (24, 32)))
    with Upscaler(MODEL, SPEC, backend) as upscaler:
        return upscaler.planes(planes, yuv("420"), ColorSpec())[0]


@pytest.mark.parametrize(
    ("seconds", "taken"),
    [
        ({"cpu": 1.0, "intel": 0.5, "webgpu": 0.2}, "Radeon"),
        ({"cpu": 1.0, "intel": 0.2, "webgpu": 0.5}, "Arc, GPU.0"),
        ({"cpu": 1.0, "intel": 3.0, "webgpu": 2.0}, "CPU"),
        ({"cpu": 1.0, "intel": 0.9, "webgpu": 0.95}, "CPU"),  # not clearly faster: what is exact stays
    ],
)
def test_the_clearly_fastest_device_is_taken(machine: Machine, seconds: dict[str, float], taken: str) -> None:
    machine(seconds)
    choice = choose(measure=measured)
    assert choice.backend.device == taken
    assert choice.line.endswith(", measured against 2 more; srkit doctor shows how")


def test_a_model_is_measured_once_and_doctor_shows_it(machine: Machine) -> None:
    devices = machine({"cpu": 1.0, "intel": 0.5, "webgpu": 0.2})
    choose(measure=measured)
    opened = {key: device.opened for key, device in devices.items()}
    assert min(opened.values()) > 0
    assert choose(measure=measured).backend.device == "Radeon"
    assert {key: device.opened for key, device in devices.items()} == opened
    (verdict,) = [entry for entry in read_verdicts() if "devices" in entry.question]
    assert str(verdict) == (
        "webgpu on Radeon (200.00 ms) rather than openvino on CPU (1000.00 ms); openvino on Arc, GPU.0 (500.00 ms)"
    )
    said = CliRunner().invoke(doctor, [], catch_exceptions=False).output
    assert str(verdict) in said
    for device in ("CPU", "Arc, GPU.0", "Radeon"):
        assert f"measured for each model: {device}" in said


def test_another_driver_is_another_question(machine: Machine) -> None:
    devices = machine({"cpu": 1.0, "intel": 0.5, "webgpu": 0.2})
    choose(measure=measured)
    before = devices["webgpu"].opened
    devices["webgpu"].version = "2"
    choose(measure=measured)
    assert devices["webgpu"].opened > before


@pytest.mark.parametrize("fault", ["refuses", "wrong"])
def test_a_device_that_does_not_run_the_model_or_computes_something_else_is_not_taken(
    machine: Machine, fault: str
) -> None:
    machine({"cpu": 1.0, "intel": 0.5, "webgpu": 0.01}, webgpu=fault)
    choice = choose(measure=measured)
    assert choice.backend.device == "Arc, GPU.0"
    assert [entry.device for entry in choice.others()] == ["CPU"]
    (verdict,) = [entry for entry in read_verdicts() if "devices" in entry.question]
    refused = next(trial for trial in verdict.trials if trial.way == "webgpu on Radeon")
    wanted = "shader compiler: out of registers" if fault == "refuses" else " dB against the first"
    assert refused.refusal.endswith(wanted)


def test_a_gpu_that_a_cpu_pretends_to_be_is_never_taken(machine: Machine) -> None:
    devices = machine({"cpu": 1.0, "intel": 2.0, "webgpu": 0.001}, webgpu="software")
    choice = choose(measure=measured)
    assert choice.backend.device == "CPU"
    assert devices["webgpu"].opened == 0
    assert ("webgpu", "Radeon is the CPU, pretending to be a GPU") in choice.passed_over


def test_a_device_asked_for_by_name_is_the_only_one(machine: Machine) -> None:
    machine()
    assert choose(device="GPU.0", measure=measured).backend.device == "Arc, GPU.0"
    with pytest.raises(NotAvailable, match="openvino has no device NPU"):
        choose(device="NPU", measure=measured)


def test_where_a_graph_does_not_open_the_next_device_goes_on_and_says_why(machine: Machine) -> None:
    """Its trial went well; the frame's own format is what the driver cannot do."""
    devices = machine()
    said: list[str] = []
    devices["webgpu"].fault = "refuses"
    backend = NextBest(devices["webgpu"], [devices["intel"], devices["cpu"]], say=said.append)
    assert np.array_equal(enlarged(backend), enlarged(devices["cpu"]))
    assert said == [
        "webgpu on Radeon does not run this model (shader compiler: out of registers): "
        "going on with openvino on Arc, GPU.0"
    ]
    assert (backend.device, devices["cpu"].opened) == ("Arc, GPU.0", 1)


def test_falling_to_the_cpu_cuts_tiles_for_the_cpu_and_uses_all_its_threads(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    assert SPEC is not None
    devices = machine(webgpu="refuses")
    devices["cpu"].contexts = 5
    kind = (yuv("420"), ColorSpec(), 1280, 720)
    with Upscaler(MODEL, SPEC, NextBest(devices["webgpu"], [devices["cpu"]])) as upscaler:
        with caplog.at_level(logging.WARNING):
            fallen = upscaler.read_size_for(*kind)
        planes = tuple(np.zeros(shape, np.uint8) for shape in ((720, 1280), (360, 640), (360, 640)))
        upscaler.submit(planes, yuv("420"), ColorSpec()).result()
        assert upscaler.in_flight == 6
        assert upscaler.backend.on_cpu
    assert "going on with openvino on CPU" in caplog.text
    with Upscaler(MODEL, SPEC, devices["cpu"]) as upscaler:
        assert upscaler.read_size_for(*kind) == fallen
    with Upscaler(MODEL, SPEC, devices["intel"]) as upscaler:
        assert upscaler.read_size_for(*kind) != fallen


def test_the_last_device_and_one_that_was_named_still_fail(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = machine(webgpu="refuses", intel="refuses")
    with pytest.raises(EngineError, match="out of registers"):
        enlarged(NextBest(devices["webgpu"], [devices["intel"]]))
    monkeypatch.setattr(front_door, "open_named", lambda name, **_: devices["webgpu"])
    opened = front_door.choose_backend("webgpu")
    assert opened is devices["webgpu"]
    with pytest.raises(EngineError, match="out of registers"):
        enlarged(opened)


def test_the_front_door_measures_with_the_model_that_is_opened(machine: Machine) -> None:
    machine({"cpu": 1.0, "intel": 0.2, "webgpu": 0.5})
    said: list[str] = []
    with front_door.open_upscaler("swift", scale=2, say=said.append) as upscaler:
        assert upscaler.backend.device == "Arc, GPU.0"
    assert said == ["OpenVINO on Arc, GPU.0, measured against 2 more; srkit doctor shows how"]
    (verdict,) = [entry for entry in read_verdicts() if "devices" in entry.question]
    assert verdict.question["network"].startswith("swift-x2 ")


def test_a_worker_is_bound_to_the_device_that_was_found() -> None:
    class Frames:
        format, color, width, height = yuv("420"), ColorSpec(), 64, 48

    assert SPEC is not None
    gpu = Device("openvino", "Arc, GPU.0")
    gpu.placement = "GPU.0"  # type: ignore[attr-defined]
    with Upscaler(MODEL, SPEC, gpu) as upscaler:
        identity = upscaler.identity(Frames())
    assert identity["device"] == "GPU.0"
    bound = EngineRecipe().like(identity)
    assert (bound.backend, bound.device) == ("openvino", "GPU.0")
    with Upscaler(MODEL, SPEC, Device("openvino", "CPU", on_cpu=True)) as upscaler:
        assert EngineRecipe().like(upscaler.identity(Frames())).device is None

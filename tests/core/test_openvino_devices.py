"""OpenVINO on Intel's GPUs and NPUs: what can be known of it on a machine that has none.

The plug-ins are in the package and answer; compiling is handed to the CPU's, with the properties kept for a look.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openvino as ov
import pytest

from sr_core.backend import ComposedGraph, open_backend
from sr_core.backends import openvino as openvino_backend
from sr_core.backends import openvino_devices
from sr_core.backends.choice import read_verdicts
from sr_core.backends.openvino import OpenVino
from sr_core.backends.openvino_devices import accelerators, device_called
from sr_core.backends.openvino_ways import model_of
from sr_core.color import ColorSpec
from sr_core.errors import EngineError, NotAvailable
from sr_core.frame import yuv
from sr_core.graph.compose import compose
from sr_core.model_spec import spec_of
from sr_core.storage import CACHE_VARIABLE
from sr_core.testing import random_model

FOUND = ("GPU.0", "GPU.1", "NPU")


@pytest.fixture(scope="module")
def composed() -> ComposedGraph:
    model = random_model(2, layers=3)
    spec = spec_of(model)
    assert spec is not None
    return compose(model, spec, yuv("420"), ColorSpec(), width=64, height=48)


class Machine:
    """OpenVINO's Core on a machine with two Intel GPUs and an NPU, each of which is the CPU."""

    def __init__(self) -> None:
        self._core = ov.Core()
        self.compiled: list[tuple[str, dict[str, Any]]] = []

    def get_property(self, device: str, name: str) -> Any:
        if name == "AVAILABLE_DEVICES":
            return {"GPU": ["0", "1"], "NPU": ["3720"]}[device]
        if device == "CPU":
            return self._core.get_property(device, name)
        return {"FULL_DEVICE_NAME": f"Intel {device}", "OPTIMIZATION_CAPABILITIES": ["FP32", "FP16"]}[name]

    def read_model(self, model: bytes) -> ov.Model:
        return self._core.read_model(model)

    def compile_model(self, model: ov.Model, device: str, config: dict[str, Any]) -> ov.CompiledModel:
        self.compiled.append((device, dict(config)))
        return self._core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    made = Machine()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(openvino_backend.ov, "Core", lambda: made)
    return made


def test_without_such_devices_the_refusal_lists_those_there_are() -> None:
    if accelerators(ov.Core()):
        pytest.skip("this machine has an Intel GPU or NPU")
    for name in ("GPU", "GPU.3", "NPU"):
        with pytest.raises(NotAvailable, match=f"OpenVINO has no device {name} here") as caught:
            open_backend("openvino", device=name)
        assert caught.value.hint.startswith("OpenVINO finds CPU here; an Intel GPU needs its OpenCL driver")


def test_names_are_found_as_people_write_them(machine: Machine) -> None:
    assert accelerators(machine) == FOUND  # type: ignore[arg-type]
    assert [device_called(name, machine) for name in ("GPU", "gpu.1", "npu", "CPU")] == [  # type: ignore[arg-type]
        "GPU.0",
        "GPU.1",
        "NPU",
        "CPU",
    ]
    with pytest.raises(NotAvailable) as caught:
        device_called("GPU.2", machine)  # type: ignore[arg-type]
    assert "OpenVINO finds CPU, GPU.0, GPU.1, NPU here" in caught.value.hint


@pytest.mark.parametrize("name", ["onnxruntime", "webgpu", "tensorrt"])
def test_other_backends_refuse_a_name_that_is_openvinos(name: str) -> None:
    with pytest.raises(NotAvailable, match=r"has no GPU\.0, which is a name of OpenVINO's"):
        open_backend(name, device="GPU.0")


def test_a_gpu_is_told_to_keep_the_types_of_the_graph(machine: Machine, composed: ComposedGraph) -> None:
    backend = OpenVino(device_index="GPU.1")
    assert (backend.on_cpu, backend.placement, backend.device) == (False, "GPU.1", "Intel GPU.1, GPU.1")
    backend.open(composed, precision="f16+f32").close()
    backend.open(composed, precision="exact").close()
    assert machine.compiled == [
        ("GPU.1", {"EXECUTION_MODE_HINT": "ACCURACY", "NUM_STREAMS": backend.contexts}),
        ("GPU.1", {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": backend.contexts}),
    ]


def test_every_property_is_one_that_the_plug_in_takes() -> None:
    """The real plug-ins say which properties they take even where there is no device."""
    core = ov.Core()
    for device in ("GPU.0", "NPU"):
        try:
            known = core.get_property(device.partition(".")[0], "SUPPORTED_PROPERTIES")
        except RuntimeError as error:
            pytest.skip(f"no plug-in for {device} in this package: {error}")
        for way in ("f32", "f16+f32"):
            told = openvino_devices.config_for(device, way, 2)
            assert {name: known.get(name) for name in told} == dict.fromkeys(told, "RW")


def test_the_body_is_f16_and_the_edges_are_f32(composed: ComposedGraph) -> None:
    model, packed = model_of(ov.Core(), composed, "f16+f32", packs=False)
    assert packed is None
    types = {
        node.get_output_element_type(0).get_type_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Convolution"
    }
    assert "f16" in types
    assert [entry.get_element_type().get_type_name() for entry in (*model.inputs, *model.outputs)] == ["u8"] * 6
    last = [node for node in model.get_ordered_ops() if node.get_type_name() in ("Round", "Clamp")]
    assert last
    assert {node.get_output_element_type(0).get_type_name() for node in last} == {"f32"}


def test_what_a_gpu_computes_is_held_against_the_cpus_f32(
    machine: Machine, composed: ComposedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"f32": 2.0, "f16+f32": 1.0}
    monkeypatch.setattr(
        openvino_backend, "interleaved_seconds", lambda work, tell, clock: {way: seconds[way] for way in work}
    )
    assert OpenVino(device_index="GPU").open(composed).precision == "f16+f32"
    assert {device for device, _ in machine.compiled} == {"CPU", "GPU.0"}
    (verdict,) = read_verdicts()
    assert verdict.question["device"] == "Intel GPU.0, GPU.0"
    assert all("dB against f32" in trial.note for trial in verdict.trials)

    monkeypatch.setattr(openvino_backend, "fidelity_db", lambda session, *_: 20.0 if "16" in session.precision else 99)
    assert OpenVino(device_index="GPU.1").open(composed).precision == "f32"


def test_an_npu_is_tried_too_though_it_has_one_way_only(
    machine: Machine, composed: ComposedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = OpenVino(device_index="NPU")
    assert backend.open(composed).precision == "f16+f32"
    assert machine.compiled[-1] == ("NPU", {"PERFORMANCE_HINT": "THROUGHPUT", "PERFORMANCE_HINT_NUM_REQUESTS": 2})
    with pytest.raises(EngineError, match="an NPU computes in f16 only"):
        backend.open(composed, precision="exact")
    monkeypatch.setattr(openvino_backend, "fidelity_db", lambda *_: 20.0)
    other = compose(random_model(3), spec_of(random_model(3)), yuv("420"), ColorSpec(), width=64, height=48)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=r"57\.5 dB needed"):
        backend.open(other)

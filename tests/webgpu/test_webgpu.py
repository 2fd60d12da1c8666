"""WebGPU for real, on a GPU that a CPU pretends to be (SwiftShader, of chromium): codes equal, nothing on the CPU.

One process runs the graphs (benchmarks/webgpu_graphs.py): what makes a software adapter visible belongs to it alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sr_core.errors import NotAvailable
from sr_core.graph.webgpu_form import for_webgpu
from tests.trt.networks import P010, composed
from tests.trt.running import session

FEW = 4  # samples of a plane of 12,288; two differ after two networks in a row, whose sums are taken in another order
ROOT = Path(__file__).parents[2]
DRIVER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which SwiftShader is the GPU."""
    pytest.importorskip("onnxruntime_ep_webgpu", reason="pip install 'srvid[gpu]'")
    if not DRIVER.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"no {DRIVER}: .ci/run installs Debian's chromium")
        pytest.skip(f"no {DRIVER}: apt-get install chromium libvulkan1")
    runtime = tmp_path_factory.mktemp("xdg")
    runtime.chmod(0o700)
    return os.environ | {
        "VK_ICD_FILENAMES": str(DRIVER),
        "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER": "1",
        "XDG_RUNTIME_DIR": str(runtime),
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(scope="module")
def found(adapter: dict[str, str]) -> list[dict[str, Any]]:
    """What each graph did; the first entry is the adapter's."""
    command = [sys.executable, str(ROOT / "benchmarks/webgpu_graphs.py")]
    done = subprocess.run(command, env=adapter, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def graphs(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry a graph."""
    return found[1:-1]


def test_every_network_and_format_is_made_of_nodes_that_were_run(found: list[dict[str, Any]]) -> None:
    assert found[-1] == {"never_run": {}}


def test_the_adapter_is_named(found: list[dict[str, Any]]) -> None:
    assert "SwiftShader" in found[0]["adapter"]


def test_not_one_node_of_any_graph_runs_on_the_cpu(graphs: list[dict[str, Any]]) -> None:
    assert len(graphs) == 8 + 5
    assert {"restore-x3", "espcn-x2,swift-x2"} < {entry["model"] for entry in graphs}
    assert {f"{entry['model']} {entry['format']}": entry["on_cpu"] for entry in graphs if entry["on_cpu"]} == {}


def test_every_kind_of_format_gives_the_codes_of_the_cpu(graphs: list[dict[str, Any]]) -> None:
    """Up to 10 bits a few samples or 5 of 100,000 differ, by one; 16-bit samples resolve FP32's order of summation."""
    wrong = []
    for entry in graphs:
        assert entry["spread"] > 0, f"{entry}: a flat picture proves nothing"
        if entry["is_float"]:
            good = entry["largest"] < (2e-3 if entry["depth"] == 16 else 1e-5)
        elif entry["depth"] > 10:
            good = entry["largest"] <= 1 and entry["share"] < 0.01
        else:
            step = 64 if "msb" in entry["format"] else 1
            good = entry["largest"] <= step and (entry["share"] <= 5e-5 or entry["differing"] <= FEW)
        if not good:
            wrong.append(entry)
    assert wrong == []


def test_doctor_names_the_gpu_that_webgpu_takes(adapter: dict[str, str]) -> None:
    said = subprocess.run(
        [sys.executable, "-c", "from srvid_cli.srkit import main; main()", "doctor"],
        env=adapter | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'cli'}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout
    assert "webgpu         yes: SwiftShader Device" in said


def test_without_a_gpu_webgpu_says_so_and_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime_ep_webgpu", reason="pip install 'srvid[gpu]'")
    from sr_core.backends import webgpu

    monkeypatch.setattr(webgpu.ort, "get_ep_devices", list)
    with pytest.raises(NotAvailable, match="no GPU with Vulkan, Direct3D 12 or Metal"):
        webgpu.WebGpu()
    with pytest.raises(NotAvailable, match="not GPU 1"):
        webgpu.WebGpu(device_index=1)


@pytest.mark.parametrize(("exactly", "expected"), [(True, [0, 2, 2, 254, -2]), (False, [1, 2, 3, 255, -1])])
def test_rounding_without_round_takes_ties_to_even_or_up(exactly: bool, expected: list[float]) -> None:
    graph = helper.make_graph(
        [helper.make_node("Round", ["x"], ["y"])],
        "ties",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [5])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    rewritten = for_webgpu(model, sums_exactly=exactly)
    assert "Round" not in {node.op_type for node in rewritten.graph.node}
    (got,) = session(rewritten).run(None, {"x": np.array([0.5, 1.5, 2.5, 254.5, -1.5], np.float32)})
    assert got.tolist() == expected


def test_16_bit_planes_are_the_same_memory_as_bytes() -> None:
    """On the CPU: the rewritten graph gives every code of the graph it was made from."""
    model = composed(P010, width=32, height=24).model
    random = np.random.default_rng(3)
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in model.graph.input}
    feeds = {name: (random.integers(64, 940, shape) << 6).astype(np.uint16) for name, shape in shapes.items()}
    wanted = session(model).run(None, feeds)
    rewritten = for_webgpu(model)
    onnx.checker.check_model(rewritten)
    got = session(rewritten).run(None, {name: plane.view(np.uint8) for name, plane in feeds.items()})
    for actual, expected in zip(got, wanted, strict=True):
        assert actual.dtype == np.uint8
        assert np.array_equal(actual.view(np.uint16).reshape(expected.shape), expected)


def test_auto_passes_swiftshader_over_though_it_computes(adapter: dict[str, str]) -> None:
    """A trial between it and the CPU is run for real, too: the CPU wins by far, and the verdict holds both times."""
    said = subprocess.run(
        [sys.executable, str(ROOT / "tests/webgpu/measure_devices.py")],
        env=adapter,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["auto"] == "openvino"
    assert [reason for name, reason in found["passed_over"] if name == "webgpu"] == [
        f"{found['webgpu']} is the CPU, pretending to be a GPU"
    ]
    assert found["order"] == ["openvino", "webgpu"]
    cpu, gpu = found["seconds"]
    assert 0 < cpu < gpu

"""Every network, in small: shapes, golden outputs, ONNX equal to torch, halo equal to what a probe finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from sr_core.graph.network import prepare_network
from sr_core.model_spec import ModelSpec, spec_of
from sr_zoo.archs.miniature import miniature
from sr_zoo.archs.registry import ARCHS
from sr_zoo.export import export_difference, onnx_from_network
from sr_zoo.onnx_run import open_runner

if TYPE_CHECKING:
    from onnx import ModelProto

NAMES = tuple(ARCHS)
GOLDEN = Path(__file__).parent / "golden.json"
SCALE = 2
SAME_WIRING = {"srcnn-915", "srcnn-935", "srcnn-rgb", "fsrcnn-s", "drrn-b1u25", "edsr", "srgan", "house", "fine"}
EXPORTED = [name for name in NAMES if name not in SAME_WIRING]  # the others differ in numbers only
ENLARGING_FIRST = {"drcn"}  # its outermost phase of the bicubic has a zero tap, which the walk counts as read
UNBOUNDED = {"rcan"}  # its attention averages the whole plane
EXPORT_EQUALS_TORCH = 2e-5  # f32 summation order; largest measured 6e-7


def planes(name: str) -> int:
    return 1 if ARCHS[name].color_space == "y" else 3


def set_known_weights(network: nn.Module) -> None:
    """Weights that no random generator of any version can change: a slow sine, scaled like Kaiming's."""
    with torch.no_grad():
        for index, parameter in enumerate(network.parameters()):
            fan_in = max(1, parameter[0].numel()) if parameter.ndim > 1 else 16
            wave = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) * 1.7 + index)
            parameter.copy_((wave * (2 / fan_in) ** 0.5).view_as(parameter))


def known_image(channels: int) -> Tensor:
    wave = torch.sin(torch.arange(channels * 12 * 14, dtype=torch.float64) * 0.37)
    return (0.5 + 0.4 * wave).view(1, channels, 12, 14)


def summary(name: str) -> list[float]:
    network = miniature(name, SCALE).double().eval()
    set_known_weights(network)
    with torch.no_grad():
        made = network(known_image(planes(name)))
    return [float(made.mean()), float(made.std()), float(made[0, -1, 3, 5])]


@pytest.mark.parametrize("name", NAMES)
def test_a_network_computes_what_it_computed_when_the_golden_values_were_made(name: str) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert summary(name) == pytest.approx(golden[name], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("scale", [3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_a_network_enlarges_by_its_scale(name: str, scale: int) -> None:
    network = miniature(name, scale).eval()
    with torch.no_grad():
        made = network(torch.rand(2, planes(name), 7, 10))
    assert made.shape == (2, planes(name), 7 * scale, 10 * scale)


@pytest.mark.parametrize("name", EXPORTED)
def test_the_export_equals_torch_on_two_runtimes_and_its_halo_is_what_a_probe_finds(name: str) -> None:
    torch.manual_seed(3)
    network = miniature(name, SCALE).eval()
    model = onnx_from_network(network, ModelSpec(name=name, scale=SCALE, color_space=ARCHS[name].color_space))
    spec = spec_of(model)
    assert spec is not None
    assert export_difference(network, model, spec) < EXPORT_EQUALS_TORCH
    check_contract(model)
    prepare_network(model, spec)  # what every backend starts from
    batch = np.random.default_rng(4).random((1, spec.channels, 10, 12)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, {"lr": batch})[0] - open_runner(model)(batch)).max() < EXPORT_EQUALS_TORCH
    if name in UNBOUNDED:
        assert spec.halo_px is None
    else:
        found = probed_halo(network.double(), planes(name))
        assert spec.halo_px is not None
        assert found <= spec.halo_px <= found + (name in ENLARGING_FIRST)


def check_contract(model: ModelProto) -> None:
    """What `sr_core` relies on: opset, dynamic sizes, no shape arithmetic, CRD shuffles."""
    assert model.opset_import[0].version in (17, 18)
    assert model.ir_version <= 10
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"Shape", "Gather", "Reshape", "Loop", "If"}
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    assert all(sizes[axis].dim_param for axis in (0, 2, 3))
    for node in model.graph.node:
        if node.op_type == "DepthToSpace":
            assert next(a.s for a in node.attribute if a.name == "mode") == b"CRD"


def probed_halo(network: nn.Module, channels: int) -> int:
    """How far from an input pixel the gradient of its own output pixels reaches, with weights that let all pass."""
    side, centre = 91, 45
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 4:  # positive, so that no ReLU closes and nothing cancels
                parameter.copy_(torch.rand_like(parameter) / parameter[0].numel())
    image = (0.5 + 0.5 * torch.rand(1, channels, side, side, dtype=torch.float64)).requires_grad_()
    own = slice(centre * SCALE, (centre + 1) * SCALE)
    network(image)[..., own, own].sum().backward()
    assert image.grad is not None
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    return max(centre - int(rows.min()), int(rows.max()) - centre)


def test_a_wrong_export_is_noticed_and_its_base_is_named() -> None:
    network = miniature("swift").eval()
    spec = ModelSpec(name="swift", scale=SCALE)
    model = onnx_from_network(network, spec)
    base = [node.op_type for node in model.graph.node if node.name.startswith("base/")]
    assert base == ["Pad", "Conv", "DepthToSpace"]  # what an engine keeps in FP32
    with torch.no_grad():
        network.head.bias += 0.1  # type: ignore[operator, union-attr]
    assert export_difference(network, model, spec) > EXPORT_EQUALS_TORCH


if __name__ == "__main__":  # see golden.md
    print(json.dumps({name: summary(name) for name in NAMES}, indent=1))

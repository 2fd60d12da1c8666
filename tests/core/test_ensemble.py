"""The mean over eight flips and turns, as one graph."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from sr_core.color import FULL_RANGE_RGB
from sr_core.frame import rgb
from sr_core.graph.compose import compose
from sr_core.graph.ensemble import self_ensembled
from sr_core.graph.network import sensitive_nodes
from sr_core.graph.onnx_builder import OnnxBuilder
from sr_core.graph.receptive_field import CENTRE, Interval, input_windows
from sr_core.model_spec import spec_of
from sr_core.upscaler import Upscaler
from sr_zoo.onnx_run import open_runner
from srvid.front_door import choose_backend, resolve_model


def test_the_ensemble_is_the_mean_of_eight_turned_runs() -> None:
    model, _ = resolve_model("swift-x2")
    run, ensemble = open_runner(model), open_runner(self_ensembled(model))
    image = np.random.default_rng(1).random((1, 3, 12, 20)).astype(np.float32)
    made = []
    for turn in range(8):
        turned = np.rot90(image, turn % 4, axes=(2, 3))
        output = run(np.ascontiguousarray(turned[..., ::-1] if turn >= 4 else turned))
        made.append(np.rot90(output[..., ::-1] if turn >= 4 else output, -(turn % 4), axes=(2, 3)))
    assert np.abs(made[0] - made[1]).max() > 1e-3  # it is not symmetric by itself
    assert np.allclose(ensemble(image), np.mean(made, axis=0), atol=1e-6)


def test_the_metadata_is_the_networks_own() -> None:
    model, spec = resolve_model("swift-x2")
    assert spec_of(self_ensembled(model)) == spec


@pytest.mark.parametrize("name", ["swift-x2", "fsrcnn-x3"])
def test_a_tiled_ensemble_is_the_whole_one(name: str) -> None:
    model, spec = resolve_model(name)
    frame = np.random.default_rng(2).integers(0, 256, (70, 90, 3), np.uint8)
    outputs = []
    for tile in (48, 128):
        with Upscaler(
            self_ensembled(model), spec, choose_backend("openvino"), precision="exact", tile=tile
        ) as upscaler:
            assert upscaler.halo_px is not None
            outputs.append(upscaler.image(frame).astype(int))
    assert np.abs(outputs[0] - outputs[1]).max() <= 1  # FP32 sums in another order


def test_a_network_that_looks_left_looks_to_every_side_in_an_ensemble() -> None:
    build = OnnxBuilder()
    build.inputs.append(helper.make_tensor_value_info("lr", TensorProto.FLOAT, [1, 1, "h", "w"]))
    build.outputs.append(helper.make_tensor_value_info("sr", TensorProto.FLOAT, [1, 1, "h", "w"]))
    build.conv("body", "lr", np.zeros((1, 1, 1, 6), np.float32), pads=[0, 5, 0, 0], output="sr")
    wanted = (Interval(CENTRE, CENTRE), Interval(CENTRE, CENTRE))
    single, eightfold = (
        input_windows(model, "sr", wanted)["lr"]
        for model in (build.model("left", 17), self_ensembled(build.model("left", 17)))
    )
    assert single == (Interval(CENTRE, CENTRE), Interval(CENTRE - 5, CENTRE))
    assert eightfold == (Interval(CENTRE - 5, CENTRE + 5),) * 2


def test_every_branch_keeps_its_base_and_last_addition_in_fp32() -> None:
    model, spec = resolve_model("swift-x2")
    single, eightfold = (
        sensitive_nodes(compose(network, spec, rgb(), FULL_RANGE_RGB, width=64, height=64).model)
        for network in (model, self_ensembled(model))
    )
    for branch in ("as_it_is", "t", "r", "c", "tr", "tc", "rc", "trc"):
        assert {f"net/{branch}/{name.removeprefix('net/')}" for name in single} <= eightfold

"""A training starts from a checkpoint, or from the weights inside a model file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sr_core.errors import BadInput
from sr_core.model_spec import ModelSpec, load_model
from sr_train.recipes import find_warm_start
from sr_train.shipping import _trained_before
from sr_train.warm_starts import warm_start
from sr_zoo.archs.registry import build_network
from sr_zoo.archs.restore import Restore
from sr_zoo.export import export_model
from sr_zoo.models import find_model
from sr_zoo.onnx_run import open_runner


def test_a_shipped_model_starts_by_its_name_and_what_is_missing_is_nothing() -> None:
    assert find_warm_start("restore-x4") == find_model("restore-x4")
    assert find_warm_start("runs/gone/gone.pt") is None


@pytest.mark.parametrize(("name", "arch"), [("restore-x4", "restore"), ("clear-x2", "clear")])
def test_a_network_started_from_a_shipped_file_computes_what_the_file_does(name: str, arch: str) -> None:
    path = find_model(name)
    options = {"convs": 16} if arch == "restore" else {}
    network = build_network(arch, scale=int(name[-1]), color_space="", **options).eval()
    assert warm_start(network, path) == len(network.state_dict())
    noise = np.random.default_rng(5).random((1, 3, 20, 26), np.float32)
    with torch.no_grad():
        made = network(torch.from_numpy(noise)).numpy()
    assert np.abs(made - open_runner(load_model(path))(noise)).max() < 1e-5


def test_another_scale_takes_the_body_and_keeps_its_own_tail() -> None:
    network = Restore(3, convs=16)
    tail = network.tail.weight.clone()
    warm_start(network, find_model("restore-x4"))
    known = Restore(4, convs=16)
    warm_start(known, find_model("restore-x4"))
    assert torch.equal(network.body[7].second.weight, known.body[7].second.weight)  # type: ignore[union-attr]
    assert torch.equal(network.gate.weight, known.gate.weight)
    assert torch.equal(network.tail.weight, tail)


def test_a_file_of_another_network_fits_nowhere(tmp_path: Path) -> None:
    other = build_network("espcn", scale=2)
    spec = ModelSpec(name="other-x2", scale=2, color_space="y")
    export_model(other, spec, tmp_path / "other.onnx")
    with pytest.raises(BadInput, match="no weight of other"):
        warm_start(Restore(2, convs=16), tmp_path / "other.onnx")


def test_slopes_without_names_are_not_lost_in_silence() -> None:
    with pytest.raises(BadInput, match="slopes"):
        warm_start(build_network("swift", scale=2), find_model("swift-x2"))


def test_a_model_is_credited_with_what_the_one_it_started_from_had_learnt() -> None:
    started = {"optim": {"warm_start": "restore-x4"}}
    assert set(_trained_before(started)) == {"train/cid22", "train/photo640", "train/comic640", "train/vector"}
    assert _trained_before({"optim": {"warm_start": ""}}) == ()

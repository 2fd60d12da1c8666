"""Strength: a network mixed with a more faithful one, as one graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import ModelProto

from sr_core.backend import open_backend
from sr_core.color import ColorSpec
from sr_core.errors import BadInput
from sr_core.frame import rgb, yuv
from sr_core.graph.blend import blend
from sr_core.graph.chain import Stage
from sr_core.graph.compose import compose
from sr_core.model_spec import spec_of
from sr_core.testing import random_model
from sr_core.upscaler import Upscaler
from sr_zoo.onnx_run import open_runner
from srvid.front_door import resolve_model

IMAGE = np.random.default_rng(1).random((1, 3, 12, 20)).astype(np.float32)


def stage(model: ModelProto) -> Stage:
    spec = spec_of(model)
    assert spec is not None
    return model, spec


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_it_is_the_weighted_sum_of_both(strength: float) -> None:
    ours, clear = random_model(2, seed=1), random_model(2, seed=2)
    mixed, _ = blend(stage(ours), stage(clear), strength)
    expected = strength * open_runner(ours)(IMAGE) + (1 - strength) * open_runner(clear)(IMAGE)
    assert np.allclose(open_runner(mixed)(IMAGE), expected, atol=1e-5)
    assert not np.allclose(open_runner(ours)(IMAGE), open_runner(clear)(IMAGE), atol=1e-2)


def test_at_scale_1_the_rest_is_the_input() -> None:
    ours = random_model(1)
    mixed, _ = blend(stage(ours), None, 0.25)
    assert np.allclose(open_runner(mixed)(IMAGE), 0.25 * open_runner(ours)(IMAGE) + 0.75 * IMAGE, atol=1e-5)


def test_a_luma_network_is_mixed_as_it_enlarges_rgb() -> None:
    model, spec = blend(stage(random_model(2, color_space="y")), stage(random_model(2)), 0.5)
    assert spec.color_space == "rgb"
    assert open_runner(model)(IMAGE).shape == (1, 3, 24, 40)


def test_the_mix_is_packed_like_one_network() -> None:
    model, spec = resolve_model("clear-restore-x2", strength=0.5)
    packed = compose(model, spec, yuv("420"), ColorSpec(), width=48, height=32).packed()
    assert packed is not None
    assert sum(node.op_type == "Mul" for node in packed.model.graph.node if node.name.startswith("net/")) == 0


def test_tiles_of_a_mix_are_exact() -> None:
    model, spec = blend(stage(random_model(2, layers=4)), stage(random_model(2, seed=3)), 0.5)
    frame = np.random.default_rng(2).integers(0, 256, (70, 90, 3), np.uint8)
    outputs = []
    for tile in (32, 128):
        with Upscaler(model, spec, open_backend("openvino"), precision="exact", tile=tile) as upscaler:
            outputs.append(upscaler.planes((frame,), rgb(packed=True), ColorSpec(full_range=True))[0].astype(int))
    assert np.abs(outputs[0] - outputs[1]).max() <= 1  # FP32 sums in another order


def test_what_cannot_be_mixed_is_refused() -> None:
    with pytest.raises(BadInput, match="do not enlarge alike"):
        blend(stage(random_model(2)), stage(random_model(3)), 0.5)
    with pytest.raises(BadInput, match="is that"):
        resolve_model("clear", scale=2, strength=0.5)
    for strength in (1.5, -0.1, float("nan")):
        with pytest.raises(BadInput, match="from 0 to 1"):
            resolve_model("swift", scale=2, strength=strength)


def test_the_border_of_a_network_in_wide_steps_stays_within_what_a_model_may_have() -> None:
    wide, beside = random_model(2), random_model(2, seed=2)
    spec, other = spec_of(wide), spec_of(beside)
    assert spec is not None and other is not None  # noqa: PT018
    _, mixed = blend((wide, replace(spec, size_multiple=72)), (beside, replace(other, border_px=4)), 0.5)
    assert mixed.border_px == 0
    _, narrow = blend((wide, replace(spec, size_multiple=8)), (beside, replace(other, border_px=4)), 0.5)
    assert narrow.border_px == 8

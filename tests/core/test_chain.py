"""Networks after each other are one network: exact in tiles, and what running them one by one gives."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto

from sr_core.backends.openvino import OpenVino
from sr_core.color import FULL_RANGE_RGB
from sr_core.difference import difference
from sr_core.errors import BadInput
from sr_core.frame import Array, PixelFormat
from sr_core.graph.chain import chain
from sr_core.model_spec import ModelSpec, spec_of, with_spec
from sr_core.testing import global_model, nearest_model, picture, random_model
from sr_core.upscaler import Upscaler

FLOAT_RGB = PixelFormat(family="rgb", depth=32, layout="packed", is_float=True)
SAME_DB = 100.0  # order of sums in FP32; 130 measured


def stage(model: ModelProto) -> tuple[ModelProto, ModelSpec]:
    spec = spec_of(model)
    assert spec is not None
    return model, spec


def enlarged(model: ModelProto, spec: ModelSpec, pixels: Array, *, tile: int) -> Array:
    with Upscaler(model, spec, OpenVino(threads=1), tile=tile, precision="exact") as upscaler:
        return upscaler.planes((pixels,), FLOAT_RGB, FULL_RANGE_RGB)[0]


@pytest.mark.parametrize(
    "models",
    [
        (random_model(1, seed=1), random_model(2, seed=2)),
        (random_model(2, seed=1), random_model(1, seed=2), random_model(2, seed=3)),
        (random_model(1, seed=1), random_model(2, seed=2, color_space="y")),
        (random_model(2, seed=1, color_space="y"), random_model(2, seed=2, color_space="y")),
    ],
)
def test_a_chain_in_tiles_is_its_networks_one_by_one(models: tuple[ModelProto, ...]) -> None:
    stages = [stage(model) for model in models]
    model, spec = chain(stages)
    assert spec.scale == np.prod([each.scale for _, each in stages])
    pixels = expected = picture(90, 70, seed=2).astype(np.float32)
    for network, facts in stages:
        expected = enlarged(network, facts, expected.clip(0, 1), tile=4096)
    if spec.color_space == "y":  # the rest of the colours is resized once, not twice
        return
    assert difference(enlarged(model, spec, pixels, tile=48), expected).psnr_db > SAME_DB


def test_halos_add_up_in_pixels_of_the_first_input() -> None:
    first, second = stage(random_model(2, seed=1, layers=3)), stage(random_model(2, seed=2, layers=5))
    assert (first[1].halo_px, second[1].halo_px) == (4, 6)
    assert chain([first, second])[1].halo_px == 4 + 6 // 2


def test_a_chain_with_a_network_that_sees_everything_is_blended() -> None:
    assert chain([stage(nearest_model(1)), stage(global_model(2))])[1].halo_px is None


def test_sizes_are_those_of_the_first_input() -> None:
    def sized(model: ModelProto, **facts: object) -> tuple[ModelProto, ModelSpec]:
        _, spec = stage(model)
        spec = ModelSpec(**{**vars(spec), **facts})
        return with_spec(model, spec), spec

    needs_12 = sized(nearest_model(1), size_multiple=12, smallest=24)
    assert (chain([stage(nearest_model(2)), needs_12])[1].size_multiple) == 6
    assert (chain([stage(nearest_model(2)), needs_12])[1].smallest) == 12
    fixed = sized(nearest_model(1), fixed_size=(64, 48))
    assert chain([stage(nearest_model(2)), fixed])[1].fixed_size == (32, 24)
    with pytest.raises(BadInput, match="one size each, and those differ: 32x24 and 64x48"):
        chain([fixed, stage(nearest_model(2)), fixed])
    with pytest.raises(BadInput, match="which is not 3 times anything"):
        chain([stage(nearest_model(3)), fixed])


def test_more_than_sixteen_times_is_refused() -> None:
    with pytest.raises(BadInput, match="would enlarge 24 times"):
        chain([stage(nearest_model(scale)) for scale in (2, 3, 4)])


def test_one_network_is_left_as_it_is() -> None:
    model, spec = stage(nearest_model(2))
    assert chain([(model, spec)]) == (model, spec)

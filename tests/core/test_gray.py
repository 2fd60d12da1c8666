"""Gray pictures stay gray to the bit where the model's facts say so, and color elsewhere is not touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import ModelProto

from sr_core.backend import open_backend
from sr_core.color import ColorSpec
from sr_core.frame import Array, PixelFormat, rgb
from sr_core.graph.blend import blend
from sr_core.graph.chain import chain
from sr_core.model_spec import ModelSpec, read_spec, spec_of
from sr_core.testing import random_model
from sr_core.upscaler import Upscaler
from sr_zoo.models import shipped_models
from srvid.front_door import resolve_model

FORMATS = {"8 bits": rgb(packed=True), "16 bits": rgb(16, packed=True)}
SINGLE = PixelFormat(family="rgb", depth=32, layout="packed", is_float=True)
Stage = tuple[ModelProto, ModelSpec]


def flagged(scale: int, keeps: bool = True) -> Stage:
    model = random_model(scale)
    spec = spec_of(model)
    assert spec is not None
    return model, replace(spec, keeps_gray=keeps)


def enlarge(stage: Stage, image: Array, fmt: PixelFormat = SINGLE, tile: int | None = None) -> Array:
    with Upscaler(*stage, open_backend("openvino"), precision="exact", tile=tile) as upscaler:
        (made,) = upscaler.planes((image,), fmt, ColorSpec(full_range=True))
        return made.copy()


def is_gray(image: Array) -> Array:
    gray: Array = (image[..., 0] == image[..., 1]) & (image[..., 2] == image[..., 1])
    return gray


def half_gray(height: int = 40, width: int = 48) -> Array:
    """Color in the left half, gray in the right."""
    noise = np.random.default_rng(6).random((height, width, 3), np.float32)
    noise[:, width // 2 :] = noise[:, width // 2 :, :1]
    return noise


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_gray_parts_stay_gray_and_color_is_as_it_was(scale: int) -> None:
    image = half_gray()
    as_it_was, made = enlarge(flagged(scale, keeps=False), image), enlarge(flagged(scale), image)
    gray_from = (image.shape[1] // 2 + 1) * scale  # the first gray column sees a pixel of color
    assert is_gray(made[:, gray_from:]).all()
    assert not is_gray(as_it_was[:, gray_from:]).all()
    assert np.array_equal(made[:, :gray_from], as_it_was[:, :gray_from])
    luma = as_it_was[:, gray_from:] @ np.array([0.299, 0.587, 0.114], np.float32)
    assert np.abs(made[:, gray_from:, 1] - luma).max() < 1e-5


def test_tiles_of_a_picture_that_is_half_gray_are_exact() -> None:
    image = half_gray(70, 90)
    made = enlarge(flagged(2), image, tile=32)
    assert np.abs(made - enlarge(flagged(2), image)).max() < 1e-5
    assert is_gray(made[:, (45 + 1) * 2 :]).all()


def test_a_chain_and_a_blend_keep_gray_only_where_each_part_does() -> None:
    for keeps in (True, False):
        assert chain([flagged(2), flagged(2, keeps)])[1].keeps_gray is keeps
        assert blend(flagged(2), flagged(2, keeps), 0.5)[1].keeps_gray is keeps


def test_every_shipped_network_of_colors_keeps_gray() -> None:
    for model in shipped_models():
        spec = read_spec(model.path)
        assert spec.keeps_gray == (spec.color_space == "rgb"), spec.name


@pytest.mark.parametrize("bits", FORMATS)
@pytest.mark.parametrize("name", ["clear-x2", "clear-x3", "clear-x4", "swift-x2", "swift-x3", "swift-x4", "restore-x4"])
def test_a_gray_picture_of_three_colors_comes_out_gray(name: str, bits: str) -> None:
    fmt = FORMATS[bits]
    noise = np.random.default_rng(7).integers(0, fmt.peak, (24, 28, 1), endpoint=True)
    made = enlarge(resolve_model(name), np.repeat(noise, 3, axis=2).astype(fmt.dtype), fmt)
    assert is_gray(made).all()
    assert made.std() > 0.05 * fmt.peak

"""A picture continued at its border: what the zeros beyond it do is not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import ModelProto

from sr_core.backend import open_backend
from sr_core.color import ColorSpec
from sr_core.errors import BadModel
from sr_core.frame import Array, PixelFormat, rgb, yuv
from sr_core.graph.chain import chain
from sr_core.model_spec import ModelSpec, spec_of
from sr_core.testing import planes_from_rgb, random_model
from sr_core.upscaler import Upscaler
from sr_zoo.models import shipped_names
from srvid.front_door import resolve_model

SINGLE = PixelFormat(family="rgb", depth=32, layout="packed", is_float=True)
SATURATED = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 30, 40), (30, 190, 60), (220, 200, 20), (20, 160, 200))
CODES = 1  # of 8 bits: rounding
PUBLISHED_CODES = 4  # subpixel-rgb, as published, adds no base: 74 without


def of(model: ModelProto, border_px: int) -> tuple[ModelProto, ModelSpec]:
    spec = spec_of(model)
    assert spec is not None
    return model, replace(spec, border_px=border_px)


def enlarge(stage: tuple[ModelProto, ModelSpec], image: Array, tile: int | None = None) -> Array:
    with Upscaler(*stage, open_backend("openvino"), precision="exact", tile=tile) as upscaler:
        (made,) = upscaler.planes((image,), SINGLE, ColorSpec(full_range=True))
        return made.copy()


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_it_is_as_if_the_picture_had_been_continued_by_hand(scale: int) -> None:
    model = random_model(scale)
    image = np.random.default_rng(1).random((24, 32, 3), np.float32)
    by_hand = enlarge(of(model, 0), np.pad(image, ((8, 8), (8, 8), (0, 0)), mode="edge"))
    cut = 8 * scale
    made = enlarge(of(model, 8), image)
    assert np.abs(made - by_hand[cut:-cut, cut:-cut]).max() < 1e-5
    assert np.abs(made - enlarge(of(model, 0), image)).max() > 1e-3  # the border's zeros were seen


def test_tiles_of_a_continued_picture_are_exact() -> None:
    image = np.random.default_rng(2).random((70, 90, 3), np.float32)
    stage = of(random_model(2), 4)
    assert np.abs(enlarge(stage, image, tile=32) - enlarge(stage, image)).max() < 1e-5


def test_a_chain_continues_the_picture_far_enough_for_each_of_its_networks() -> None:
    _, spec = chain([of(random_model(2), 4), of(random_model(2), 12)])
    assert spec.border_px == 8  # 12 pixels of the second are 6 of the first
    _, spec = chain([of(random_model(2), 0), of(random_model(2), 0)])
    assert spec.border_px == 0


def test_a_border_that_planes_cannot_have_is_refused() -> None:
    for border, more in ((3, {}), (4, {"size_multiple": 8}), (4, {"fixed_size": (64, 64)}), (128, {})):
        with pytest.raises(BadModel, match="border_px"):
            ModelSpec(name="odd", scale=2, border_px=border, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("fmt", [rgb(packed=True), yuv("420", 10), yuv("444", 16)], ids=str)
@pytest.mark.parametrize("name", shipped_names())
def test_flat_saturated_colors_stay_flat_up_to_the_border(name: str, fmt: PixelFormat) -> None:
    allowed = (PUBLISHED_CODES if name.startswith("subpixel") else CODES) * 2 ** (fmt.depth - 8)
    assert _error_at_the_border(name, fmt) <= allowed


def test_without_a_continued_border_they_would_not() -> None:
    assert _error_at_the_border("clear-x4", rgb(packed=True), border_px=0) > 5 * CODES


def _error_at_the_border(name: str, fmt: PixelFormat, border_px: int | None = None) -> int:
    """How far a flat picture's samples leave the range of those in its middle."""
    model, spec = resolve_model(name)
    spec = spec if border_px is None else replace(spec, border_px=border_px)
    worst, color = 0, ColorSpec(full_range=fmt.family == "rgb")
    with Upscaler(model, spec, open_backend("openvino"), precision="exact") as upscaler:
        for flat in SATURATED:
            image = np.broadcast_to(np.array(flat) / 255, (48, 48, 3))
            planes = planes_from_rgb(image, fmt, color)
            for plane in upscaler.planes(planes, fmt, color):
                made = plane.astype(int)
                middle = made[len(made) // 2 - 12 : len(made) // 2 + 12, len(made) // 2 - 12 : len(made) // 2 + 12]
                low, high = middle.min((0, 1)), middle.max((0, 1))
                worst = max(worst, int((made - high).max()), int((low - made).max()))
    return worst

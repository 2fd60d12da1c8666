"""A name becomes a running upscaler, or an error that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import srvid
from sr_core.color import FULL_RANGE_RGB
from sr_core.errors import BadInput, NotAvailable, SrError
from sr_core.frame import rgb
from sr_core.testing import nearest_model, picture
from srvid.recipe import EngineRecipe


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_default_model_exists_at_every_scale_and_beats_nearest(scale: int) -> None:
    """On a smooth picture reduced by area, the shipped model restores more than repetition does."""
    truth = (picture(96, 96, seed=3) * 255).round().astype(np.uint8)
    small = truth.reshape(96 // scale, scale, 96 // scale, scale, 3).mean((1, 3)).round().astype(np.uint8)
    with srvid.open_upscaler(scale=scale, tile=4096) as upscaler:
        (large,) = upscaler.planes((small,), rgb(packed=True), FULL_RANGE_RGB)
    repeated = small.repeat(scale, 0).repeat(scale, 1)

    def error(image: np.ndarray) -> float:
        return float(np.mean((image.astype(float) - truth) ** 2))

    assert error(large) < error(repeated) / 2


def test_a_model_file_can_be_given_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mein modell ü.onnx"
    onnx.save(nearest_model(2), path)
    with srvid.open_upscaler(str(path), scale=None, tile=64) as upscaler:
        (out,) = upscaler.planes((np.full((5, 6, 3), 9, np.uint8),), rgb(packed=True), FULL_RANGE_RGB)
    assert out.shape == (10, 12, 3)
    assert (out == 9).all()


def test_a_model_of_another_scale_is_refused_with_its_own(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(nearest_model(2), path)
    with pytest.raises(BadInput, match="enlarges 2 times, but scale 4") as caught:
        srvid.open_upscaler(str(path), scale=4)
    assert "scale=2" in caught.value.hint


@pytest.mark.parametrize("name", ["no-such-model", "clear-x9", "", "clear/../../x.onnx"])
def test_an_unknown_model_is_an_error_with_a_hint(name: str) -> None:
    with pytest.raises(SrError) as caught:
        srvid.open_upscaler(name, scale=4)
    assert str(caught.value)


def test_an_unknown_backend_lists_the_known_ones() -> None:
    with pytest.raises(NotAvailable) as caught:
        srvid.open_upscaler("clear", scale=2, backend="cuda")
    assert "openvino" in caught.value.hint


def test_backends_agree_on_the_same_model() -> None:
    """Every backend runs the same ONNX: FP32 answers differ by at most a code."""
    pixels = (picture(60, 44) * 255).astype(np.uint8)
    results = []
    for backend in ("openvino", "onnxruntime"):
        with srvid.open_upscaler("clear", scale=2, backend=backend, precision="exact", tile=64) as upscaler:
            results.append(upscaler.planes((pixels,), rgb(packed=True), FULL_RANGE_RGB)[0].astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1


def test_a_folder_or_a_file_without_a_models_ending_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c").mkdir()
    (tmp_path / "weights.bin").write_bytes(b"x")
    with pytest.raises(BadInput, match="c is a folder"):
        srvid.resolve_model("c", scale=2)
    with pytest.raises(BadInput, match=r"does not end in \.onnx"):
        srvid.resolve_model("weights.bin", scale=2)


def test_any_scale_a_model_has_is_hinted_at(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(nearest_model(5), path)
    with pytest.raises(BadInput, match="enlarges 5 times") as caught:
        srvid.resolve_model(str(path), scale=4)
    assert "scale=5" in caught.value.hint
    assert srvid.resolve_model(str(path))[1].scale == 5


@pytest.mark.parametrize(
    "option",
    [
        {"backend": "onnxruntime"},
        {"device": 0},
        {"tile": 64},
        {"strength": 0.5},
        {"sharpen": 0.5},
        {"self_ensemble": True},
    ],
)
def test_options_that_nearest_cannot_heed_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="would do nothing"):
        EngineRecipe(model="nearest", **option)
    with pytest.raises(BadInput) as caught:
        EngineRecipe(model="nearest", grain=0.5, **option)
    assert f"leave {next(iter(option))} and grain out" == caught.value.hint


@pytest.mark.parametrize("model", ["nearest", "clear"])
def test_an_unknown_backend_is_refused_whatever_the_model(model: str) -> None:
    with pytest.raises(NotAvailable, match="unknown backend 'foo'"):
        EngineRecipe(model=model, backend="foo")


def test_a_recipe_hands_on_what_is_asked_of_the_picture() -> None:
    recipe = EngineRecipe(model="swift", backend="openvino", strength=0.5, sharpen=0.3, grain="keep")
    with recipe.open(2) as engine:
        assert isinstance(engine, srvid.Upscaler)
        assert (engine.spec.name, engine.spec.sharpen, engine.grain) == ("swift-x2@0.5+sharpen0.3", 0.3, "keep")

"""Sharpening: luma alone, halos bounded, in the graph; so exact tiles, flat colors and gray stay what they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from scipy.ndimage import correlate, maximum_filter, minimum_filter

import srvid
from sr_core.backend import open_backend
from sr_core.color import ColorSpec, ycc_from_rgb
from sr_core.errors import BadInput
from sr_core.frame import Array, PixelFormat, Planes, gray, rgb, yuv
from sr_core.graph.blend import blend
from sr_core.graph.sharpen import GAIN, SLACK
from sr_core.model_spec import ModelSpec, spec_of, with_spec
from sr_core.testing import nearest_model, random_model
from sr_core.upscaler import Upscaler
from srvid.front_door import resolve_model
from srvid.recipe import EngineRecipe

RANDOM = np.random.default_rng(4)
FLOAT_GRAY = PixelFormat(family="gray", depth=32, layout="planar", is_float=True)
FLOAT_RGB = PixelFormat(family="rgb", depth=32, layout="packed", is_float=True)


def enlarge(
    planes: Planes,
    fmt: PixelFormat,
    *,
    sharpen: float,
    scale: int = 2,
    tile: int | None = None,
    border: int = 0,
    repeats_pixels: bool = False,
) -> Planes:
    model = nearest_model(scale) if repeats_pixels else random_model(scale, layers=2)
    spec = spec_of(model)
    assert spec is not None
    spec = replace(spec, sharpen=sharpen, border_px=border)
    with Upscaler(model, spec, open_backend("openvino"), precision="exact", tile=tile) as upscaler:
        return tuple(plane.copy() for plane in upscaler.planes(planes, fmt, ColorSpec(full_range=True)))


def sharpened(luma: Array, amount: float, step: int) -> Array:
    """As the module's picture says, slowly."""
    cross = np.zeros((2 * step + 1, 2 * step + 1))
    cross[0, step] = cross[-1, step] = cross[step, 0] = cross[step, -1] = 0.25
    crisp = luma + GAIN * amount * (luma - correlate(luma, cross, mode="nearest"))
    side = 2 * max(1, step // 2) + 1
    low, high = minimum_filter(luma, side, mode="nearest"), maximum_filter(luma, side, mode="nearest")
    limited: Array = np.clip(crisp, low - SLACK * (high - low), high + SLACK * (high - low))
    return limited


@pytest.mark.parametrize(("scale", "step"), [(1, 1), (2, 1), (4, 2)])
def test_it_is_the_limited_unsharp_mask(scale: int, step: int) -> None:
    image = RANDOM.random((24, 30), np.float32)
    (plain,) = enlarge((image,), FLOAT_GRAY, sharpen=0.0, scale=scale)
    (made,) = enlarge((image,), FLOAT_GRAY, sharpen=0.6, scale=scale)
    assert np.abs(made - sharpened(plain.astype(np.float64), 0.6, step)).max() < 1e-5
    assert np.abs(made - plain).max() > 0.01


@pytest.mark.parametrize("fmt", [yuv("420"), yuv("444", 10), yuv("420", semiplanar=True)], ids=str)
def test_chroma_keeps_every_bit(fmt: PixelFormat) -> None:
    planes = tuple(RANDOM.integers(0, fmt.peak + 1, shape).astype(fmt.dtype) for shape in fmt.plane_shapes(48, 32))
    plain, made = (enlarge(planes, fmt, sharpen=sharpen) for sharpen in (0.0, 0.5))
    assert not np.array_equal(plain[0], made[0])
    apart = [np.abs(a.astype(int) - b.astype(int)) for a, b in zip(plain[1:], made[1:], strict=True)]
    # the plain graph's exit is folded into its last convolution: FP32 sums in another order
    assert all(plane.max() <= 1 and (plane > 0).mean() < 0.01 for plane in apart)


@pytest.mark.parametrize("is_packed", [True, False])
def test_all_channels_of_rgb_move_alike_so_gray_stays_gray(is_packed: bool) -> None:
    image = RANDOM.random((24, 30, 3), np.float32)
    image[:, 15:] = image[:, 15:, :1]
    given = (image,) if is_packed else tuple(np.ascontiguousarray(image[..., n]) for n in range(3))
    fmt = FLOAT_RGB if is_packed else replace(FLOAT_RGB, layout="planar")
    plain, made = (np.dstack(enlarge(given, fmt, sharpen=sharpen)) for sharpen in (0.0, 0.5))
    change = (made - plain).astype(np.float64)
    assert np.ptp(change, axis=2).max() < 1e-5
    luma = plain.astype(np.float64) @ ycc_from_rgb("bt709")[0]
    assert np.abs(change - (sharpened(luma, 0.5, 1) - luma)[..., None]).max() < 1e-5


@pytest.mark.parametrize("fmt", [rgb(packed=True), rgb(), yuv("444"), gray(16)], ids=str)
def test_what_is_flat_stays_as_it_was(fmt: PixelFormat) -> None:
    levels = [200, 90, 30]
    planes = tuple(
        np.broadcast_to(
            np.array(levels if fmt.layout == "packed" else levels[index]) * (fmt.peak // 255), shape
        ).astype(fmt.dtype)
        for index, shape in enumerate(fmt.plane_shapes(48, 32))
    )
    for plane, made in zip(planes, enlarge(planes, fmt, sharpen=1.0, repeats_pixels=True), strict=True):
        assert np.abs(made.astype(int) - plane[0, 0]).max() == 0


@pytest.mark.parametrize("border", [0, 4])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_tiles_are_exact(scale: int, border: int) -> None:
    frame = (RANDOM.random((70, 90), np.float32),)
    whole, tiled = (enlarge(frame, FLOAT_GRAY, sharpen=0.7, scale=scale, tile=t, border=border) for t in (128, 32))
    assert np.abs(whole[0] - tiled[0]).max() < 1e-5


def test_off_is_the_model_as_it_was_and_on_is_another_one_to_everything_that_names_it() -> None:
    plain, spec = resolve_model("clear", scale=2)
    assert resolve_model("clear", scale=2, sharpen=0.0)[0] == plain
    assert "sharpen" not in spec.to_json()  # older versions read files of this one
    found, facts = resolve_model("clear", scale=2, sharpen=0.3)
    assert spec_of(found) == facts
    assert facts == replace(spec, name="clear-x2+sharpen0.3", sharpen=0.3, psnr_y={})
    assert ModelSpec.from_json(facts.to_json()) == facts


def test_python_s_upscaler_is_sharpened(tmp_path: Path) -> None:
    path = tmp_path / "ours-x2.onnx"
    onnx.save(random_model(2), str(path))
    image, made = RANDOM.integers(0, 256, (24, 32, 3), np.uint8), []
    for sharpen in (0.0, 0.5):
        with srvid.open_upscaler(
            str(path), backend="openvino", precision="exact", tile=64, sharpen=sharpen
        ) as upscaler:
            made.append(upscaler.image(image).astype(int))
    assert np.abs(made[0] - made[1]).max() > 3


def test_it_comes_behind_a_mix() -> None:
    facts = resolve_model("restore", scale=2, strength=0.5, sharpen=0.3)[1]
    assert facts == replace(resolve_model("restore", scale=2, strength=0.5)[1], name=facts.name, sharpen=0.3)


def saved(folder: Path, name: str, *, sharpen: float) -> str:
    """A file whose spec says how much it is sharpened."""
    model = random_model(1, layers=1)
    spec = spec_of(model)
    assert spec is not None
    onnx.save(with_spec(model, replace(spec, name=name, sharpen=sharpen)), str(folder / f"{name}.onnx"))
    return str(folder / f"{name}.onnx")


def test_what_a_file_s_spec_asks_for_is_done_to_a_chain_and_a_mix_or_refused(tmp_path: Path) -> None:
    plain, crisp = saved(tmp_path, "plain", sharpen=0.0), saved(tmp_path, "crisp", sharpen=0.4)
    assert resolve_model(f"{plain},{crisp}")[1].sharpen == 0.4
    assert resolve_model(f"{plain},{crisp}", sharpen=0.7)[1].sharpen == 0.7
    assert resolve_model(crisp, strength=0.5)[1].sharpen == 0.4
    with pytest.raises(BadInput, match="crisp is sharpened, and of a chain only the last"):
        resolve_model(f"{crisp},{plain}")
    stages = {name: (onnx.load(name), resolve_model(name)[1]) for name in (plain, crisp)}
    with pytest.raises(BadInput, match="crisp is sharpened, and plain not so much"):
        blend(stages[plain], stages[crisp], 0.5)
    assert blend(stages[crisp], stages[plain], 0.5)[1].sharpen == 0.4


def test_what_is_no_share_is_refused() -> None:
    for sharpen in (1.5, -0.1, float("nan"), True):
        with pytest.raises(BadInput, match="from 0 to 1"):
            resolve_model("clear", scale=2, sharpen=sharpen)
        with pytest.raises(BadInput, match="from 0 to 1"):
            EngineRecipe(sharpen=sharpen)

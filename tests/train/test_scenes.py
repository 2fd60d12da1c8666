"""Drawn scenes: the same from the same seed, as sharp and as wide as they say, and never what is measured on."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr_core.errors import BadInput, NotAvailable
from sr_core.model_spec import load_model
from sr_train import clip_bank, clips, strokes
from sr_train.chances import Chances
from sr_train.clips import make_clip
from sr_train.coding import Coding, encode_and_decode, planes_from_rgb, rgb_from_planes
from sr_train.config import DataConfig
from sr_train.images import find_pictures
from sr_train.scenes import SIDE_PX, draw_scene, renderer, scene_svg
from sr_train.shipping import attributions
from sr_zoo.models import find_model
from sr_zoo.onnx_run import open_runner

INK = "#000000"
SUBPIXEL = 0.26  # resvg samples each pixel in four rows


def drawn(parts: str, side: int = 64) -> NDArray[np.float64]:
    """Share of ink in each pixel."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}">{parts}</svg>'
    with Image.open(io.BytesIO(renderer()(svg_string=svg, background="#ffffff"))) as image:
        return 1 - np.asarray(image.convert("L"), np.float64) / 255


def test_a_scene_depends_on_its_seed_alone() -> None:
    once, again, other = (np.asarray(draw_scene(np.random.default_rng(seed))) for seed in (5, 5, 6))
    assert once.shape == (SIDE_PX, SIDE_PX, 3)
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_scenes_are_sound_svg_and_some_are_black_and_white() -> None:
    pages = [scene_svg(np.random.default_rng(seed)) for seed in range(40)]
    for page in pages:
        ElementTree.fromstring(page)
        assert "nan" not in page.lower()
    gray = [seed for seed in range(6) if not np.ptp(np.asarray(draw_scene(np.random.default_rng(seed))), axis=2).any()]
    assert 0 < len(gray) < 6


def test_a_line_is_as_wide_as_it_says_all_along() -> None:
    points = np.stack([np.linspace(-8, 72, 41), np.full(41, 30.0)], axis=1)
    widths = np.linspace(2.0, 12.0, 41)
    ink = drawn(strokes.brush(points, widths, INK)).sum(axis=0)
    assert np.abs(ink - np.interp(np.arange(64) + 0.5, points[:, 0], widths)).max() < SUBPIXEL


def test_a_curve_goes_through_its_corners() -> None:
    corners = np.random.default_rng(1).uniform(0, 60, (6, 2))
    for closed in (False, True):
        curve = strokes.smooth(corners, closed=closed)
        assert all(np.hypot(*(curve - corner).T).min() < 1e-9 for corner in corners), closed


def test_text_and_screens_leave_ink() -> None:
    rng = np.random.default_rng(3)
    assert drawn(strokes.lettering(200.0, INK, "#ffffff", rng), 400).sum() > 50
    square = np.array([[0.0, 0.0], [64, 0], [64, 64], [0, 64]])
    assert 0.05 < drawn(strokes.screen("a", square, INK, rng)).mean() < 0.8


def test_without_resvg_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Image.new("RGB", (300, 300)).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(NotAvailable, match="resvg-py"):
        clip_bank.open_clips([tmp_path], scale=4, cache=tmp_path / "cache", count=1, scenes=0.5)


def test_clips_show_scenes_in_the_share_that_a_recipe_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_bank, "SHARD", 4)
    Image.new("RGB", (300, 300), (90, 160, 30)).save(tmp_path / "flat.png")

    def drawn_share(scenes: float) -> float:
        (folder := tmp_path / f"shards{scenes}").mkdir()
        clip_bank._make_shard([tmp_path / "flat.png"], 4, 0, folder, Chances(), scenes)
        entries = clip_bank._read_shard(folder, 0)
        assert len(entries) == 4
        return float(np.mean([_canvas(entry).std(axis=(0, 1)).max() > 2 for entry in entries]))

    def _canvas(entry: clip_bank._Entry) -> NDArray[np.uint8]:
        start, height, width = entry.canvases[0]
        return entry.high[start : start + height * width * 3].reshape(height, width, 3)

    assert [drawn_share(0.0), drawn_share(1.0)] == [0.0, 1.0]


def test_scenes_without_clips_are_refused() -> None:
    with pytest.raises(BadInput, match=r"data\.clips is 0"):
        DataConfig(folders=("a",), scenes=0.5)


def test_what_is_held_back_is_neither_learnt_from_nor_credited(tmp_path: Path) -> None:
    for name in ("_E03P02_60.png", "_E04P02_60.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert [path.name for path in find_pictures([tmp_path], ["_E03P02*"])] == ["_E04P02_60.png"]
    rows = "file,licence\ntrain/a/_E03P02_60.png,CC-BY\ntrain/a/_E04P02_60.png,CC-BY\n"
    (tmp_path / "manifest.csv").write_text(rows, encoding="utf-8")
    assert attributions(tmp_path, ["train/a"], ["_E03P02*"]) == ("1 images: CC-BY",)


def test_jpeg_is_of_uncoded_clips_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "encode_and_decode", lambda frames, coding: list(frames))
    picture = draw_scene(np.random.default_rng(2))
    plain = Chances(smaller=0, soft_truth=0, blur=0, rescale=0, gray=0, clean_noise=0, noise=0, twice=0)

    def low(**changed: float) -> NDArray[np.uint8]:
        chances = Chances(**{**plain.__dict__, **changed})  # type: ignore[arg-type]
        return make_clip(picture, 4, np.random.default_rng(1), chances).low

    assert not np.array_equal(low(uncoded=1.0), low(uncoded=1.0, jpeg=1.0))
    assert np.array_equal(low(uncoded=0.0), low(uncoded=0.0, jpeg=1.0))


@pytest.mark.parametrize("scale", [2, 4])
def test_anime_draws_lines_of_a_coded_scene_it_never_saw_steeper_than_restore(scale: int) -> None:
    scene = np.asarray(draw_scene(np.random.default_rng(97)))[200:392, 200:392]
    low = np.asarray(Image.fromarray(scene).resize((192 // scale, 192 // scale), Image.Resampling.BICUBIC))
    (sent,) = encode_and_decode([planes_from_rgb(low)], Coding(codec="libx264", coder={"crf": "28"}))
    batch = (rgb_from_planes(*clips.split(sent)).transpose(2, 0, 1)[None] / 255).astype(np.float32)
    truth = scene.mean(axis=2)
    lines = np.hypot(*np.gradient(truth)) >= np.percentile(np.hypot(*np.gradient(truth)), 95)

    def steepness(family: str) -> float:
        made = open_runner(load_model(find_model(family, scale=scale)))(batch)[0].mean(axis=0) * 255
        return float(np.hypot(*np.gradient(made))[lines].mean())

    assert steepness("anime") > 1.05 * steepness("restore")

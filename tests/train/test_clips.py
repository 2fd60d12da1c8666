"""Coded clips: what goes through the codec, what stays aligned, and what a batch pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sr_core.errors import BadInput
from sr_train import clip_bank
from sr_train.chances import Chances
from sr_train.clips import FRAMES, make_clip, split
from sr_train.coding import Coding, draw_coding, encode_and_decode, planes_from_rgb, rgb_from_planes
from sr_train.config import DataConfig, ModelConfig, OptimConfig, TrainConfig
from sr_train.losses import still

PLAIN = Chances(smaller=0, soft_truth=0, blur=0, rescale=0, gray=0, uncoded=1, clean_noise=0)


@pytest.fixture
def picture() -> Image.Image:
    y, x = np.mgrid[0:320, 0:400]
    waves = [127 + 60 * np.sin(x / (9 + c) + c) + 50 * np.cos(y / (7 + 2 * c)) for c in range(3)]
    return Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))


def test_flat_colors_survive_420_to_the_border() -> None:
    flat = np.full((16, 24, 3), (200, 40, 90), np.uint8)
    back = rgb_from_planes(*split(planes_from_rgb(flat)))
    assert np.abs(back - flat).max() < 2.0


def test_chroma_sits_left_and_is_not_moved() -> None:
    x = np.arange(64)
    ramp = np.zeros((8, 64, 3), np.uint8)
    ramp[..., 0], ramp[..., 2] = 60 + 2 * x, 180 - 2 * x
    back = rgb_from_planes(*split(planes_from_rgb(ramp)))
    error = (back - ramp)[:, 4:-4]
    assert abs(error[..., 0].mean()) < 0.25  # centred siting would shift red by half a pixel: one code


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_a_codec_returns_every_frame_nearly(codec: str, picture: Image.Image) -> None:
    frames = [planes_from_rgb(np.asarray(picture.crop((k, 0, k + 96, 64)))) for k in range(5)]
    coding = Coding(codec=codec, quantiser=2) if codec == "mpeg2video" else Coding(codec=codec, coder={"crf": "16"})
    made = encode_and_decode(frames, coding)
    assert len(made) == 5
    errors = [np.abs(a.astype(float) - b).mean() for a, b in zip(made, frames, strict=True)]
    assert 0 < max(errors) < 4


@pytest.mark.parametrize("seed", range(6))
def test_low_frames_lie_where_their_windows_say(seed: int, picture: Image.Image) -> None:
    clip = make_clip(picture, 4, np.random.default_rng(seed), PLAIN)
    assert len(clip.low) == len(clip.windows) == FRAMES
    for planes, (canvas, top, left) in zip(clip.low, clip.windows, strict=True):
        low = rgb_from_planes(*split(planes))
        high = clip.canvases[canvas][top : top + 4 * low.shape[0], left : left + 4 * low.shape[1]]
        means = high.reshape(low.shape[0], 4, low.shape[1], 4, 3).mean(axis=(1, 3))
        shift = (means - low) @ np.array([0.299, 0.587, 0.114])
        assert np.abs(shift).mean() < 3  # luma; half an LR pixel of shift gives 4.5 and more


def test_batches_are_pairs_of_one_clip_and_depend_on_the_step_alone(
    picture: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_bank, "SHARD", 2)
    monkeypatch.setattr(clip_bank.os, "cpu_count", lambda: 1)
    (tmp_path / "in").mkdir()
    picture.save(tmp_path / "in" / "a.png")
    made = clip_bank.open_clips([tmp_path / "in"], scale=4, cache=tmp_path / "cache", count=2)
    read: list[tuple[object, ...]] = []
    real = clip_bank._Entry.frame

    def noted(entry: clip_bank._Entry, frame: int, *where: int) -> object:
        read.append((entry, frame, *where))
        return real(entry, frame, *where)

    monkeypatch.setattr(clip_bank._Entry, "frame", noted)
    low, high = made.batch(seed=1, step=7, count=4, patch_px=24)
    for (entry, frame, *where), (next_entry, next_frame, *next_where) in zip(read[::2], read[1::2], strict=True):
        assert next_entry is entry
        assert (next_frame, next_where) == (frame + 1, where)
    assert low.shape == (4, 24, 24, 3)
    assert high.shape == (4, 96, 96, 3)
    again = clip_bank.open_clips([tmp_path / "in"], scale=4, cache=tmp_path / "cache", count=2)
    assert np.array_equal(low, again.batch(seed=1, step=7, count=4, patch_px=24)[0])
    assert not np.array_equal(low, made.batch(seed=1, step=8, count=4, patch_px=24)[0])
    with pytest.raises(BadInput, match="no clip holds"):
        made.batch(seed=1, step=1, count=2, patch_px=4000)


def test_painted_truths_leave_the_inputs_and_the_places_as_they_were(picture: Image.Image) -> None:
    plain, painted = (
        make_clip(picture, 4, np.random.default_rng(5), Chances(painted=share, uncoded=1)) for share in (0.0, 1.0)
    )
    assert np.array_equal(plain.low, painted.low)
    assert plain.windows == painted.windows
    before, after = plain.canvases[0], painted.canvases[0]
    assert before.shape == after.shape
    assert not np.array_equal(before, after)


def test_drawn_pictures_take_the_place_of_files_where_a_recipe_says_so(
    picture: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_bank, "SHARD", 2)
    picture.save(tmp_path / "a.png")
    read: list[Path] = []
    monkeypatch.setattr(clip_bank, "read_rgb", lambda path: read.append(path) or np.asarray(picture))
    for share, expected in ((0.0, 2), (1.0, 0)):
        read.clear()
        (tmp_path / str(share)).mkdir()
        clip_bank._make_shard([tmp_path / "a.png"], 4, 0, tmp_path / str(share), Chances(drawn=share, uncoded=1), 0.0)
        assert len(read) == expected


@pytest.mark.parametrize("seed", range(8))
def test_coarser_codings_are_the_same_but_for_their_steps(seed: int) -> None:
    usual, coarse = (draw_coding(np.random.default_rng(seed), coarser=steps) for steps in (0, 4))
    assert coarse.codec == usual.codec
    if usual.quantiser:
        assert coarse.quantiser == usual.quantiser + 2
    else:
        assert int(coarse.coder["crf"]) == int(usual.coder["crf"]) + 4


def test_still_sees_flicker_only_where_the_truth_stands_still() -> None:
    truth = torch.full((2, 3, 8, 8), 0.5)
    flickering = truth + torch.tensor([0.1, -0.1]).view(2, 1, 1, 1)
    assert float(still(flickering, truth)) == pytest.approx(0.2, abs=1e-6)
    assert float(still(truth + 0.1, truth)) == pytest.approx(0.0, abs=1e-6)
    moving = torch.stack([truth[0], truth[1] + 0.3])
    assert float(still(moving + flickering - truth, moving)) == 0.0


def test_still_without_clips_is_refused() -> None:
    with pytest.raises(BadInput, match=r"data\.clips is 0"):
        TrainConfig(
            model=ModelConfig(name="a-x2", arch="restore", scale=2),
            data=DataConfig(folders=("a",)),
            optim=OptimConfig(steps=1),
            loss={"still": 1.0},
        )

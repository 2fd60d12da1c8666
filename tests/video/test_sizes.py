"""Sizes that an encoder or a model does not give: refused before the work, with what does it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr_core.errors import BadInput
from sr_core.wording import as_flag, spell
from sr_video.decide.codecs import VIDEO_CODECS
from tests.video.conftest import Clip, upscaled


@pytest.mark.parametrize(("ending", "named"), [("mkv", {"libx265", "ffv1"}), ("mov", {"libx265", "ffv1", "prores"})])
def test_too_large_a_picture_is_refused_with_the_encoders_that_take_it(
    ending: str, named: set[str], clip: Clip, tmp_path: Path
) -> None:
    source = clip(size=(4200, 16), frames=1)
    with pytest.raises(BadInput, match="takes 16384x16384 at most, not 16800x64") as caught:
        upscaled(source, tmp_path / f"out.{ending}", scale=4, codec="libx264")
    hint = spell(caught.value.unspelled_hint, as_flag)
    assert {name for name in VIDEO_CODECS if f"--codec {name}" in hint} == named
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_an_encoder_that_is_named_takes_it(clip: Clip, tmp_path: Path) -> None:
    upscaled(clip(size=(4200, 16), frames=1), tmp_path / "out.mkv", scale=4, codec="libx265")


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        ({"height": 480, "engine_scales": (2,)}, "--model mine,clear"),
        ({"height": 2160}, "--scale 4 --codec ffv1 into a .mkv, then --height 2160 on that"),
        ({"width": 4096}, "--scale 4 --codec ffv1 into a .mkv, then --width 4096 on that"),
        ({"scale": 40}, "--scale 4 --codec ffv1 into a .mkv, then --scale 10 on that"),
    ],
)
def test_a_size_beyond_the_model_is_refused_with_the_command_that_gives_it(
    asked: dict[str, object], command: str, clip: Clip, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="which is all the model gives") as caught:
        upscaled(clip(), tmp_path / "out.mkv", model="mine", **asked)
    assert command in spell(caught.value.unspelled_hint, as_flag)


def test_two_sides_of_another_shape_are_said(clip: Clip, tmp_path: Path) -> None:
    bent = upscaled(clip(), tmp_path / "bent.mkv", width=200, height=96)
    assert any("another shape than 64x48" in note for note in bent.notes)
    alike = upscaled(clip(), tmp_path / "alike.mkv", width=128, height=96)
    assert not any("another shape" in note for note in alike.notes)

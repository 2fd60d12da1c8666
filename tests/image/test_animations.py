"""Animations and pages through an upscaler: frames, durations, loops."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_core.upscaler import Upscaler
from sr_image.enlarge import EnlargeOptions, enlarge
from sr_image.formats.writer import write_image
from sr_image.metadata.carried import Frame, Metadata
from tests.image.conftest import noise
from tests.image.samples import (
    Load,
    header_of,
)


@pytest.mark.parametrize("file_name", ["a.gif", "a.png", "a.webp", "a.avif"])
def test_animations_keep_frames_durations_and_loops(
    file_name: str, tmp_path: Path, doubling: Upscaler, load: Load
) -> None:
    frames = [Image.new("RGB", (16, 12), color) for color in ("red", "lime", "blue")]
    durations = [50, 130, 200]
    frames[0].save(tmp_path / file_name, save_all=True, append_images=frames[1:], duration=durations, loop=3)
    enlarge(tmp_path / file_name, tmp_path / f"out-{file_name}", doubling, EnlargeOptions(quality=100))
    header, _, pixels = load(tmp_path / f"out-{file_name}")
    assert header.durations == tuple(Fraction(duration, 1000) for duration in durations)
    assert header.loop == (0 if file_name == "a.avif" else 3)
    assert header.size == (32, 24)
    for frame, color in zip(pixels, ((255, 0, 0), (0, 255, 0), (0, 0, 255)), strict=True):
        assert np.abs(frame[12, 16, :3].astype(int) - color).max() <= 5


def test_a_gif_with_transparency_keeps_its_shape(tmp_path: Path, doubling: Upscaler, load: Load) -> None:
    pixels = noise(16, 16, 4)
    pixels[..., 3] = 255
    pixels[4:9, 4:9, 3] = 0
    frames = [Image.fromarray(pixels), Image.fromarray(pixels[::-1].copy())]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100, disposal=2)
    enlarge(tmp_path / "a.gif", tmp_path / "out.gif", doubling, EnlargeOptions())
    _, _, results = load(tmp_path / "out.gif")
    for result, frame in zip(results, frames, strict=True):
        expected = np.asarray(frame)[..., 3].repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(result[..., 3], expected)


def test_a_gif_shows_nothing_of_an_opaque_frame_where_the_next_is_transparent(
    tmp_path: Path, doubling: Upscaler
) -> None:
    frames = []
    for index in range(3):
        pixels = np.zeros((30, 40, 4), np.uint8)
        if index == 1:
            pixels[:] = (200, 30, 30, 255)
        pixels[5:15, index * 8 : index * 8 + 10] = (10, 200, 50 + index, 255)
        frames.append(Image.fromarray(pixels))
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=100, lossless=True)
    enlarge(tmp_path / "a.webp", tmp_path / "out.gif", doubling, EnlargeOptions(format="gif"))
    with Image.open(tmp_path / "out.gif") as made:
        for index, frame in enumerate(frames):
            made.seek(index)
            shown = np.asarray(made.convert("RGBA"))[::2, ::2, 3]
            np.testing.assert_array_equal(shown, np.asarray(frame)[..., 3], err_msg=f"frame {index}")


@pytest.mark.parametrize("file_name", ["out.webp", "out.png"])
def test_a_gif_that_plays_once_does_so_in_other_formats(
    file_name: str, tmp_path: Path, identity: Upscaler, load: Load
) -> None:
    frames = [Image.new("RGB", (16, 12), color) for color in ("red", "lime")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)
    enlarge(tmp_path / "a.gif", tmp_path / file_name, identity, EnlargeOptions(format=file_name[4:]))
    assert load(tmp_path / file_name)[0].loop == 1


@pytest.mark.parametrize(("loop", "said"), [(None, "1 time:"), (3, "3 times:"), (0, "")])
def test_an_avif_says_where_it_loses_how_often_an_animation_plays(
    loop: int | None, said: str, tmp_path: Path, identity: Upscaler
) -> None:
    frames = [Image.new("RGB", (16, 12), color) for color in ("red", "lime")]
    options = {} if loop is None else {"loop": loop}
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50, **options)
    notes = enlarge(tmp_path / "a.gif", tmp_path / "a.avif", identity, EnlargeOptions(format="avif")).notes
    assert [said in note for note in notes if "plays" in note] == ([True] if said else [])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_16_bit_apng_is_scaled_to_8_bits_and_said(
    channels: int, tmp_path: Path, identity: Upscaler, load: Load
) -> None:
    pictures = [noise(12, 16, channels, "uint16", seed=index) for index in range(2)]
    for picture in pictures if channels in (2, 4) else []:
        picture[..., -1] |= 0x8000  # no pixel is hidden in 8 bits either
    durations = (Fraction(1, 10), Fraction(1, 5))
    header = replace(header_of(pictures[0], "png"), frames=2, durations=durations, loop=0)
    write_image(
        tmp_path / "a.png", header, Metadata(), [Frame([p], d) for p, d in zip(pictures, durations, strict=True)]
    )
    plan = enlarge(tmp_path / "a.png", tmp_path / "out.png", identity, EnlargeOptions())
    assert "16-bit animation read as 8 bits" in plan.notes
    colors = 1 if channels <= 2 else 3
    for result, picture in zip(load(tmp_path / "out.png")[2], pictures, strict=True):
        difference = result[..., :colors].astype(float) - picture[..., :colors] / 257
        assert np.abs(difference).max() <= 1


def test_pages_of_a_tiff_are_kept(tmp_path: Path, doubling: Upscaler, load: Load) -> None:
    pages = [Image.fromarray(noise(6, 7, 3, seed=index)) for index in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    enlarge(tmp_path / "a.tif", tmp_path / "out.tif", doubling, EnlargeOptions())
    header, _, results = load(tmp_path / "out.tif")
    assert (header.frames, header.durations) == (3, ())
    for result, page in zip(results, pages, strict=True):
        np.testing.assert_array_equal(result, np.asarray(page).repeat(2, 0).repeat(2, 1))

"""Degradations: the same draw gives the same pixels; each step does what its name says."""

from __future__ import annotations

import numpy as np
import pytest

from sr_core.errors import BadInput
from sr_train.degradations import (
    MIXES,
    add_noise,
    blur,
    degrade,
    gaussian_kernel,
    jpeg_compressed,
    rescale_and_back,
    sinc_kernel,
    video_compressed,
)
from sr_train.imresize import Image8, imresize
from sr_train.metrics import psnr


@pytest.fixture(scope="module")
def picture() -> Image8:
    y, x = np.mgrid[0:96, 0:120]
    waves = np.stack([np.sin(x / 3), np.sin(y / 5), np.sin((x + y) / 7)], axis=2)
    return (127 + 100 * waves + np.random.default_rng(0).normal(0, 8, waves.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("scale", [2, 4])
def test_the_same_generator_state_gives_the_same_pixels(picture: Image8, mix: str, scale: int) -> None:
    first, again = (degrade(picture, scale, mix=mix, rng=np.random.default_rng(11)) for _ in range(2))
    assert first.shape == (96 // scale, 120 // scale, 3)
    assert np.array_equal(first, again)


def test_the_mixes_differ_from_bicubic_and_among_draws(picture: Image8) -> None:
    drawn = [degrade(picture, 2, mix="video", rng=np.random.default_rng(seed)) for seed in range(6)]
    assert len({image.tobytes() for image in drawn}) == 6
    assert np.array_equal(degrade(picture, 2, mix="bicubic", rng=np.random.default_rng(0)), imresize(picture, 1 / 2))


def test_an_unknown_mix_is_refused_with_the_list(picture: Image8) -> None:
    with pytest.raises(BadInput) as refusal:
        degrade(picture, 2, mix="vhs", rng=np.random.default_rng(0))
    assert "video" in refusal.value.hint


def test_kernels_keep_the_mean(picture: Image8) -> None:
    for kernel in (gaussian_kernel(1.2, np.random.default_rng(3)), sinc_kernel(2.0)):
        assert kernel.sum() == pytest.approx(1.0)
        assert abs(float(blur(picture, kernel).mean()) - float(picture.mean())) < 1.5


def test_a_blur_with_a_single_spike_moves_nothing(picture: Image8) -> None:
    spike = np.zeros((5, 5))
    spike[2, 2] = 1
    assert np.array_equal(blur(picture, spike), picture)


def test_noise_has_the_strength_asked_for() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noisy = add_noise(grey, 8.0, np.random.default_rng(4))
    assert 6 < float(np.std(noisy.astype(float) - 128)) < 10


def test_stronger_jpeg_loses_more(picture: Image8) -> None:
    rng = np.random.default_rng
    fine, coarse = (jpeg_compressed(picture, quality, rng(5)) for quality in (95, 40))
    assert psnr(fine, picture) > psnr(coarse, picture)
    assert fine.shape == picture.shape


def test_stronger_video_compression_loses_more_and_stays_in_place(picture: Image8) -> None:
    fine, coarse = (video_compressed(picture, crf=crf, rng=np.random.default_rng(6)) for crf in (16, 36))
    assert fine.shape == picture.shape
    assert psnr(fine, picture) > psnr(coarse, picture) + 1
    moved = np.roll(picture, 1, axis=1)
    assert psnr(fine[8:-8, 8:-8], picture[8:-8, 8:-8]) > psnr(fine[8:-8, 8:-8], moved[8:-8, 8:-8])


def test_a_rescaled_picture_keeps_its_size_and_loses_detail(picture: Image8) -> None:
    made = rescale_and_back(picture, 0.5, np.random.default_rng(7))
    assert made.shape == picture.shape
    assert np.abs(np.diff(made.astype(int), axis=1)).mean() < np.abs(np.diff(picture.astype(int), axis=1)).mean()

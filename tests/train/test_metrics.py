"""The measures, against published values and against scikit-image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sr_core.errors import BadInput, BadModel
from sr_train.decoding import read_rgb
from sr_train.evaluation import evaluate
from sr_train.metrics import gmsd, lr_consistency, luma_from_rgb, psnr, ssim
from sr_train.niqe import niqe
from sr_train.published import PUBLISHED

PUBLISHED_BICUBIC_DB = 0.01  # what rounding to two decimals leaves
PUBLISHED_BICUBIC_SSIM = {2: 0.9299, 3: 0.8682, 4: 0.8104}  # Set5, the tables of Kim 2016 and later


@pytest.fixture
def noisy_pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    clean = rng.integers(0, 256, (60, 70, 3)).astype(np.uint8)
    return clean, np.clip(clean + rng.normal(0, 12, clean.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_measures_its_published_values_on_set5(shared_data: Path, scale: int) -> None:
    (found,) = evaluate("bicubic", sets=["set5"], data_root=shared_data, scale=scale)
    assert found.mean("psnr_y") == pytest.approx(PUBLISHED["bicubic"][scale][0], abs=PUBLISHED_BICUBIC_DB)
    assert found.mean("ssim_y") == pytest.approx(PUBLISHED_BICUBIC_SSIM[scale], abs=5e-5)


def test_bicubic_measures_its_published_value_on_set14(shared_data: Path) -> None:
    (found,) = evaluate("bicubic", sets=["set14"], data_root=shared_data, scale=4)
    assert found.mean("psnr_y") == pytest.approx(26.00, abs=PUBLISHED_BICUBIC_DB)


def test_psnr_is_scikit_images(noisy_pair: tuple[np.ndarray, np.ndarray]) -> None:
    clean, noisy = noisy_pair
    assert psnr(noisy, clean) == pytest.approx(peak_signal_noise_ratio(clean, noisy), abs=1e-9)


def test_ssim_is_scikit_images_with_the_papers_window(noisy_pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = (luma_from_rgb(image) for image in noisy_pair)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    _, theirs = structural_similarity(a, b, full=True, **options)
    assert ssim(a, b) == pytest.approx(theirs[5:-5, 5:-5].mean(), abs=1e-6)


def test_equal_images_are_perfect_by_every_measure(noisy_pair: tuple[np.ndarray, np.ndarray]) -> None:
    plane = luma_from_rgb(noisy_pair[0])
    assert psnr(plane, plane) == float("inf")
    assert ssim(plane, plane) == pytest.approx(1.0)
    assert gmsd(plane, plane) == pytest.approx(0.0)


def test_more_noise_is_worse_by_every_measure(noisy_pair: tuple[np.ndarray, np.ndarray]) -> None:
    clean = luma_from_rgb(noisy_pair[0])
    noise = np.random.default_rng(6).normal(0, 1, clean.shape)
    little, much = clean + 5 * noise, clean + 25 * noise
    assert psnr(little, clean) > psnr(much, clean)
    assert ssim(little, clean) > ssim(much, clean)
    assert gmsd(little, clean) < gmsd(much, clean)


def test_cropping_leaves_the_border_out_of_the_measure() -> None:
    a = np.zeros((20, 20))
    b = a.copy()
    b[0] = 255
    assert psnr(a, b, crop_px=1) == float("inf")
    assert psnr(a, b) < 20


def test_black_and_white_are_16_and_235() -> None:
    ends = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    assert luma_from_rgb(ends) == pytest.approx(np.array([[16, 235]]))


def test_a_blurred_photograph_is_less_natural_than_the_photograph(shared_data: Path) -> None:
    (found,) = evaluate("bicubic", sets=["set5"], data_root=shared_data, scale=4)
    sharp = [niqe(luma_from_rgb(read_rgb(path))) for path in sorted((shared_data / "eval/Set5").glob("*.png"))]
    assert np.mean(sharp) < found.mean("niqe") - 1


def test_niqe_of_an_image_too_small_to_judge_is_not_a_number() -> None:
    assert np.isnan(niqe(np.zeros((50, 50))))


def test_a_faithful_output_shrinks_back_to_its_input(shared_data: Path) -> None:
    from sr_train.imresize import imresize

    low = read_rgb(shared_data / "eval/Set5-LR_bicubic/X4/babyx4.png")
    faithful = imresize(low, 4)
    tinted = np.clip(np.add(faithful.astype(int), (6, 0, -6)), 0, 255).astype(np.uint8)
    assert lr_consistency(faithful, low, 4) > lr_consistency(tinted, low, 4) + 3


def test_a_photograph_is_turned_and_16_bits_of_gray_are_scaled(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)
    Image.fromarray(np.repeat(ramp[None], 4, axis=0)).save(tmp_path / "gray.png")
    grey = read_rgb(tmp_path / "gray.png")
    assert np.array_equal(grey[0, :, 0], np.arange(256))

    exif = Image.Exif()
    exif[0x0112] = 6  # the picture's top is at the right
    Image.fromarray(np.zeros((20, 50, 3), np.uint8)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_rgb(tmp_path / "turned.jpg").shape == (50, 20, 3)
    Image.fromarray(np.zeros((20, 50, 3), np.uint8)).save(tmp_path / "odd.jpg", exif=b"Exif\0\0garbage")
    assert read_rgb(tmp_path / "odd.jpg").shape == (20, 50, 3)


def test_images_that_cannot_be_measured_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "a.png")
    (found,) = evaluate("bicubic", sets=[str(tmp_path)], data_root=tmp_path, scale=4)
    assert found.scores[0].ssim_y == pytest.approx(1)
    Image.fromarray(np.zeros((18, 40, 3), np.uint8)).save(tmp_path / "b.png")
    with pytest.raises(BadInput, match=r"b\.png is too small"):
        evaluate("bicubic", sets=[str(tmp_path)], data_root=tmp_path, scale=4)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    with pytest.raises(BadInput, match=r"cannot read image .*b\.png"):
        evaluate("bicubic", sets=[str(tmp_path)], data_root=tmp_path, scale=4)


def test_an_unknown_set_is_refused_with_the_list(shared_data: Path) -> None:
    with pytest.raises(BadInput) as refusal:
        evaluate("bicubic", sets=["set99"], data_root=shared_data, scale=2)
    assert "set5" in refusal.value.hint


def test_bicubic_without_a_scale_is_refused() -> None:
    with pytest.raises(BadModel):
        evaluate("bicubic", sets=["set5"], data_root=Path())

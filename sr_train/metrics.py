"""Full-reference measures by the protocol of the papers: 8-bit images, `scale` pixels cropped from each
border.

psnr, ssim          what every table prints (SSIM: 11x11 Gaussian, sigma 1.5, no padding; Wang et al. 2004)
gmsd                gradient magnitude similarity deviation (Xue et al. 2014): closer to the eye, 0 is perfect
lr_consistency      PSNR between the shrunk output and the input: catches invention and colour shifts
"""

import numpy as np
from numpy.typing import NDArray

from sr_train.filters import Plane, correlate, gaussian_taps, halve, smoothed
from sr_train.imresize import Image8, imresize

Y_WEIGHTS = (65.481, 128.553, 24.966)  # BT.601 studio swing on [0, 1] inputs; offset 16 (MATLAB's rgb2ycbcr)
PEAK = 255.0
K1, K2 = 0.01, 0.03  # SSIM's stabilisers, Wang et al. 2004 §III-B
GMSD_T = 170.0  # GMSD's stabiliser for a peak of 255, Xue et al. 2014 §III


def luma_from_rgb(image: Image8) -> Plane:
    """Studio-swing Y (16-235, unrounded) of an (H, W, 3) uint8 image; a 2-d image is Y already."""
    if image.ndim == 2:
        return image.astype(np.float64)
    y: Plane = image.astype(np.float64) @ (np.array(Y_WEIGHTS) / 255.0) + 16.0
    return y


def psnr(actual: NDArray[np.generic], expected: NDArray[np.generic], *, crop_px: int = 0) -> float:
    """Peak signal to noise ratio in dB for a peak of 255; infinite for equal images."""
    a, b = (_crop(image, crop_px) for image in (actual, expected))
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(PEAK**2 / error))


def ssim(actual: NDArray[np.generic], expected: NDArray[np.generic], *, crop_px: int = 0) -> float:
    """Structural similarity of two planes, or the mean over the planes of (H, W, C) images."""
    a, b = (_crop(image, crop_px) for image in (actual, expected))
    if a.ndim == 3:
        return float(np.mean([ssim(a[..., c], b[..., c]) for c in range(a.shape[2])]))
    window = gaussian_taps(11, 1.5)
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    mean_a, mean_b = smoothed(a, window), smoothed(b, window)
    var_a = smoothed(a * a, window) - mean_a**2
    var_b = smoothed(b * b, window) - mean_b**2
    covariance = smoothed(a * b, window) - mean_a * mean_b
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float(np.mean(top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))))


def gmsd(actual: NDArray[np.generic], expected: NDArray[np.generic], *, crop_px: int = 0) -> float:
    """Gradient magnitude similarity deviation of two luma planes: 0 is perfect, 0.1 is visibly worse."""
    maps = [_gradient(halve(_crop(image, crop_px))) for image in (actual, expected)]
    similarity = (2 * maps[0] * maps[1] + GMSD_T) / (maps[0] ** 2 + maps[1] ** 2 + GMSD_T)
    return float(similarity.std())


def lr_consistency(sr: Image8, lr: Image8, scale: int) -> float:
    """PSNR in dB of the output shrunk again (MATLAB bicubic) against the input; a faithful x4 has 45 dB or
    more."""
    return psnr(imresize(sr, 1 / scale), lr)


def _crop(image: NDArray[np.generic], crop_px: int) -> Plane:
    inner = slice(crop_px, -crop_px) if crop_px else slice(None)
    return image[inner, inner].astype(np.float64)


def _gradient(plane: Plane) -> Plane:
    """Prewitt gradient magnitude."""
    smooth, edge = np.full(3, 1.0 / 3), np.array([1.0, 0.0, -1.0])
    horizontal = correlate(correlate(plane, smooth, 0), edge, 1)
    vertical = correlate(correlate(plane, edge, 0), smooth, 1)
    return np.hypot(horizontal, vertical)

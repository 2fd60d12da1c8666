"""PSNR and SSIM by the protocol of the papers: on 8-bit values, `scale` pixels cropped from each border."""

import numpy as np
from numpy.typing import NDArray

from sr_train.imresize import Image8

Y_WEIGHTS = (65.481, 128.553, 24.966)  # BT.601 studio swing on [0, 1] inputs; offset 16 (MATLAB's rgb2ycbcr)


def luma_from_rgb(image: Image8) -> NDArray[np.float64]:
    """Studio-swing Y (16-235, unrounded) of an (H, W, 3) uint8 image; a 2-d image is Y already."""
    if image.ndim == 2:
        return image.astype(np.float64)
    y: NDArray[np.float64] = image.astype(np.float64) @ (np.array(Y_WEIGHTS) / 255.0) + 16.0
    return y


def psnr(actual: NDArray[np.generic], expected: NDArray[np.generic], *, crop_px: int = 0) -> float:
    """Peak signal to noise ratio in dB for a peak of 255; infinite for equal images."""
    a, b = (_cropped(image, crop_px) for image in (actual, expected))
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255.0**2 / error))


def _cropped(image: NDArray[np.generic], crop_px: int) -> NDArray[np.float64]:
    inner = slice(crop_px, -crop_px) if crop_px else slice(None)
    return image[inner, inner].astype(np.float64)

"""Ways from features to pixels: the up-sampling heads, and the interpolated base they correct.

transposed   Zeiler et al. 2010; FSRCNN's head. Leaves a checkerboard where the kernel does not divide by the stride.
subpixel     Shi et al. 2016 (ESPCN). With `icnr` initialisation (Aitken et al. 2017) it starts as nearest neighbour.
resize       Odena et al. 2016: interpolate first, convolve after. No checkerboard; every convolution at full size.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


class InterpolatedBase(nn.Module):
    """Bilinear or bicubic interpolation as an edge pad, one fixed convolution and a depth-to-space.

    Exactly `functional.interpolate(align_corners=False)` (bicubic: with a = -0.5), but faster
    in every engine than its Resize, and static in its graph.
    """

    kernel: Tensor

    def __init__(self, scale: int, planes: int, *, kind: str = "bilinear") -> None:
        super().__init__()
        taps = phase_taps(scale, kind)
        self.radius = taps.shape[1] // 2
        window = np.einsum("iy,jx->ijyx", taps, taps).reshape(scale**2, taps.shape[1], taps.shape[1])
        kernel = np.zeros((planes, scale**2, planes, *window.shape[1:]), np.float32)
        for plane in range(planes):
            kernel[plane, :, plane] = window
        self.register_buffer("kernel", torch.from_numpy(kernel.reshape(-1, planes, *window.shape[1:])), persistent=False)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, lr: Tensor) -> Tensor:
        padded = functional.pad(lr, (self.radius,) * 4, mode="replicate")
        sr: Tensor = self.shuffle(functional.conv2d(padded, self.kernel))
        return sr


def phase_taps(scale: int, kind: str) -> NDArray[np.float64]:
    """Interpolation weights of each output phase, (scale, taps): 3 taps for bilinear, 5 for bicubic (a = -0.5)."""
    offset = (np.arange(scale) + 0.5) / scale - 0.5  # of the output sample from its input pixel
    if kind == "bilinear":
        distance = np.abs(np.arange(-1, 2)[None] - offset[:, None])
        return np.maximum(0.0, 1.0 - distance)
    if kind == "bicubic":
        x = np.abs(np.arange(-2, 3)[None] - offset[:, None])
        near = (1.5 * x - 2.5) * x * x + 1.0
        far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
        return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
    raise ValueError(f"unknown interpolation {kind!r}: bilinear or bicubic")

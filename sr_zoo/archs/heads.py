"""Ways from features to pixels: the up-sampling heads, and the interpolated base they correct.

transposed   FSRCNN's head (Zeiler et al. 2010). Leaves a checkerboard where the kernel does not divide by
             the stride.
subpixel     Shi et al. 2016 (ESPCN): convolve, then depth-to-space. With ICNR initialisation (Aitken et
             al. 2017) it starts as nearest neighbour, without a checkerboard.
resize       Odena et al. 2016: nearest neighbour first, convolve after. No checkerboard; a convolution at
             full size.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sr_core.graph.taps import cubic

HEADS = ("transposed", "subpixel", "subpixel-icnr", "resize")


def make_head(kind: str, channels: int, planes: int, scale: int, *, kernel: int = 3) -> nn.Module:
    """A module (N, channels, H, W) -> (N, planes, scale*H, scale*W), by the names above."""
    if kind == "transposed":
        size = max(kernel, 2 * scale + 1) | 1
        return nn.ConvTranspose2d(channels, planes, size, stride=scale, padding=size // 2, output_padding=scale - 1)
    if kind in ("subpixel", "subpixel-icnr"):
        conv = nn.Conv2d(channels, planes * scale**2, kernel, padding=kernel // 2)
        if kind == "subpixel-icnr":
            icnr_(conv.weight, scale)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        return nn.Sequential(conv, nn.PixelShuffle(scale))
    if kind == "resize":
        conv = nn.Conv2d(channels, planes, kernel, padding=kernel // 2)
        return nn.Sequential(nn.Upsample(scale_factor=scale, mode="nearest"), conv)
    raise ValueError(f"unknown head {kind!r}: {', '.join(HEADS)}")


@torch.no_grad()
def icnr_(weight: Tensor, scale: int) -> Tensor:
    """Give all s*s sub-pixels of an output plane the same kernel: the shuffle then starts as nearest
    neighbour."""
    first = weight[:: scale**2].clone()
    return weight.copy_(first.repeat_interleave(scale**2, dim=0))


@torch.no_grad()
def carry_(conv: nn.Conv2d, gain: float = 1.0) -> None:
    """Let output 0 of `conv` be `gain` times its input 0, or the mean of its inputs where those are an image.

    A chain of these that ends in `interpolate_` starts as an interpolation; from noise, a plain network spends
    most of a short training learning to copy its input.
    """
    assert conv.bias is not None
    inputs = conv.weight.shape[1]
    carried = slice(inputs if inputs <= 3 else 1)
    height, width = conv.kernel_size
    conv.weight[0] = 0.0
    conv.weight[0, carried, height // 2, width // 2] = gain / len(conv.weight[0, carried])
    conv.bias.zero_()


@torch.no_grad()
def interpolate_(head: nn.Module, scale: int, gain: float = 1.0) -> None:
    """Let `head`, of `make_head`, start as `gain` times a bilinear enlargement of feature 0, and little of the
    others; a transposed kernel too small for that is cut."""
    conv = next(module for module in head.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d))
    assert conv.bias is not None
    conv.weight.mul_(0.1)
    conv.bias.zero_()
    if isinstance(conv, nn.ConvTranspose2d):
        size, padding = conv.kernel_size[0], int(conv.padding[0])
        x = torch.arange(size) - padding - (scale - 1) / 2  # from the input pixel's centre, in output pixels
        tent = (1 - x.abs() / scale).clamp_min(0)
        conv.weight[0] = gain * torch.outer(tent, tent)
    elif any(isinstance(module, nn.PixelShuffle) for module in head.modules()):
        taps = torch.from_numpy(phase_taps(scale, "bilinear")).float()
        window = torch.einsum("iy,jx->ijyx", taps, taps).reshape(scale**2, 3, 3)
        conv.weight[:, 0] = gain * window.repeat(conv.weight.shape[0] // scale**2, 1, 1)
    else:
        conv.weight[:, 0] = 0.0
        conv.weight[:, 0, 1, 1] = gain


class InterpolatedBase(nn.Module):
    """An interpolation as an edge pad, one fixed convolution and a depth-to-space.

    Bilinear is exactly `functional.interpolate(align_corners=False)`; bicubic has a = -0.5, as the
    papers' MATLAB. Faster in every engine than its Resize, and static in its graph.
    """

    kernel: Tensor

    def __init__(self, scale: int, planes: int, *, kind: str = "bilinear") -> None:
        super().__init__()
        taps = phase_taps(scale, kind)
        width = taps.shape[1]
        self.radius = width // 2
        window = np.einsum("iy,jx->ijyx", taps, taps).reshape(scale**2, width, width)
        kernel = np.zeros((planes, scale**2, planes, width, width), np.float32)
        for plane in range(planes):
            kernel[plane, :, plane] = window
        fixed = torch.from_numpy(kernel.reshape(planes * scale**2, planes, width, width))
        self.register_buffer("kernel", fixed, persistent=False)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, lr: Tensor) -> Tensor:
        padded = functional.pad(lr, (self.radius,) * 4, mode="replicate") if self.radius else lr
        sr: Tensor = self.shuffle(functional.conv2d(padded, self.kernel))
        return sr


def phase_taps(scale: int, kind: str) -> NDArray[np.float64]:
    """Weights of each output phase over its neighbourhood, (scale, taps): 1, 3, 5 or 7 taps, each row sums
    to 1."""
    reach = {"nearest": 0, "bilinear": 1, "bicubic": 2, "lanczos": 3}.get(kind)
    if reach is None:
        raise ValueError(f"unknown interpolation {kind!r}: nearest, bilinear, bicubic or lanczos")
    offset = (np.arange(scale) + 0.5) / scale - 0.5  # of the output sample from its input pixel
    x = np.abs(np.arange(-reach, reach + 1)[None] - offset[:, None])
    if kind == "nearest":
        taps = np.ones_like(x)
    elif kind == "bilinear":
        taps = np.maximum(0.0, 1.0 - x)
    elif kind == "bicubic":
        taps = cubic(x)
    else:
        taps = np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0.0)
    normalised: NDArray[np.float64] = taps / taps.sum(axis=1, keepdims=True)
    return normalised

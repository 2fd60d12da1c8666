"""Losses by name, (sr, hr) -> scalar; both (N, C, H, W) in [0, 1]. A recipe's [loss] table weighs and adds
them.

l1 mse charbonnier              per sample
luma_l1 luma_mse                on BT.601 luma: what the tables measure, and where the eye sees detail
chroma_l1                       on BT.601 Cb and Cr: an error of hue that luma does not show
gradient                        on differences of neighbouring luma samples: edges, and no stairs where there are none
still                           on the change between frames where the truth stands still: flicker (pairs only)
ssim ms_ssim mix                structure (Wang 2004, 2003); mix is Zhao et al. 2017's 0.84 MS-SSIM + 0.16 L1
fft focal_frequency             on the spectrum: sharper without foreign weights (Jiang et al. 2021)
perceptual texture              on VGG19 features (Johnson 2016; EnhanceNet 2017): need a file of weights
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from sr_core.errors import BadInput

LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # BT.601
CHARBONNIER_EPSILON = 1e-3  # Lai et al. 2017, LapSRN §3.3
MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, §3.2
STILL_BELOW = 2 / 255  # as `benchmarks/picture.py` measures flicker
STILL_SHARE = 0.05  # of a batch; less stillness counts less
MIX_SHARE = 0.84  # Zhao et al. 2017, §III-D

Loss = Callable[[Tensor, Tensor], Tensor]


def l1(sr: Tensor, hr: Tensor) -> Tensor:
    return (sr - hr).abs().mean()


def mse(sr: Tensor, hr: Tensor) -> Tensor:
    return (sr - hr).square().mean()


def charbonnier(sr: Tensor, hr: Tensor) -> Tensor:
    """L1, smooth at zero."""
    return ((sr - hr).square() + CHARBONNIER_EPSILON**2).sqrt().mean()


def luma_l1(sr: Tensor, hr: Tensor) -> Tensor:
    return _luma(sr - hr).abs().mean()


def luma_mse(sr: Tensor, hr: Tensor) -> Tensor:
    return _luma(sr - hr).square().mean()


def chroma_l1(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean over Cb and Cr, each spanning 1; 0 for luma-only networks."""
    difference = sr - hr
    if difference.shape[1] == 1:
        return difference.new_zeros(())
    luma = _luma(difference)
    kr, _, kb = LUMA_WEIGHTS
    blue, red = (difference[:, 2:] - luma) / (2 * (1 - kb)), (difference[:, :1] - luma) / (2 * (1 - kr))
    return (blue.abs().mean() + red.abs().mean()) / 2


def gradient(sr: Tensor, hr: Tensor) -> Tensor:
    """L1 between the vertical and between the horizontal differences of luma."""
    luma = _luma(sr - hr)
    down, across = luma.diff(dim=-2), luma.diff(dim=-1)
    return down.abs().mean() + across.abs().mean()


def still(sr: Tensor, hr: Tensor) -> Tensor:
    """L1 of the change between rows 2k and 2k + 1 (consecutive frames), on luma, where the truth hardly changes."""
    luma, truth = _luma(sr - hr), _luma(hr)
    mask = ((truth[1::2] - truth[::2]).abs() < STILL_BELOW).to(luma.dtype)
    change = (luma[1::2] - luma[::2]).abs()
    return (change * mask).sum() / mask.sum().clamp_min(mask.numel() * STILL_SHARE)


def ssim(sr: Tensor, hr: Tensor) -> Tensor:
    """1 - SSIM, 11x11 Gaussian window, sigma 1.5."""
    similarity, _ = _similarity(sr, hr)
    return 1 - similarity


def ms_ssim(sr: Tensor, hr: Tensor) -> Tensor:
    """1 - MS-SSIM over as many of the five scales as the crop can hold, the weights renormalised."""
    levels = 0
    while levels < len(MS_WEIGHTS) and min(sr.shape[-2:]) >> levels >= 11:
        levels += 1
    weights = [weight / sum(MS_WEIGHTS[:levels]) for weight in MS_WEIGHTS[:levels]]
    product = sr.new_ones(())
    for level, weight in enumerate(weights):
        similarity, contrast = _similarity(sr, hr)
        part = similarity if level == levels - 1 else contrast
        product = product * part.clamp_min(1e-4) ** weight
        sr, hr = functional.avg_pool2d(sr, 2), functional.avg_pool2d(hr, 2)
    return 1 - product


def mix(sr: Tensor, hr: Tensor) -> Tensor:
    return MIX_SHARE * ms_ssim(sr, hr) + (1 - MIX_SHARE) * l1(sr, hr)


def fft(sr: Tensor, hr: Tensor) -> Tensor:
    """L1 between the spectra."""
    difference = torch.fft.rfft2((sr - hr).float(), norm="ortho")
    magnitude: Tensor = difference.abs()
    return magnitude.mean()


def focal_frequency(sr: Tensor, hr: Tensor) -> Tensor:
    """Squared spectral error, weighted by itself: the frequencies that are worst count most."""
    distance: Tensor = torch.fft.fft2((sr - hr).float(), norm="ortho").abs().square()
    weight = distance.detach().sqrt()
    weight = weight / weight.amax(dim=(-2, -1), keepdim=True).clamp_min(1e-12)
    return (weight * distance).mean()


LOSSES: dict[str, Loss] = {
    "l1": l1,
    "mse": mse,
    "charbonnier": charbonnier,
    "luma_l1": luma_l1,
    "luma_mse": luma_mse,
    "chroma_l1": chroma_l1,
    "gradient": gradient,
    "still": still,
    "ssim": ssim,
    "ms_ssim": ms_ssim,
    "mix": mix,
    "fft": fft,
    "focal_frequency": focal_frequency,
}
NEED_VGG = ("perceptual", "texture")


def make_loss(weights: Mapping[str, float], *, vgg: str = "") -> Loss:
    """The weighted sum a recipe asks for.

    Args:
        vgg: file of VGG19 weights, for `perceptual` and `texture`.

    Raises:
        BadInput: unknown loss; a loss that needs VGG19 without its weights.
    """
    parts: list[tuple[float, Loss]] = []
    for name, weight in weights.items():
        if name in LOSSES:
            parts.append((weight, LOSSES[name]))
        elif name in NEED_VGG:
            from sr_train.vgg import feature_loss

            parts.append((weight, feature_loss(name, vgg)))
        else:
            raise BadInput(f"unknown loss {name!r}", hint=f"choose from: {', '.join([*LOSSES, *NEED_VGG])}")

    def total(sr: Tensor, hr: Tensor) -> Tensor:
        value = sr.new_zeros(())
        for weight, part in parts:
            value = value + weight * part(sr, hr)
        return value

    return total


def _luma(difference: Tensor) -> Tensor:
    if difference.shape[1] == 1:
        return difference
    weights = difference.new_tensor(LUMA_WEIGHTS).view(1, 3, 1, 1)
    return (difference * weights).sum(dim=1, keepdim=True)


def _similarity(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Mean SSIM, and the mean of its contrast-structure part alone."""
    x = torch.arange(11, device=a.device, dtype=a.dtype) - 5
    taps = torch.exp(-(x**2) / (2 * 1.5**2))
    taps = taps / taps.sum()
    planes = a.shape[1]
    column, row = (
        taps.view(1, 1, -1, 1).expand(planes, 1, 11, 1),
        taps.view(1, 1, 1, -1).expand(planes, 1, 1, 11),
    )

    def blur(image: Tensor) -> Tensor:
        return functional.conv2d(functional.conv2d(image, column, groups=planes), row, groups=planes)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    contrast = (2 * covariance + 0.03**2) / (var_a + var_b + 0.03**2)
    luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
    return (luminance * contrast).mean(), contrast.mean()

"""Operators that the tracing exporter cannot write, in ones that it can: the same function.

torch.fft.rfft2, irfft2   on small patches: products with matrices of cosines and sines (FFTformer)
torch.sort of integers    top-k of keys that are unique, in the order a stable sort gives (ATD)
adaptive_max_pool2d       a pool of one window where that divides the picture, the same at every such size (SAFMN)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_LARGEST_PATCH = 64  # beyond, a matrix costs far more than a transform


class _Spectrum:
    """A complex tensor as two real ones; knows what networks do with spectra: multiply them."""

    def __init__(self, real: Tensor, imag: Tensor) -> None:
        self.real, self.imag = real, imag

    def __mul__(self, other: Any) -> "_Spectrum":
        if isinstance(other, _Spectrum):
            return _Spectrum(
                self.real * other.real - self.imag * other.imag, self.real * other.imag + self.imag * other.real
            )
        return _Spectrum(self.real * other, self.imag * other)

    __rmul__ = __mul__


def _waves(length: int, frequencies: int) -> tuple[Tensor, Tensor]:
    """cos and sin of 2 pi k n / length, [frequencies, length]."""
    k, n = torch.arange(frequencies, dtype=torch.float64), torch.arange(length, dtype=torch.float64)
    angle = 2 * torch.pi * torch.outer(k, n) / length
    return torch.cos(angle).float(), torch.sin(angle).float()


def _rfft2(picture: Tensor) -> _Spectrum:
    """See `torch.fft.rfft2`; the last two axes, of fixed and small size."""
    height, width = int(picture.shape[-2]), int(picture.shape[-1])
    _check_size(height, width)
    (cos_h, sin_h), (cos_w, sin_w) = _waves(height, height), _waves(width, width // 2 + 1)
    rows_real, rows_imag = cos_h @ picture, -(sin_h @ picture)
    return _Spectrum(
        rows_real @ cos_w.T + rows_imag @ sin_w.T,
        rows_imag @ cos_w.T - rows_real @ sin_w.T,
    )


def _irfft2(spectrum: _Spectrum, s: tuple[int, int]) -> Tensor:
    """See `torch.fft.irfft2`."""
    height, width = s
    _check_size(height, width)
    (cos_h, sin_h), (cos_w, sin_w) = _waves(height, height), _waves(width, width // 2 + 1)
    twice = torch.full((width // 2 + 1, 1), 2.0)  # a frequency stands for its negative, too
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    scale = twice / (height * width)
    real = cos_h.T @ spectrum.real - sin_h.T @ spectrum.imag
    imag = cos_h.T @ spectrum.imag + sin_h.T @ spectrum.real
    return real @ (cos_w * scale) - imag @ (sin_w * scale)


def _check_size(height: int, width: int) -> None:
    if max(height, width) > _LARGEST_PATCH:
        raise NotImplementedError(f"a Fourier transform of {width}x{height}")


def _sort(values: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> tuple[Tensor, Tensor]:
    """See `torch.sort`; of whole numbers."""
    del stable  # this one always is
    if values.is_floating_point() or descending:
        raise NotImplementedError("a sort of fractions")
    count = values.shape[dim]
    place = torch.arange(count)
    if dim not in (-1, values.ndim - 1):
        raise NotImplementedError("a sort along another axis than the last")
    order = torch.topk(values * count + place, count, dim=-1, largest=False, sorted=True).indices
    return torch.gather(values, -1, order), order


_adaptive_max_pool2d: Callable[..., Tensor] = nn.functional.adaptive_max_pool2d


def _max_pool_to_size(features: Tensor, output_size: Any, return_indices: bool = False) -> Tensor:
    """See `torch.nn.functional.adaptive_max_pool2d`. To one pixel it stays as it is: that window is the picture."""
    height, width = (int(side) for side in features.shape[-2:])
    wanted = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    rows, columns = (int(side) if side is not None else 0 for side in wanted)
    if return_indices or min(rows, columns) < 2 or height % rows or width % columns:
        return _adaptive_max_pool2d(features, output_size, return_indices)
    return nn.functional.max_pool2d(features, (height // rows, width // columns))


@contextmanager
def stable_sorts() -> Iterator[None]:
    """While this is held, `torch.sort` keeps equals in their order.

    Torch leaves that order open, and it differs from one kind of CPU to another. A network that sorts pixels into
    categories (ATD) is only defined with it: with another, it is 70 dB from itself (benchmarks/torch_rounding).
    """
    kept = torch.sort

    def sort(values: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
        del stable
        return kept(values, dim=dim, descending=descending, stable=True)

    torch.sort = sort  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.sort = kept


@contextmanager
def written_out() -> Iterator[None]:
    """While this is held, torch uses the functions above."""
    kept = torch.fft.rfft2, torch.fft.irfft2, torch.sort
    torch.fft.rfft2, torch.fft.irfft2, torch.sort = _rfft2, _irfft2, _sort  # type: ignore[assignment]
    nn.functional.adaptive_max_pool2d = _max_pool_to_size  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.fft.rfft2, torch.fft.irfft2, torch.sort = kept
        nn.functional.adaptive_max_pool2d = _adaptive_max_pool2d  # type: ignore[assignment]

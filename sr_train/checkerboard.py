"""How strong a checkerboard an up-sampling head leaves: the part of its error that repeats with the stride.

    flat colours and smooth waves ─ LR ─ network ─ SR - truth ─ mean of each of the s x s phases ─ RMS, 8-bit codes

That mean is exactly the error's spectrum at the stride frequency and its harmonics (Odena et al. 2016). Under
half a code it cannot be seen, nor survive rounding.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sr_zoo.onnx_run import Runner

SIDE = 48  # input pixels
BORDER = 12  # input pixels left out: what zero padding does at the edge is not a checkerboard
GREYS = (0.1, 0.3, 0.5, 0.7, 0.9)


def checkerboard_codes(run: Runner, *, scale: int, channels: int) -> tuple[float, float]:
    """RMS of the repeating pattern in codes: (on flat colours, on smooth waves), the worst input of each."""
    flat = max(_pattern(run, low, high, scale) for low, high in _flat(scale, channels))
    smooth = max(_pattern(run, low, high, scale) for low, high in _waves(scale, channels))
    return flat, smooth


Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def _flat(scale: int, channels: int) -> Iterator[Pair]:
    colors = [np.full(channels, grey) for grey in GREYS]
    if channels == 3:
        colors += [np.array(color) for color in ((0.8, 0.2, 0.2), (0.2, 0.7, 0.3), (0.1, 0.3, 0.9))]
    for color in colors:
        low = np.broadcast_to(color[None, :, None, None], (1, channels, SIDE, SIDE)).astype(np.float32)
        yield low, np.repeat(np.repeat(low, scale, axis=2), scale, axis=3)


def _waves(scale: int, channels: int) -> Iterator[Pair]:
    """Waves of 24 input pixels and more: any network should enlarge them without a trace of its grid."""
    for period, angle in ((24, 0.3), (32, 1.1), (48, 2.0)):

        def wave(side: int, step: float, period: int = period, angle: float = angle) -> NDArray[np.float32]:
            at = (np.arange(side) + 0.5) * step
            phase = np.cos(angle) * at[None, :] + np.sin(angle) * at[:, None]
            plane = 0.5 + 0.3 * np.sin(2 * np.pi * phase / period)
            return np.broadcast_to(plane[None, None], (1, channels, side, side)).astype(np.float32)

        yield wave(SIDE, 1.0), wave(SIDE * scale, 1 / scale)


def _pattern(run: Runner, low: NDArray[np.float32], high: NDArray[np.float32], scale: int) -> float:
    edge = BORDER * scale
    error = (run(low) - high)[0, :, edge:-edge, edge:-edge].astype(np.float64)
    channels, height, width = error.shape
    blocks = error.reshape(channels, height // scale, scale, width // scale, scale)
    phases = blocks.mean(axis=(1, 3))
    phases -= phases.mean(axis=(1, 2), keepdims=True)
    return float(np.sqrt(np.mean(phases**2)) * 255)

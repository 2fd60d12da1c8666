"""NIQE: Making a "Completely Blind" Image Quality Analyzer (Mittal et al., SPL 2013). No reference, no
learned weights.

    luma ─ local contrast normalisation ─ 36 statistics per 96x96 block (18 at full, 18 at half size)
         ─ distance between their mean and covariance and those of pristine photographs ─ score, lower =
         more natural

The pristine statistics (`niqe_pristine.npz`) are fitted by `benchmarks/zoo_fit_niqe.py` on the open training
photographs, not on the authors' set: scores compare with each other, not with other people's tables. Below
about 512 pixels a side the score is noisy; images smaller than two blocks give NaN.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import gamma

import numpy as np

from sr_train.filters import Plane, gaussian_taps, halve, smoothed

BLOCK_PX = 96  # §2.2 of the paper
SHARPEST = 0.75  # pristine blocks below this share of the sharpest block's deviation are left out
SHAPES = np.arange(0.2, 10.001, 0.001)  # candidate shapes of the generalised Gaussian


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Mean (36,) and covariance (36, 36) of the features of natural blocks."""

    mean: Plane
    covariance: Plane


def niqe(luma: Plane) -> float:
    """Score of a luma plane in codes; NaN where it is too small to hold two blocks."""
    features, _ = _block_features(luma)
    if len(features) < 2:
        return float("nan")
    pristine = _pristine()
    distance = features.mean(axis=0) - pristine.mean
    pooled = (np.cov(features, rowvar=False) + pristine.covariance) / 2
    return float(np.sqrt(distance @ np.linalg.pinv(pooled) @ distance))


def fit_statistics(planes: Iterable[Plane]) -> Statistics:
    """Statistics of pristine luma planes: their sharp blocks only."""
    kept = []
    for plane in planes:
        features, sharpness = _block_features(plane)
        if len(features):
            kept.append(features[sharpness > SHARPEST * sharpness.max()])
    rows = np.concatenate(kept)
    return Statistics(mean=rows.mean(axis=0), covariance=np.cov(rows, rowvar=False))


@cache
def _pristine() -> Statistics:
    with (files("sr_train") / "niqe_pristine.npz").open("rb") as file, np.load(file) as saved:
        return Statistics(mean=saved["mean"].astype(np.float64), covariance=saved["covariance"].astype(np.float64))


def _block_features(luma: Plane) -> tuple[Plane, Plane]:
    """(blocks, 36) features and (blocks,) sharpness."""
    rows, columns = (side // BLOCK_PX for side in luma.shape)
    if rows * columns < 1:
        return np.zeros((0, 36)), np.zeros(0)
    plane = luma[: rows * BLOCK_PX, : columns * BLOCK_PX]
    parts = []
    sharpness = np.zeros(0)
    for block in (BLOCK_PX, BLOCK_PX // 2):
        normalised, deviation = _mscn(plane)
        tiles = [
            (slice(y * block, (y + 1) * block), slice(x * block, (x + 1) * block))
            for y in range(rows)
            for x in range(columns)
        ]
        parts.append(np.array([_features(normalised[tile]) for tile in tiles]))
        if block == BLOCK_PX:
            sharpness = np.array([deviation[tile].mean() for tile in tiles])
            plane = halve(plane)
    return np.concatenate(parts, axis=1), sharpness


def _mscn(plane: Plane) -> tuple[Plane, Plane]:
    """Mean-subtracted contrast-normalised coefficients (7x7 Gaussian, sigma 7/6), and the local deviation."""
    taps = gaussian_taps(7, 7 / 6)
    padded = np.pad(plane, 3, mode="edge")
    mean = smoothed(padded, taps)
    deviation = np.sqrt(np.abs(smoothed(padded**2, taps) - mean**2))
    return (plane - mean) / (deviation + 1), deviation


def _features(block: Plane) -> list[float]:
    """18 numbers: the shape of the coefficients, and of their products with four neighbours."""
    shape, left, right = _asymmetric_fit(block)
    values = [shape, (left + right) / 2]
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        product = block * np.roll(block, (dy, dx), axis=(0, 1))
        shape, left, right = _asymmetric_fit(product)
        mean = (right - left) * gamma(2 / shape) / gamma(1 / shape)
        values += [shape, mean, left, right]
    return values


@cache
def _shape_ratios() -> Plane:
    """Flatness of each candidate shape; grows with the shape."""
    ratios = [gamma(2 / s) ** 2 / (gamma(1 / s) * gamma(3 / s)) for s in SHAPES]
    return np.array(ratios)


def _asymmetric_fit(values: Plane) -> tuple[float, float, float]:
    """Shape, left and right scale of an asymmetric generalised Gaussian by moment matching (Lasmar et al.
    2009)."""
    left = np.sqrt(_mean_square(values[values < 0]))
    right = np.sqrt(_mean_square(values[values > 0]))
    ratio = left / right
    flatness = np.mean(np.abs(values)) ** 2 / max(float(np.mean(values**2)), 1e-12)
    wanted = flatness * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = float(SHAPES[min(int(np.searchsorted(_shape_ratios(), wanted)), len(SHAPES) - 1)])
    spread = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, float(left * spread), float(right * spread)


def _mean_square(values: Plane) -> float:
    return max(float(np.mean(values**2)), 1e-12) if values.size else 1e-12

"""How two pictures differ: the one comparison tests, `check-seams` and build gates share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sr_core.errors import VerificationError
from sr_core.frame import Array


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Largest and mean absolute difference, share of samples that differ, PSNR in dB."""

    worst: float
    worst_at: tuple[int, ...]
    mean: float
    share: float
    psnr_db: float

    def __str__(self) -> str:
        psnr = "identical" if math.isinf(self.psnr_db) else f"{self.psnr_db:.2f} dB"
        return f"max {self.worst:g} at {self.worst_at}, {self.share:.2e} of samples differ, {psnr}"


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """At most `share` of the samples may differ, none by more than `worst`; `why` says so."""

    worst: float
    share: float = 1.0
    why: str


def difference(actual: Array, expected: Array, *, peak: float = 1.0) -> Difference:
    """Compare two arrays of one shape; `peak` is the value PSNR calls full scale.

    Raises:
        VerificationError: the shapes differ, or `actual` holds a NaN.
    """
    if actual.shape != expected.shape:
        raise VerificationError(f"shape {actual.shape}, expected {expected.shape}")
    gap = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    if np.isnan(gap).any():
        raise VerificationError(f"{int(np.isnan(gap).sum())} of {gap.size} samples are NaN")
    mean_square = float(np.mean(gap * gap)) if gap.size else 0.0
    where = np.unravel_index(int(gap.argmax()), gap.shape) if gap.size else ()
    return Difference(
        worst=float(gap.max(initial=0.0)),
        worst_at=tuple(int(index) for index in where),
        mean=float(gap.mean()) if gap.size else 0.0,
        share=float(np.mean(gap > 0)) if gap.size else 0.0,
        psnr_db=math.inf if mean_square == 0 else 10 * math.log10(peak * peak / mean_square),
    )


def assert_close(actual: Array, expected: Array, tolerance: Tolerance) -> None:
    """Raise VerificationError with the worst sample where `actual` leaves `tolerance`."""
    found = difference(actual, expected)
    if found.worst > tolerance.worst or found.share > tolerance.share:
        raise VerificationError(
            f"{found}; allowed: max {tolerance.worst:g} on {tolerance.share:.2e} of samples ({tolerance.why})"
        )

"""Pictures with edges, and noise over them: what is steadied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
SIZE = (72, 104)


def textured(seed: int, size: tuple[int, int] = SIZE) -> Picture:
    """Smooth blobs and edges, 40 to 210."""
    random = np.random.default_rng(seed)
    coarse = random.integers(40, 211, (size[0] // 6 + 2, size[1] // 6 + 2))
    fine = np.kron(coarse, np.ones((6, 6), np.int64))[: size[0] + 1, : size[1] + 1]
    return ((fine[:-1, :-1] + fine[1:, :-1] + fine[:-1, 1:] + fine[1:, 1:]) // 4).astype(np.uint8)


def noisy(pictures: Sequence[Picture], amount: int = 2) -> list[Picture]:
    random = np.random.default_rng(7)
    return [np.clip(p + random.integers(-amount, amount + 1, p.shape), 0, 255).astype(np.uint8) for p in pictures]

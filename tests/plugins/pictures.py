"""Pictures for the worker, and what the Python API makes of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sr_core.array import upscale_image
from sr_core.frame import Array
from sr_plugins.testing import open_test_model


def noise(*shape: int, dtype: npt.DTypeLike = np.uint8) -> Array:
    random = np.random.default_rng(7)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return random.random(shape).astype(kind)
    return random.integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


def slow_image() -> Array:
    """Seconds of work for the 'random' network at scale 4 here."""
    return noise(2000, 2500, 3)


def by_the_api(image: Array, model: str = "random", scale: int = 2) -> Array:
    """What srvid's own Python API makes of `image`, all at once."""
    with open_test_model(
        model, scale=scale, backend="auto", tile=None, shared_tiles=False, reuse=False, progress=None
    ) as up:
        return upscale_image(up, image)

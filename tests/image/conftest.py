"""The real engine with networks that keep or repeat pixels, and ways to make files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr_core.backend import open_backend
from sr_core.frame import Array
from sr_core.model_spec import spec_of
from sr_core.testing import nearest_model, random_model
from sr_core.upscaler import Upscaler
from sr_image.formats.reader import open_image
from sr_image.metadata.carried import Header, Metadata

Loaded = tuple[Header, Metadata, list[Array]]


def _opened(model: Any) -> Iterator[Upscaler]:
    spec = spec_of(model)
    assert spec is not None
    with Upscaler(model, spec, open_backend("openvino", threads=2), tile=64, shared_tiles=True) as upscaler:
        yield upscaler


@pytest.fixture(scope="session")
def identity() -> Iterator[Upscaler]:
    """A network whose output is its input."""
    yield from _opened(nearest_model(1))


@pytest.fixture(scope="session")
def doubling() -> Iterator[Upscaler]:
    """A network that repeats every pixel twice."""
    yield from _opened(nearest_model(2))


@pytest.fixture(scope="session")
def network() -> Iterator[Upscaler]:
    """A convolutional network with a halo, enlarging twice."""
    yield from _opened(random_model(2))


@pytest.fixture(scope="session")
def load() -> Callable[[Path], Loaded]:
    """Read a file wholly by the package's own reader."""

    def loaded(path: Path) -> Loaded:
        with open_image(path) as image:
            return image.header, image.metadata, [np.array(frame.whole()) for frame in image.frames()]

    return loaded


def noise(height: int, width: int, channels: int, dtype: str = "uint8", seed: int = 0) -> Array:
    """Random samples of the whole range; alpha never 0, so that no colour is hidden."""
    random = np.random.default_rng(seed)
    if dtype.startswith("float"):
        pixels = random.random((height, width, channels)).astype(dtype)
    else:
        pixels = random.integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype=dtype)
    if channels in (2, 4):
        least = pixels.dtype.type(0.01 if dtype.startswith("float") else 1)
        pixels[..., -1] = np.maximum(pixels[..., -1], least)
    return pixels

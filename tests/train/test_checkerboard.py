"""The checkerboard measure finds one where there is one; shipped models stay under a stated bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sr_core.model_spec import load_model, read_spec
from sr_train.checkerboard import checkerboard_codes
from sr_zoo.archs.heads import HEADS, make_head
from sr_zoo.archs.registry import build_network
from sr_zoo.models import shipped_names, weights_dir
from sr_zoo.onnx_run import Runner, open_runner

FLAT_CODES, SMOOTH_CODES = 0.5, 0.5  # RMS a shipped model may leave: half a code is lost in 8-bit rounding


def torch_runner(network: torch.nn.Module) -> Runner:
    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            made: NDArray[np.float32] = network(torch.from_numpy(batch.copy())).numpy()
        return made

    return run


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_leaves_none(scale: int) -> None:
    flat, smooth = checkerboard_codes(
        torch_runner(build_network("bicubic", scale=scale, color_space="rgb")), scale=scale, channels=3
    )
    assert flat < 1e-3
    assert smooth < 0.1


def test_a_planted_pattern_is_measured_at_its_strength() -> None:
    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        made = np.repeat(np.repeat(batch, 2, axis=2), 2, axis=3)
        made[..., ::2, ::2] += 4 / 255
        return made

    flat, _ = checkerboard_codes(run, scale=2, channels=3)
    assert flat == pytest.approx(4 * (3 / 16) ** 0.5, rel=1e-3)  # deviation of (4, 0, 0, 0)


def test_untrained_icnr_and_resize_leave_less_than_untrained_shuffles_and_transposes() -> None:
    torch.manual_seed(1)
    lift = torch.nn.Conv2d(3, 16, 1)
    left = {}
    for kind in HEADS:
        network = torch.nn.Sequential(lift, make_head(kind, 16, 3, 3))
        left[kind], _ = checkerboard_codes(torch_runner(network), scale=3, channels=3)
    assert left["subpixel-icnr"] < left["subpixel"] / 100
    assert left["resize"] < left["transposed"] / 100


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_model_leaves_no_visible_checkerboard(name: str) -> None:
    path = weights_dir() / f"{name}.onnx"
    spec = read_spec(path)
    run = open_runner(load_model(path))
    flat, smooth = checkerboard_codes(run, scale=spec.scale, channels=spec.channels)
    assert flat < FLAT_CODES
    assert smooth < SMOOTH_CODES

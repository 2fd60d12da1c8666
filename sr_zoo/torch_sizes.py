"""The sides that a torch network takes, tried before it is exported: spandrel's word is not always right.

DRCT, windows of 12    spandrel 0.4.2: multiples of 16, whatever the window      it runs on multiples of 12
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import lcm

import torch
from torch import nn

from sr_core.model_spec import ModelSpec
from sr_zoo.onnx_run import probe_noise

COMPARED_SIDE = 32  # of the smallest picture, where the network takes one so small
_WINDOWS = ("window_size", "win_size")  # what networks of windows call their side


def sizes_to_compare(spec: ModelSpec) -> list[tuple[int, int]]:
    """(height, width) of the pictures that are compared: two, so that a frozen size shows."""
    if spec.fixed_size is not None:
        return [spec.fixed_size[::-1]]
    step = spec.size_multiple
    side = -(-max(COMPARED_SIDE, spec.smallest) // step) * step
    return [(side + step, side + 3 * step), (side + 2 * step, side)]


def with_tried_multiple(network: nn.Module, spec: ModelSpec) -> ModelSpec:
    """`spec`, its `size_multiple` that of the network's windows where the network itself refuses the one it has.

    Where none runs it stays, and what torch says is told by whoever runs the network next.
    """
    if spec.fixed_size is not None or _runs(network, spec):
        return spec
    tried = (replace(spec, size_multiple=multiple) for multiple in _multiples(network, spec.size_multiple))
    return next((found for found in tried if _runs(network, found)), spec)


def _multiples(network: nn.Module, claimed: int) -> Iterator[int]:
    """Those of all its windows together, then those that are multiples of the claimed one, too."""
    windows = 1
    for module in network.modules():
        for name in _WINDOWS:
            side = getattr(module, name, 1)
            for number in side if isinstance(side, tuple | list) else (side,):
                windows = lcm(windows, number) if isinstance(number, int) and number > 0 else windows
    yield windows
    yield lcm(windows, claimed)


def _runs(network: nn.Module, spec: ModelSpec) -> bool:
    height, width = sizes_to_compare(spec)[0]
    try:
        with torch.no_grad():
            network(torch.from_numpy(probe_noise((1, spec.channels, height, width))))
    except (RuntimeError, ValueError, AssertionError):  # torch's own, of shapes that do not fit
        return False
    return True

"""Parts of PLKSR in forms from which their reach can be read: the same functions, so that its tiles are exact.

x[:, :n] = conv(x[:, :n])     split and joined, as it does in training        instead of ScatterND
repeat_interleave(x, n, 1)    its channels joined, each n times               instead of Tile on five axes
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

_WRITES_IN_PLACE = ("PLKConv2d", "RectSparsePLKConv2d")


def lay_open(network: nn.Module) -> None:
    """Change those parts of `network`, in place; other networks have none."""
    for module in network.modules():
        if type(module).__name__ in _WRITES_IN_PLACE:
            module.forward = partial(_as_in_training, module, module.forward)
        repeat = getattr(module, "repeat_op", None)
        if isinstance(repeat, partial) and repeat.func is torch.repeat_interleave and repeat.keywords.get("dim") == 1:
            module.repeat_op = partial(_join_repeated, times=int(repeat.keywords["repeats"]))  # type: ignore[assignment]


def _as_in_training(module: nn.Module, forward: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    module.training = True  # `eval` has just set it
    return forward(features)


def _join_repeated(picture: Tensor, *, times: int) -> Tensor:
    channels = picture.split(1, dim=1)  # type: ignore[no-untyped-call]
    return torch.cat([channel for channel in channels for _ in range(times)], dim=1)

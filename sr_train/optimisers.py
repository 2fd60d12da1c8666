"""Adam, SGD and Muon behind one call."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sr_train.config import OptimConfig


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised (Jordan et al. 2024), for convolution kernels seen as (out, in*k*k) matrices.

    Every singular value of a step becomes about 1, so rare directions learn as
    fast as common ones: fewer steps to the same error, which is what a CPU lacks.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float = 0.95) -> None:
        super().__init__(list(parameters), {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                momentum.lerp_(parameter.grad, 1 - group["momentum"])
                direction = parameter.grad.lerp(momentum, group["momentum"])  # Nesterov
                matrix = direction.reshape(direction.shape[0], -1)
                size = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
                parameter.add_(orthogonalise(matrix).view_as(parameter), alpha=-group["lr"] * size)


def orthogonalise(matrix: Tensor) -> Tensor:
    """Newton-Schulz iteration towards the nearest (semi-)orthogonal matrix; the coefficients are Jordan's."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def make_optimisers(network: nn.Module, config: OptimConfig) -> list[torch.optim.Optimizer]:
    """One optimiser for all weights; for Muon a second one (Adam) for biases, slopes, first and last
    kernels."""
    weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if config.optimiser == "adam":
        return [torch.optim.Adam(weights, config.rate, betas=(0.9, 0.99))]
    if config.optimiser == "sgd":
        return [torch.optim.SGD(weights, config.rate, momentum=0.9, weight_decay=1e-4)]
    kernels = [w for w in weights if w.ndim == 4 and min(w.shape[0], w.shape[1]) >= 8]
    inner = {id(w) for w in kernels}
    rest = [w for w in weights if id(w) not in inner]
    return [Muon(kernels, lr=config.rate), torch.optim.Adam(rest, min(config.rate, 1e-3), betas=(0.9, 0.99))]

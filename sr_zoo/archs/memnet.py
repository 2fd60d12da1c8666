"""MemNet: A Persistent Memory Network for Image Restoration (Tai et al., ICCV 2017), Figures 2 and 3.

Six memory blocks; each applies one residual unit six times (shared weights: short-term memory), and a 1x1
gate chooses from those six states and all earlier blocks' outputs (long-term memory). Works on the
bicubic-enlarged image; a learned weighted mean of the six blocks' predictions is the output. 677 K weights
for M6R6 (§5.2).
"""

import torch
from torch import Tensor, nn

from sr_zoo.archs.heads import InterpolatedBase


class PreActivated(nn.Module):
    """batch norm - relu - conv, the paper's layer."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(self.norm(x).relu())
        return y


class MemoryBlock(nn.Module):
    def __init__(self, features: int, recursions: int, earlier: int) -> None:
        super().__init__()
        self.first = PreActivated(features, features, 3)
        self.second = PreActivated(features, features, 3)
        self.gate = PreActivated(features * (recursions + earlier), features, 1)
        self.recursions = recursions

    def forward(self, memories: list[Tensor]) -> Tensor:
        state = memories[-1]
        short: list[Tensor] = []
        for _ in range(self.recursions):
            state = state + self.second(self.first(state))
            short.append(state)
        y: Tensor = self.gate(torch.cat([*short, *memories], dim=1))
        return y


class MemNet(nn.Module):
    def __init__(
        self, scale: int, *, planes: int = 1, features: int = 64, blocks: int = 6, recursions: int = 6
    ) -> None:
        super().__init__()
        self.base = InterpolatedBase(scale, planes, kind="bicubic")
        self.extract = PreActivated(planes, features, 3)
        self.blocks = nn.ModuleList([MemoryBlock(features, recursions, index + 1) for index in range(blocks)])
        self.rebuild = PreActivated(features, planes, 3)
        self.weights = nn.Parameter(torch.full((blocks,), 1.0 / blocks))

    def predictions(self, lr: Tensor) -> list[Tensor]:
        """The SR image from each memory block (§3.3, multi-supervision)."""
        enlarged = self.base(lr)
        memories = [self.extract(enlarged)]
        outputs = []
        for block in self.blocks:
            memories.append(block(memories))
            outputs.append(enlarged + self.rebuild(memories[-1]))
        return outputs

    def merge(self, outputs: list[Tensor]) -> Tensor:
        """Weighted sum of the predictions; the weights are learned."""
        total = outputs[0] * self.weights[0]
        for index in range(1, len(outputs)):
            total = total + outputs[index] * self.weights[index]
        return total

    def forward(self, lr: Tensor) -> Tensor:
        return self.merge(self.predictions(lr))

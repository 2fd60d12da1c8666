"""Every network of the papers, at its own size, learns one batch by heart: proof that it can be trained.

python benchmarks/zoo_overfit.py [NETWORK ...] [--seconds 60]      passes 45 dB, or says how far it came
"""

import argparse
import time

import torch

from sr_train.config import OptimConfig
from sr_train.optimisers import make_optimisers
from sr_zoo.archs.registry import ARCHS, build_network

GOAL_DB = 45.0
SIDE = 12  # output pixels of the one crop, so that the largest network fits a CPU
BASELINES = {"nearest", "bilinear", "bicubic", "lanczos"}


def overfit(name: str, seconds: float) -> tuple[float, int, float]:
    """(dB reached, steps, seconds)."""
    torch.manual_seed(2)
    scale = 2
    planes = 1 if ARCHS[name].color_space == "y" else 3
    network = build_network(name, scale=scale)
    seed = torch.rand(1, planes, 5, 5)
    high = torch.nn.functional.interpolate(seed, size=(SIDE, SIDE), mode="bicubic")
    low = torch.nn.functional.avg_pool2d(high, scale)
    optimisers = make_optimisers(network, OptimConfig(rate=3e-4, steps=1))
    best, steps, began = -99.0, 0, time.monotonic()
    while time.monotonic() - began < seconds and best < GOAL_DB:
        error = (network(low) - high).square().mean()
        for optimiser in optimisers:
            optimiser.zero_grad()
        error.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        steps += 1
        best = max(best, float(-10 * torch.log10(error.detach())))
    return best, steps, time.monotonic() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    print("| network | dB | steps | seconds |\n|---|---|---|---|")
    for name in options.networks or [one for one in ARCHS if one not in BASELINES]:
        reached, steps, took = overfit(name, options.seconds)
        print(f"| {name} | {reached:.1f} | {steps} | {took:.0f} |", flush=True)

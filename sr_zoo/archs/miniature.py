"""Every network in small: the same wiring, few features, so that tests and smoke runs take seconds."""

from __future__ import annotations

from typing import Any

from torch import nn

from sr_zoo.archs.registry import build_network

OPTIONS: dict[str, dict[str, Any]] = {
    "srcnn-915": {"features": (8, 4)},
    "srcnn-935": {"features": (8, 4)},
    "srcnn": {"features": (8, 4)},
    "srcnn-rgb": {"features": (8, 4)},
    "vdsr": {"features": 8, "layers": 6},
    "drcn": {"features": 8, "recursions": 3},
    "srresnet": {"features": 8, "blocks": 2},
    "srgan": {"features": 8, "blocks": 2},
    "drrn-b1u9": {"features": 8, "units": 2},
    "drrn-b1u25": {"features": 8, "units": 3},
    "edsr-baseline": {"features": 8, "blocks": 2},
    "edsr": {"features": 8, "blocks": 2},
    "mdsr": {"features": 8, "blocks": 2},
    "rdn": {"features": 8, "growth": 8, "blocks": 2, "convs": 2},
    "memnet": {"features": 8, "blocks": 2, "recursions": 2},
    "enhancenet": {"features": 8, "blocks": 2},
    "srfeat": {"features": 8, "blocks": 3},
    "esrgan": {"features": 8, "growth": 4, "blocks": 1},
    "rcan": {"features": 8, "groups": 1, "blocks": 2, "reduction": 4},
    "fine": {"channels": 8, "convs": 4},
    "vivid": {"channels": 8, "convs": 2, "deeper": 2, "gate": 4},
}


def miniature(name: str, scale: int = 2) -> nn.Module:
    return build_network(name, scale=scale, **OPTIONS.get(name, {}))

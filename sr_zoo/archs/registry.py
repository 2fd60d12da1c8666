"""Every network by name: the table imports nothing until one is built."""

from importlib import import_module
from typing import Any

from torch import nn

from sr_core.errors import BadInput

ARCHS: dict[str, str] = {  # name -> module:class
    "house": "sr_zoo.archs.house:House",
}


def build_network(name: str, *, scale: int, colour: str = "rgb", **options: Any) -> nn.Module:
    """Make a network with fresh weights; `options` are the architecture's own."""
    if name not in ARCHS:
        raise BadInput(f"unknown architecture {name!r}", hint=f"choose one of: {', '.join(sorted(ARCHS))}")
    module, _, class_name = ARCHS[name].partition(":")
    network: nn.Module = getattr(import_module(module), class_name)(scale, planes=1 if colour == "y" else 3, **options)
    return network

"""Small models that are damaged, made by code."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any


def _model(**options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        from sr_core.testing import random_model

        result: bytes = random_model(2, features=4, layers=1, **options).SerializeToString()
        return result

    return make


def _nearest_model() -> bytes:
    from sr_core.testing import nearest_model

    result: bytes = nearest_model(2).SerializeToString()
    return result


def _foreign_model() -> bytes:
    """The same network as another program would export it: no spec, other names."""
    from sr_core.testing import random_model

    model = random_model(2, features=4, layers=1)
    del model.metadata_props[:]
    text = model.SerializeToString()
    result: bytes = text
    return result


def _torch(suffix: str) -> Callable[[], bytes]:
    """A small network's weights, of a kind that spandrel knows."""

    def make() -> bytes:
        import torch
        from spandrel.architectures.SPAN import SPAN  # type: ignore[attr-defined]

        torch.manual_seed(0)
        state = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2).state_dict()
        if suffix == "safetensors":
            from safetensors.torch import save

            return bytes(save({name: value.contiguous() for name, value in state.items()}))
        target = io.BytesIO()
        torch.save(state, target)
        return target.getvalue()

    return make


MODELS: dict[str, Callable[[], bytes]] = {
    "random.onnx": _model(),
    "luma.onnx": _model(color_space="y"),
    "nearest.onnx": _nearest_model,
    "foreign.onnx": _foreign_model,
    "weights.pth": _torch("pth"),
    "weights.safetensors": _torch("safetensors"),
}


TORCH_SEEDS = ("weights.pth", "weights.safetensors")

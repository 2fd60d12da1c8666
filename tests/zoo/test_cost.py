"""What a network costs, read off its graph, against torch's own counter."""

from __future__ import annotations

import io
import warnings

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from sr_core.errors import BadModel
from sr_core.graph.multiplications import multiplications_of
from sr_core.model_spec import ModelSpec
from sr_zoo.archs.registry import build_network
from sr_zoo.cost import macs_per_output_pixel

SIDE = 64
SHARED = {"q_num_heads": 3, "kv_num_heads": 1}  # keys and values, by the heads of queries


class EveryKind(nn.Module):
    """A grouped and a transposed convolution, a linear layer, a product of matrices, an einsum and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 8, 4, stride=4)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.linear = nn.Linear(8, 12)
        self.leave = nn.ConvTranspose2d(12, 3, 8, stride=8, groups=3)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        features = self.grouped(self.enter(picture))
        height, width = features.shape[2:]
        tokens = self.linear(features.flatten(2).transpose(1, 2))
        tokens = tokens + functional.scaled_dot_product_attention(tokens, tokens, tokens)
        tokens = tokens + torch.einsum("nab,nbc->nac", tokens, tokens.transpose(1, 2) @ tokens)
        return self.leave(tokens.transpose(1, 2).reshape(1, 12, height, width))


def swinir() -> nn.Module:
    """Windows of 8, shifted."""
    from spandrel.architectures.SwinIR import SwinIR

    return SwinIR(
        embed_dim=12, depths=[2], num_heads=[2], window_size=8, mlp_ratio=2.0, upscale=2,
        upsampler="pixelshuffledirect",
    )  # fmt: skip


def omnisr() -> nn.Module:
    """Attention in windows and between channels, written as einsums."""
    from spandrel.architectures.OmniSR import OmniSR

    return OmniSR(num_feat=16, block_num=1, res_num=1, up_scale=2, window_size=8)


NETWORKS = {
    "every kind": (EveryKind, 2),
    "swinir": (swinir, 2),
    "omnisr": (omnisr, 2),
    "rcan": (lambda: build_network("rcan", scale=2, features=16, groups=2, blocks=2, reduction=4), 2),
    "subpixel": (lambda: build_network("subpixel-rgb", scale=3), 3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_counts_what_torch_counts(name: str) -> None:
    make, scale = NETWORKS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # spandrel's, of torch.meshgrid and of biases without elements
        network = make().eval()
    picture = torch.rand(1, 3, SIDE, SIDE)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(picture)
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracing exporter's, of constants
        torch.onnx.export(
            network, (picture,), file, dynamo=False, opset_version=17, input_names=["lr"], output_names=["sr"]
        )
    model = onnx.load_from_string(file.getvalue())
    counted = macs_per_output_pixel(model, ModelSpec(name="it", scale=scale, halo_px=None))
    assert counted == pytest.approx(counter.get_total_flops() / 2 / (SIDE * scale) ** 2, rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "shapes", "output", "attributes", "expected"),
    [
        ("DeformConv", [(1, 4, 8, 8), (6, 2, 3, 3)], (1, 6, 8, 8), {}, 6 * 64 * 2 * 9),
        ("Attention", [(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 8)], (2, 3, 5, 8), {}, 2 * 3 * 5 * 7 * (4 + 8)),
        ("Attention", [(2, 5, 12), (2, 7, 4), (2, 7, 8)], (2, 5, 24), SHARED, 2 * 5 * 7 * 36),
        ("Gemm", [(9, 4), (9, 5)], (4, 5), {"transA": 1}, 4 * 5 * 9),
        ("Einsum", [(2, 3, 4), (2, 4, 5)], (2, 3, 5), {"equation": "...ik,...kj->...ij"}, 2 * 3 * 4 * 5),
        ("Einsum", [(3,), (4,), (5,)], (3, 4, 5), {"equation": "i, j, k -> ijk"}, 2 * 60),
        ("Relu", [(1, 4)], (1, 4), {}, 0),
    ],
)  # fmt: skip
def test_a_node_takes(
    kind: str, shapes: list[tuple[int, ...]], output: tuple[int, ...], attributes: dict[str, object], expected: int
) -> None:
    names = [f"x{index}" for index in range(len(shapes))]
    node = helper.make_node(kind, names, ["y"], **attributes)
    assert multiplications_of(node, dict(zip(names, shapes, strict=True)) | {"y": output}) == expected


def test_a_graph_that_leaves_a_size_open_is_not_counted_as_nothing() -> None:
    nodes = [
        helper.make_node("NonZero", ["lr"], ["where"]),
        helper.make_node("Cast", ["where"], ["some"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["some", "many"], ["sr"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("lr", "sr")]
    values[0] = helper.make_tensor_value_info("lr", TensorProto.FLOAT, ["n", 3, "h", "w"])
    many = helper.make_tensor("many", TensorProto.FLOAT, [4, 1], [0.0] * 4)
    model = helper.make_model(helper.make_graph(nodes, "open", values[:1], values[1:], [many]))
    with pytest.raises(BadModel, match="it leaves open how large"):
        macs_per_output_pixel(model, ModelSpec(name="it", scale=2, halo_px=None))

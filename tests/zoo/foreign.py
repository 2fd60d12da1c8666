"""Foreign ONNX files as people have them, made in code: one small network in many dresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
Dims = list[Any]


def weights(kind: Any = np.float32) -> dict[str, np.ndarray[Any, Any]]:
    """Of two convolutions: 3 -> 8 -> 12 channels."""
    random = np.random.default_rng(5)
    first = random.normal(0, 0.15, (8, 3, 3, 3))
    second = random.normal(0, 0.08, (12, 8, 3, 3))
    second[np.arange(12), np.arange(12) % 8, 1, 1] += 0.4
    return {"w1": first.astype(kind), "w2": second.astype(kind)}


def body(source: str = "input", output: str = "output", between: str = "Relu", **facts: Any) -> list[NodeProto]:
    """Two convolutions and a shuffle, with any activation between."""
    return [
        helper.make_node("Conv", [source, "w1"], ["c1"], pads=[1] * 4),
        helper.make_node(between, ["c1"], ["r1"], **facts),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[1] * 4),
        helper.make_node("DepthToSpace", ["c2"], [output], blocksize=2, mode="CRD"),
    ]


def model_of(
    nodes: list[NodeProto],
    *,
    dims: Dims | None = None,
    kind: int = FLOAT,
    held: dict[str, np.ndarray[Any, Any]] | None = None,
    opset: int = 17,
    ir_version: int = 9,
    as_inputs: bool = False,
    domains: dict[str, int] | None = None,
) -> ModelProto:
    """A model with input `input` and output `output`."""
    held = weights() if held is None else held
    if opset < 11:  # DepthToSpace knew one order only, and had no word for it
        for node in nodes:
            for attribute in [entry for entry in node.attribute if entry.name == "mode"]:
                if node.op_type == "DepthToSpace":
                    node.attribute.remove(attribute)
    shape = ["n", 3, "h", "w"] if dims is None else dims
    inputs = [helper.make_tensor_value_info("input", kind, shape)]
    tensors = [numpy_helper.from_array(value, name) for name, value in held.items()]
    if as_inputs:
        inputs += [helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in tensors]
    graph = helper.make_graph(nodes, "foreign", inputs, [helper.make_tensor_value_info("output", kind, None)], tensors)
    opsets = [helper.make_opsetid(name, version) for name, version in {"": opset, **(domains or {})}.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def half(kind: Any = np.float16, onnx_kind: int = TensorProto.FLOAT16) -> ModelProto:
    return model_of(body(), kind=onnx_kind, held=weights(kind))


def bfloat16() -> ModelProto:
    """BF16 weights behind a Cast, as exporters write them: few runtimes compute in it."""
    held = weights()
    nodes = [helper.make_node("Cast", [f"{name}_b"], [name], to=FLOAT) for name in held]
    model = model_of(nodes + body(), held={})
    for name, value in held.items():
        short = (value.view(np.uint32) >> 16).astype(np.uint16)
        tensor = helper.make_tensor(f"{name}_b", TensorProto.BFLOAT16, value.shape, short.tobytes(), raw=True)
        model.graph.initializer.append(tensor)
    return model


def fixed(width: int = 64, height: int = 64) -> ModelProto:
    return model_of(body(), dims=[1, 3, height, width])


def fixed_and_global(width: int = 64, height: int = 48) -> ModelProto:
    """Only runs at its own size, and sees everything: a Reshape to constants, a mean over the picture."""
    held = weights() | {"flat": np.array([1, 3, height * width]), "back": np.array([1, 3, height, width])}
    nodes = [
        helper.make_node("Reshape", ["input", "flat"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[2]),
        helper.make_node("Sub", ["rows", "mean"], ["centred"]),
        helper.make_node("Reshape", ["centred", "back"], ["x0"]),
        *body("x0"),
    ]
    return model_of(nodes, dims=[1, 3, height, width], held=held)


def channels_last() -> ModelProto:
    nodes = [
        helper.make_node("Transpose", ["input"], ["x0"], perm=[0, 3, 1, 2]),
        *body("x0", "large"),
        helper.make_node("Transpose", ["large"], ["output"], perm=[0, 2, 3, 1]),
    ]
    return model_of(nodes, dims=["n", "h", "w", 3])


def without_batch() -> ModelProto:
    held = weights() | {"zero": np.array([0])}
    nodes = [
        helper.make_node("Unsqueeze", ["input", "zero"], ["x0"]),
        *body("x0", "large"),
        helper.make_node("Squeeze", ["large", "zero"], ["output"]),
    ]
    return model_of(nodes, dims=[3, "h", "w"], held=held)


def bytes_in_and_out() -> ModelProto:
    """uint8 0..255 on both sides, as converters for phones write it."""
    held = weights() | {"full": np.float32(255), "zero": np.float32(0)}
    nodes = [
        helper.make_node("Cast", ["input"], ["codes"], to=FLOAT),
        helper.make_node("Div", ["codes", "full"], ["x0"]),
        *body("x0", "large"),
        helper.make_node("Mul", ["large", "full"], ["wide"]),
        helper.make_node("Clip", ["wide", "zero", "full"], ["limited"]),
        helper.make_node("Round", ["limited"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["output"], to=TensorProto.UINT8),
    ]
    return model_of(nodes, kind=TensorProto.UINT8, held=held)


def one_channel() -> ModelProto:
    random = np.random.default_rng(6)
    held = {"w1": random.normal(0, 0.2, (8, 1, 3, 3)).astype(np.float32)}
    held["w2"] = random.normal(0, 0.1, (4, 8, 3, 3)).astype(np.float32)
    return model_of(body(), dims=["n", 1, "h", "w"], held=held)


def four_channels() -> ModelProto:
    random = np.random.default_rng(6)
    held = {"w1": random.normal(0, 0.15, (8, 4, 3, 3)).astype(np.float32)}
    held["w2"] = random.normal(0, 0.1, (16, 8, 3, 3)).astype(np.float32)
    return model_of(body(), dims=["n", 4, "h", "w"], held=held)


def names_like_ours() -> ModelProto:
    """Weights called as our own ends are: `lr` and `sr`."""
    renamed = {"w1": "lr", "w2": "sr"}
    nodes = body()
    for node in nodes:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    return model_of(nodes, held={renamed[name]: value for name, value in weights().items()})


def branches() -> ModelProto:
    """An `If` on the height whose branches read the input from outside: one only passes it on."""

    def branch(kind: str, *names: str) -> Any:
        made = helper.make_tensor_value_info("made", FLOAT, None)
        return helper.make_graph([helper.make_node(kind, ["input", *names], ["made"])], kind, [], [made])

    held = weights() | {"two": np.array(2), "least": np.array(10), "half": np.float32(0.5)}
    nodes = [
        helper.make_node("Shape", ["input"], ["shape"]),
        helper.make_node("Gather", ["shape", "two"], ["height"], axis=0),
        helper.make_node("Greater", ["height", "least"], ["is_high"]),
        helper.make_node("If", ["is_high"], ["x0"], then_branch=branch("Identity"), else_branch=branch("Mul", "half")),
        *body("x0"),
    ]
    return model_of(nodes, held=held)


def loop() -> ModelProto:
    """The same convolution three times, in a `Loop` whose body reads its weights from outside."""
    inner = helper.make_graph(
        [
            helper.make_node("Conv", ["before", "w0"], ["after"], pads=[1] * 4),
            helper.make_node("Identity", ["go_on"], ["still"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", FLOAT, ["n", 3, "h", "w"]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", FLOAT, None),
        ],
    )
    smooth = np.zeros((3, 3, 3, 3), np.float32)
    smooth[np.arange(3), np.arange(3)] = 1 / 9
    held = weights() | {"w0": smooth, "three": np.array(3), "yes": np.array(True)}
    nodes = [helper.make_node("Loop", ["three", "yes", "input"], ["x0"], body=inner), *body("x0")]
    return model_of(nodes, held=held)


def window(side: int) -> ModelProto:
    """Folds the picture into blocks and back: only takes multiples of `side`."""
    nodes = [
        helper.make_node("SpaceToDepth", ["input"], ["folded"], blocksize=side),
        helper.make_node("DepthToSpace", ["folded"], ["x0"], blocksize=side, mode="DCR"),
        *body("x0"),
    ]
    return model_of(nodes)


def folded_by_reshapes(side: int | None = None) -> ModelProto:
    """Pixel-unshuffle as PyTorch's exporter writes it: for any size, or for pictures of `side`."""
    held = weights()
    if side is None:
        held |= {
            "third": np.array([3]), "tall": np.array([0, 0, -1, 2, 0]), "wide": np.array([0, 0, 0, 0, -1, 2]),
            "flat": np.array([0, -1, 1, 1, 0, 0]), "ones": np.array([2, 3]),
        }  # fmt: skip
        before = [
            helper.make_node("Unsqueeze", ["input", "third"], ["u0"]),
            helper.make_node("Reshape", ["u0", "tall"], ["u1"]),
            helper.make_node("Reshape", ["u1", "wide"], ["u2"]),
        ]
        after = [
            helper.make_node("Reshape", ["u3", "flat"], ["u4"]),
            helper.make_node("Squeeze", ["u4", "ones"], ["f"]),
        ]
    else:
        half_side = side // 2
        held |= {
            "deep": np.array([1, 3, half_side, 2, half_side, 2]), "flat": np.array([1, 12, half_side, half_side]),
        }  # fmt: skip
        before = [helper.make_node("Reshape", ["input", "deep"], ["u2"])]
        after = [helper.make_node("Reshape", ["u3", "flat"], ["f"])]
    nodes = [
        *before,
        helper.make_node("Transpose", ["u2"], ["u3"], perm=[0, 1, 3, 5, 2, 4]),
        *after,
        helper.make_node("DepthToSpace", ["f"], ["x0"], blocksize=2, mode="CRD"),
        *body("x0"),
    ]
    return model_of(nodes, held=held, **({} if side is None else {"dims": [1, 3, side, side]}))


def eats_its_border(pixels: int = 7) -> ModelProto:
    """Convolutions without padding, as waifu2x and Real-CUGAN have them: the output lacks a margin."""
    held = weights()
    kernel = np.zeros((3, 3, 2 * pixels - 3, 2 * pixels - 3), np.float32)
    kernel[np.arange(3), np.arange(3), pixels - 2, pixels - 2] = 1
    nodes = [helper.make_node("Conv", ["input", "w0"], ["x0"]), *body("x0")]
    for node in nodes:
        for attribute in list(node.attribute):
            if attribute.name == "pads":
                node.attribute.remove(attribute)
    return model_of(nodes, held=held | {"w0": kernel})


def resized_by_shape() -> ModelProto:
    """As PyTorch exports F.interpolate: the size is computed from the input's shape."""
    held = weights() | {
        "zero": np.array([0]), "two": np.array([2]), "four": np.array([4]), "none": np.array([], np.float32),
    }  # fmt: skip
    nodes = [
        *body(output="residual"),
        helper.make_node("Shape", ["input"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "two"], ["outer"]),
        helper.make_node("Slice", ["shape", "two", "four"], ["inner"]),
        helper.make_node("Mul", ["inner", "two"], ["doubled"]),
        helper.make_node("Concat", ["outer", "doubled"], ["sizes"], axis=0),
        helper.make_node("Resize", ["input", "none", "none", "sizes"], ["base"], mode="linear"),
        helper.make_node("Add", ["base", "residual"], ["output"]),
    ]
    return model_of(nodes, held=held)


def microsoft(kind: str = "QuickGelu", **facts: Any) -> ModelProto:
    nodes = body(between=kind, domain="com.microsoft", **facts)
    return model_of(nodes, domains={"com.microsoft": 1})


def old_upsample(opset: int) -> ModelProto:
    """Opset 8 and older gave the factors as an attribute, and weights had to be inputs."""
    held = {"w1": weights()["w1"][:3]}
    nodes = [
        helper.make_node("Upsample", ["input"], ["u"], mode="nearest", scales=[1.0, 1.0, 2.0, 2.0]),
        helper.make_node("Conv", ["u", "w1"], ["output"], pads=[1] * 4),
    ]
    return model_of(nodes, held=held, opset=opset, ir_version=3, as_inputs=True)


def reflecting(pad: int = 18) -> ModelProto:
    """Reflects its border, which needs sides longer than the pad."""
    held = weights() | {"pads": np.array([0, 0, pad, pad, 0, 0, pad, pad]), "start": np.array([pad, pad])}
    held |= {"end": np.array([-pad, -pad]), "axes": np.array([2, 3])}
    nodes = [
        helper.make_node("Pad", ["input", "pads"], ["wide"], mode="reflect"),
        helper.make_node("Slice", ["wide", "start", "end", "axes"], ["x0"]),
        *body("x0"),
    ]
    return model_of(nodes, held=held)


VARIANTS: dict[str, Callable[[], ModelProto]] = {
    "fp16": half,
    "bf16 weights": bfloat16,
    "fixed size": fixed,
    "fixed size, global": fixed_and_global,
    "channels last": channels_last,
    "no batch": without_batch,
    "bytes": bytes_in_and_out,
    "one channel": one_channel,
    "four channels": four_channels,
    "names like ours": names_like_ours,
    "if": branches,
    "loop": loop,
    "weights as inputs": lambda: model_of(body(), as_inputs=True),
    "windows of 7": lambda: window(7),
    "windows of 12": lambda: window(12),
    "windows of 24": lambda: window(24),
    "windows of 48": lambda: window(48),
    "folded by reshapes": folded_by_reshapes,
    "folded, fixed size": lambda: folded_by_reshapes(64),
    "eats its border": eats_its_border,
    "resized by shape": resized_by_shape,
    "reflecting": reflecting,
    "QuickGelu": lambda: microsoft(alpha=1.5),
    "FusedConv": lambda: model_of(
        [
            helper.make_node(
                "FusedConv", ["input", "w1"], ["r1"], pads=[1] * 4, activation="LeakyRelu",
                activation_params=[0.1], domain="com.microsoft",
            ),
            *body()[2:],
        ],
        domains={"com.microsoft": 1},
    ),
    "opset 8": lambda: old_upsample(8),
    **{
        f"opset {version}": (lambda version=version: model_of(body(), opset=version, ir_version=10))
        for version in range(9, 25)
    },
}  # fmt: skip

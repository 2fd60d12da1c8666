"""The part of a network that its ncnn file leaves to the program: Real-CUGAN x4 gives what it adds.

realcugan-ncnn-vulkan (realcugan.cpp) and spandrel (UpCunet4x) add the picture, enlarged 4 times by repeating its
pixels, to what the network makes; the .param file ends before that. Run alone it gives a nearly black picture.

    input ─┬─ the file's layers, which eat 19 pixels on each side ─┬─ Add ─ output
           └─ Slice [19 : -19] ─ Resize ×4, nearest ───────────────┘

Known by what it computes: four times the size less 76 pixels on each side, and black of even gray.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper

from sr_core.graph.onnx_builder import OnnxBuilder
from sr_zoo.onnx_run import open_runner

SCALE, EATEN = 4, 19  # of UpCunet4x: 19 input pixels a side
_SIDE = 64  # of the gray frame; any that is a multiple of 4 and leaves a middle
_BLACK = 0.1  # of even gray at 0.5: three published files give -0.01 to 0.00, the files with their base 0.50


def is_without_base(model: ModelProto) -> bool:
    """Whether `model` [N, 3, H, W] → [N, 3, 4H - 152, 4W - 152] gives only what is to be added to the picture."""
    if not any(node.op_type == "DepthToSpace" for node in model.graph.node):
        return False
    try:
        made = open_runner(model)(np.full((1, 3, _SIDE, _SIDE), 0.5, np.float32))
    except RuntimeError:  # `adopted` says why it does not run
        return False
    side = SCALE * (_SIDE - 2 * EATEN)
    return made.shape == (1, 3, side, side) and abs(float(made.mean())) < _BLACK


def with_base(model: ModelProto) -> ModelProto:
    """The same network with the enlarged picture added."""
    build = OnnxBuilder()
    made = build.inline(model, "input", "added/")
    edges = [build.constant(values, np.int64) for values in ([EATEN] * 2, [-EATEN] * 2, [2, 3])]
    middle = build.op("base", "Slice", "input", *edges)
    factors = build.constant([1, 1, SCALE, SCALE], np.float32)
    nearest = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    base = build.op("base", "Resize", middle, "", factors, **nearest)
    build.op("base", "Add", made, base, output="output")
    build.inputs.append(helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, "h", "w"]))
    build.outputs.append(helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 3, "H", "W"]))
    (opset,) = (entry.version for entry in model.opset_import if entry.domain == "")
    return build.model(model.graph.name, opset)

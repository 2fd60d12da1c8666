"""Composed graphs run by ONNX Runtime, planes in and planes out."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from sr_core.frame import Array
from trt_build.check import check_pictures, planes_from_picture


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def feeds_of(model: onnx.ModelProto, depth: int, picture: int = 0) -> dict[str, Array]:
    shapes = {}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        shape = tuple(dim.dim_value for dim in tensor.shape.dim)
        shapes[value.name] = (shape, np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
    return planes_from_picture(check_pictures()[picture], shapes, depth)


def as_bytes(feeds: dict[str, Array]) -> dict[str, Array]:
    """uint16 planes as the engine's byte pairs; a view of the same memory."""
    return {
        name: plane[..., None].view(np.uint8) if plane.dtype == np.uint16 else plane for name, plane in feeds.items()
    }

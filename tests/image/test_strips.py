"""Strips of rows come out as the whole image would."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from sr_core.array import upscale_image
from sr_core.backend import open_backend
from sr_core.graph.onnx_builder import OnnxBuilder
from sr_core.model_spec import INPUT_NAME, OUTPUT_NAME, ModelSpec
from sr_core.upscaler import Upscaler
from sr_image.strips import context_rows, enlarge_strips


@pytest.fixture
def blocks_of_four() -> Upscaler:
    """A network x2 that treats each pixel of a 4x4 block in another way: it must see the same blocks."""
    build, random = OnnxBuilder(), np.random.default_rng(3)
    packed = build.op("body", "SpaceToDepth", INPUT_NAME, blocksize=4)
    mixed = build.conv("body", packed, random.normal(0, 0.15, (3 * 64, 48, 1, 1)))
    build.op("body", "DepthToSpace", mixed, blocksize=8, mode="CRD", output=OUTPUT_NAME)
    for name, values in ((INPUT_NAME, build.inputs), (OUTPUT_NAME, build.outputs)):
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, f"{name}_h", f"{name}_w"]))
    spec = ModelSpec(name="blocks", scale=2, size_multiple=4)
    return Upscaler(build.model("blocks", 18), spec, open_backend("openvino"), tile=64)


@pytest.mark.parametrize("rows", [13, 16, 50])
def test_a_network_that_sees_blocks_sees_the_same_blocks_in_strips(blocks_of_four: Upscaler, rows: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (101, 37, 3), np.uint8)
    with blocks_of_four as upscaler:
        whole = upscale_image(upscaler, pixels)
        pieces = np.array_split(pixels, 7)
        context = context_rows(upscaler.halo_px)
        banded = np.concatenate(list(enlarge_strips(upscaler, pieces, rows=rows, context=context)))
    np.testing.assert_array_equal(banded, whole)

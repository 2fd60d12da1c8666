"""ONNX files in every dress that people have: adopted, they compute in tiles what the file computes whole."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper

from sr_core.backends.openvino import OpenVino
from sr_core.color import FULL_RANGE_RGB
from sr_core.difference import difference
from sr_core.errors import BadInput, BadModel
from sr_core.frame import PixelFormat, rgb
from sr_core.model_spec import spec_of
from sr_core.testing import picture
from sr_core.upscaler import Upscaler
from sr_zoo.adopting import adopt
from sr_zoo.ends import ends_of
from sr_zoo.onnx_run import open_other_runner

_spec = importlib.util.spec_from_file_location("foreign", Path(__file__).with_name("foreign.py"))
assert _spec is not None
assert _spec.loader is not None
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)

FLOAT_RGB = PixelFormat(family="rgb", depth=32, layout="packed", is_float=True)
SIZE = 150, 110  # width and height of the picture: of no multiple, larger than a tile
SAME_DB = 80.0  # OpenVINO in tiles against ONNX Runtime whole, both FP32; 110 to 140 measured
SAME_HALF_DB = 45.0  # FP16 sums inside ONNX Runtime; 56 measured
SAMPLED = [
    name for name in foreign.VARIANTS if not name.startswith("opset") or name in ("opset 8", "opset 9", "opset 24")
]
EXPECTED = {  # (scale, multiple, smallest, fixed size, halo); all others are (2, 1, 1, None, 2)
    "fixed size, global": (2, 1, 1, (64, 48), None),
    "loop": (2, 1, 1, None, None),
    "windows of 7": (2, 7, 1, None, 7),
    "windows of 12": (2, 12, 1, None, 12),
    "windows of 24": (2, 24, 1, None, 24),
    "windows of 48": (2, 48, 1, None, 48),
    "folded by reshapes": (2, 2, 1, None, 2),
    "folded, fixed size": (2, 2, 1, None, 2),
    "eats its border": (2, 1, 2, None, 7),
    "reflecting": (2, 1, 24, None, 2),
    "opset 8": (2, 1, 1, None, 1),
}


OF_ANY_SIZE = {  # what a file of one size computes, for pictures of every
    "fixed size": lambda: foreign.model_of(foreign.body()),
    "folded, fixed size": foreign.folded_by_reshapes,
}


@pytest.fixture(scope="module")
def backend() -> OpenVino:
    return OpenVino(threads=1)


def whole(model: onnx.ModelProto, pixels: np.ndarray, *, multiple: int, margin: int) -> np.ndarray:
    """`pixels` [H, W, 3] through the file itself in ONNX Runtime, as the frame edge is padded here."""
    height, width = pixels.shape[:2]
    batch = pixels.transpose(2, 0, 1)[None]
    batch = np.pad(batch, ((0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple)), mode="edge")
    batch = np.pad(batch, ((0, 0), (0, 0), (margin, margin), (margin, margin)), mode="edge")
    ends = ends_of(model, "it")
    made = ends.picture(open_other_runner(model)(ends.feed(batch)))
    assert made is not None
    return made[0, :, : 2 * height, : 2 * width].transpose(1, 2, 0)


@pytest.mark.parametrize("name", SAMPLED)
def test_a_foreign_file_computes_in_tiles_what_it_computes_whole(name: str, backend: OpenVino) -> None:
    model = foreign.VARIANTS[name]()
    reference = OF_ANY_SIZE[name]() if name in OF_ANY_SIZE else model
    made = adopt(model, name, training="imported from ONNX")
    spec = spec_of(made)
    assert spec is not None
    facts = (spec.scale, spec.size_multiple, spec.smallest, spec.fixed_size, spec.halo_px)
    assert facts == EXPECTED.get(name, (2, 1, 1, None, 2))
    pixels = picture(*SIZE, seed=4).astype(np.float32)
    with Upscaler(made, spec, backend, tile=None if spec.fixed_size else 64, precision="exact") as upscaler:
        (out,) = upscaler.planes((pixels,), FLOAT_RGB, FULL_RANGE_RGB)
    assert out.shape == (2 * SIZE[1], 2 * SIZE[0], 3)
    assert np.isfinite(out).all()
    if spec.halo_px is None or spec.color_space == "y":
        return  # blended, or luma only: `adopt` has compared one tile with the file
    expected = whole(reference, pixels, multiple=spec.size_multiple, margin=7 if name == "eats its border" else 0)
    assert difference(out, expected).psnr_db > (SAME_HALF_DB if name == "fp16" else SAME_DB)


def test_a_frame_smaller_than_the_network_needs_is_padded(backend: OpenVino) -> None:
    made = adopt(foreign.reflecting(), "reflecting", training="")
    spec = spec_of(made)
    assert spec is not None
    with Upscaler(made, spec, backend) as upscaler:
        (out,) = upscaler.planes((np.full((9, 13, 3), 80, np.uint8),), rgb(packed=True), FULL_RANGE_RGB)
    assert out.shape == (18, 26, 3)


def test_a_fixed_size_cannot_be_given_another_tile(backend: OpenVino) -> None:
    made = adopt(foreign.fixed_and_global(), "fixed", training="")
    spec = spec_of(made)
    assert spec is not None
    with (
        Upscaler(made, spec, backend, tile=96) as upscaler,
        pytest.raises(BadInput, match="only takes tiles of 64x48"),
    ):
        upscaler.planes((np.zeros((99, 99, 3), np.uint8),), rgb(packed=True), FULL_RANGE_RGB)


def test_a_file_that_computes_something_else_here_is_refused() -> None:
    def other(_: np.ndarray) -> np.ndarray:
        return np.zeros((1, 3, 64, 66), np.float32)  # the size of `adopt`'s tile

    with pytest.raises(BadModel, match="computes something else here"):
        adopt(foreign.channels_last(), "it", reference=lambda _: other(_).transpose(0, 2, 3, 1), training="")


def _halving() -> list[NodeProto]:
    """Half the size, rounded up: of sides 24 and 25 it makes 12 and 13, as a network with a margin of 6 would."""
    return [helper.make_node("MaxPool", ["input"], ["output"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: foreign.model_of(foreign.body(), dims=[1, 15, "h", "w"]), "5 frames at once"),
        (lambda: foreign.model_of(foreign.body(), dims=[8, 3, 64, 64]), "8 pictures at once"),
        (lambda: foreign.model_of(foreign.body(), dims=["n", 3, "h", 64]), "one fixed side"),
        (lambda: foreign.model_of(foreign.body(between="Nonsense")), "does not know: Nonsense"),
        (lambda: foreign.model_of(_halving(), held={}), "does not enlarge images"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_plain_words(model: object, words: str) -> None:
    assert callable(model)
    with pytest.raises(BadModel, match=words) as refusal:
        adopt(model(), "it", training="")
    assert "\n" not in refusal.value.message
    assert "FP32" not in refusal.value.hint

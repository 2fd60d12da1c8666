"""ncnn files: read as ncnn itself runs them, or refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from sr_core.difference import difference
from sr_core.errors import BadModel
from sr_core.graph.onnx_builder import OnnxBuilder
from sr_core.model_spec import spec_of
from sr_zoo.adopting import adopt
from sr_zoo.ncnn import parse_param, read_ncnn
from sr_zoo.ncnn_base import is_without_base, with_base
from sr_zoo.onnx_run import open_runner, probe_noise

SAME_DB = 100.0  # OpenVINO against ncnn, both FP32; 117 to 127 measured

_FAMILY = """7767517
13 15
Input            in   0 1 data
Split            sp   1 2 data a b
Convolution      c1   1 1 a c1 0=8 1=3 4=1 5=1 6=216 9=2 -23310=1,2.000000e-01
PReLU            p1   1 1 c1 p1 0=8
MemoryData       m    0 1 m 0=1 1=1 2=8
BinaryOp         mul  2 1 p1 m mul 0=2
Deconvolution    d1   1 1 mul d1 0=6 1=4 3=2 4=1 5=1 6=768
Swish            sw   1 1 d1 sw
Convolution      c2   1 1 sw c2 0=12 1=3 4=1 5=0 6=648
Interp           ip   1 1 b ip 0=2 1=4.0 2=4.0
PixelShuffle     ps   1 1 c2 ps 0=2
Eltwise          el   2 1 ps ip el 0=1 -23301=2,5.000000e-01,1.000000e+00
BinaryOp         add  1 1 el out 0=0 1=1 2=1.000000e-02
"""


def tagged(values: np.ndarray, kind: str) -> bytes:
    if kind == "fp32":
        return b"\0\0\0\0" + values.astype("<f4").tobytes()
    half = values.astype("<f2").tobytes()
    return (0x01306B47).to_bytes(4, "little") + half + b"\0" * (-len(half) % 4)


def family(folder: Path, kind: str) -> Path:
    """A network of every layer the family has, scale 4, with random weights in FP16 or FP32."""
    random = np.random.default_rng(3)

    def draw(count: int) -> np.ndarray:
        return random.normal(0, 0.12, count).astype(np.float32)

    parts = [tagged(draw(216), kind), draw(8).tobytes(), draw(8).tobytes(), (draw(8) + 1).tobytes()]
    parts += [tagged(draw(768), kind), draw(6).tobytes(), tagged(draw(648), kind)]
    (folder / "family.bin").write_bytes(b"".join(parts))
    (folder / "family.param").write_text(_FAMILY)
    return folder / "family.param"


@pytest.mark.parametrize("kind", ["fp16", "fp32"])
def test_a_network_computes_what_ncnn_computes(kind: str, tmp_path: Path) -> None:
    ncnn = pytest.importorskip("ncnn", reason="needs ncnn: pip install 'srvid[test]'")
    path = family(tmp_path, kind)
    made = adopt(read_ncnn(path), "family", training="imported from ncnn")
    spec = spec_of(made)
    assert spec is not None
    assert (spec.scale, spec.color_space, spec.halo_px) == (4, "rgb", 2)
    batch = probe_noise((1, 3, 20, 28))
    assert difference(open_runner(made)(batch)[0], by_ncnn(ncnn, path, batch)).psnr_db > SAME_DB


def by_ncnn(ncnn: Any, path: Path, batch: np.ndarray) -> np.ndarray:
    """`batch` [1, 3, H, W] through ncnn itself, from the blob `data` to `out`, in FP32."""
    network = ncnn.Net()
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "winograd_convolution", "bf16_storage"):
        setattr(network.opt, f"use_{option}", False)
    network.opt.num_threads = 1
    network.load_param(str(path))
    network.load_model(str(path.with_suffix(".bin")))
    extractor = network.create_extractor()
    extractor.input("data", ncnn.Mat(np.ascontiguousarray(batch[0])).clone())
    return np.array(extractor.extract("out")[1])


_GATED = """7767517
13 16
Input            in   0 1 data
Convolution      c1   1 1 data c1 0=8 1=3 5=1 6=216 9=1
Split            s1   1 3 c1 a b c
Pooling          gp   1 1 a gp 0=1 4=1
InnerProduct     ip   1 1 gp ip 0=8 1=1 2=64 9=4
Scale            gate 2 1 b ip gate 0=-233
Convolution      c2   1 1 gate c2 0=8 1=3 5=0 6=576
Split            s2   1 2 c2 d e
Crop             cr   2 1 c d cr 0=1 1=1
Eltwise          el   2 1 cr e el 0=1
Scale            own  1 1 el own 0=8 1=1
Convolution      c3   1 1 own c3 0=12 1=3 4=1 5=0 6=864
PixelShuffle     ps   1 1 c3 out 0=2
"""


def test_gates_and_crops_to_another_blob_compute_what_ncnn_computes(tmp_path: Path) -> None:
    """waifu2x's cunet: it eats its border, cuts what it adds to that size, and weighs channels by their mean."""
    ncnn = pytest.importorskip("ncnn", reason="needs ncnn: pip install 'srvid[test]'")
    random = np.random.default_rng(4)

    def draw(count: int) -> np.ndarray:
        return random.normal(0, 0.12, count).astype(np.float32)

    parts = [tagged(draw(216), "fp32"), draw(8).tobytes(), tagged(draw(64), "fp32"), draw(8).tobytes()]
    parts += [tagged(draw(576), "fp32"), (draw(8) + 1).tobytes(), draw(8).tobytes(), tagged(draw(864), "fp32")]
    (tmp_path / "gated.bin").write_bytes(b"".join(parts))
    (tmp_path / "gated.param").write_text(_GATED)
    batch = probe_noise((1, 3, 20, 28))
    model = read_ncnn(tmp_path / "gated.param")
    expected = by_ncnn(ncnn, tmp_path / "gated.param", batch)
    assert expected.shape == (3, 32, 48)
    assert difference(open_runner(model)(batch)[0], expected).psnr_db > SAME_DB
    spec = spec_of(adopt(model, "gated", training="imported from ncnn"))
    assert spec is not None
    assert (spec.scale, spec.halo_px) == (2, None)


def test_a_network_that_wants_more_than_the_picture_is_refused_as_such(tmp_path: Path) -> None:
    path = family(tmp_path, "fp32")
    path.write_text(_FAMILY.replace("0=8 1=3 4=1 5=1 6=216", "0=8 1=3 4=1 5=1 6=1368"))
    with pytest.raises(BadModel, match="takes 19 channels, not a picture of 3: the noise or the blur"):
        read_ncnn(path)


def test_weights_of_another_download_are_refused(tmp_path: Path) -> None:
    path = family(tmp_path, "fp32")
    weights = path.with_suffix(".bin")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4])
    with pytest.raises(BadModel, match="too short"):
        read_ncnn(path)
    weights.write_bytes(whole + b"\0" * 8)
    with pytest.raises(BadModel, match="8 bytes more"):
        read_ncnn(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("Swish            sw", "LSTM             sw"), "not read here: LSTM"),
        (("1 1 c1 p1", "1 1 c9 p1"), "reads 'c9', which no layer before it makes"),
        (("7767517", "7767518"), "not ncnn's .param text format"),
        (("1 1 c1 p1 0=8", "1 1 c1 p1 0=x"), "not ncnn's .param text format"),
        (("0=2 1=4.0 2=4.0", "0=2 3=64 4=64"), "one fixed size"),
        (
            ("Input            in   0 1 data", "Input            in   0 1 data\nInput in2 0 1 data2"),
            "more than one input",
        ),
    ],
)
def test_a_file_that_is_not_of_the_family_is_refused(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    path = family(tmp_path, "fp32")
    path.write_text(_FAMILY.replace(*change))
    with pytest.raises(BadModel, match=words):
        read_ncnn(path)


def test_a_line_that_names_fewer_blobs_than_it_says_is_refused() -> None:
    with pytest.raises(BadModel, match="too few blobs"):
        parse_param("7767517\n1 1\nInput in 0 5 data\n")


def _eats_19(*, keeps_the_picture: bool) -> ModelProto:
    """Real-CUGAN x4's geometry: 19 pixels less on each side, then 4 times the size."""
    build = OnnxBuilder()
    edges = [build.constant(values, np.int64) for values in ([19, 19], [-19, -19], [2, 3])]
    weights = np.random.default_rng(6).normal(0, 0.02, (48, 3, 1, 1)).astype(np.float32)
    weights -= weights.mean(1, keepdims=True)  # nothing on gray
    if keeps_the_picture:
        weights[np.arange(48), np.arange(48) // 16] += 1
    made = build.conv("net", build.op("net", "Slice", "input", *edges), weights)
    build.op("net", "DepthToSpace", made, blocksize=4, mode="CRD", output="output")
    build.inputs.append(helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, "h", "w"]))
    build.outputs.append(helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 3, "H", "W"]))
    return build.model("eats", 18)


def test_a_network_that_gives_only_what_is_added_gets_the_enlarged_picture() -> None:
    added = _eats_19(keeps_the_picture=False)
    assert is_without_base(added)
    batch = probe_noise((1, 3, 50, 46))
    enlarged = batch[:, :, 19:-19, 19:-19].repeat(4, 2).repeat(4, 3)
    assert np.abs(open_runner(with_base(added))(batch) - enlarged - open_runner(added)(batch)).max() < 1e-5


def test_a_network_that_gives_the_picture_is_left_as_it_is(tmp_path: Path) -> None:
    assert not is_without_base(_eats_19(keeps_the_picture=True))
    assert not is_without_base(read_ncnn(family(tmp_path, "fp32")))

"""A user's own weights: converted once, checked, and refused with a reason where they cannot be used."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from sr_core.errors import BadInput, BadModel
from sr_core.model_spec import load_model, read_spec
from sr_zoo import importing
from sr_zoo.archs.registry import build_network
from sr_zoo.importing import imported_model
from sr_zoo.models import find_model
from sr_zoo.onnx_run import open_runner
from sr_zoo.torch_files import read_torch_file
from srvid.front_door import resolve_model

IMPORT_EQUALS_TORCH = 1e-4


def foreign_onnx(path: Path, *, size: tuple[int | str, int | str] = ("h", "w"), outputs: int = 12) -> Path:
    """A 3x3 convolution and a shuffle, with names and metadata that are not ours."""
    weight = np.random.default_rng(1).random((outputs, 3, 3, 3)).astype(np.float32) / 27
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("DepthToSpace", ["c"], ["output"], blocksize=2, mode="CRD"),
        ],
        "foreign",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, *size])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def poisoned(model: onnx.ModelProto, path: Path) -> Path:
    """`model` with one NaN in its first convolution, written to `path`."""
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 4:
            weight = numpy_helper.to_array(tensor).copy()
            weight.flat[0] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
            break
    onnx.save(model, path)
    return path


def with_unknown_operator(path: Path) -> None:
    model = onnx.load(foreign_onnx(path))
    model.graph.node[0].op_type = "Frobnicate"
    onnx.save(model, path)


def with_two_pictures(path: Path) -> None:
    model = onnx.load(foreign_onnx(path))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 6
    onnx.save(model, path)


def with_a_knob(path: Path) -> None:
    model = onnx.load(foreign_onnx(path))
    model.graph.input.append(helper.make_tensor_value_info("strength", TensorProto.FLOAT, [1]))
    onnx.save(model, path)


def esrgan_weights() -> dict[str, torch.Tensor]:
    """Our own RRDB network's weights under the names every ESRGAN file has."""
    torch.manual_seed(2)
    ours = build_network("esrgan", scale=4, features=16, blocks=1).state_dict()
    names = [("head", "conv_first"), ("body.1", "trunk_conv"), ("upsample.1", "upconv1"), ("upsample.4", "upconv2")]
    names += [("upsample.6", "HRconv"), ("tail", "conv_last")]
    renamed = {}
    for name, value in ours.items():
        for dense in range(3):
            inner = f"RRDB_trunk.0.RDB{dense + 1}"
            for conv in range(4):
                name = name.replace(f"body.0.blocks.{dense}.grow.{conv}.", f"{inner}.conv{conv + 1}.")
            name = name.replace(f"body.0.blocks.{dense}.close.", f"{inner}.conv5.")
        for old, new in names:
            name = name.replace(f"{old}.", f"{new}.") if name.startswith(f"{old}.") else name
        renamed[name] = value
    return renamed


def test_a_shipped_file_is_used_as_it_is() -> None:
    path = find_model("clear-x4")
    assert imported_model(path) == path


def test_a_foreign_onnx_gets_its_names_scale_and_halo(tmp_path: Path) -> None:
    path = foreign_onnx(tmp_path / "mine.onnx")
    made = imported_model(path)
    spec = read_spec(made)
    assert (spec.name, spec.scale, spec.color_space, spec.halo_px, spec.size_multiple) == ("mine", 2, "rgb", 1, 1)
    graph = load_model(made).graph
    assert [graph.input[0].name, graph.output[0].name] == ["lr", "sr"]
    batch = np.random.default_rng(3).random((1, 3, 9, 11)).astype(np.float32)
    assert np.array_equal(open_runner(load_model(made))(batch), open_runner(onnx.load(path))(batch))


def test_a_file_is_converted_once_and_again_when_its_contents_change(tmp_path: Path) -> None:
    path = foreign_onnx(tmp_path / "mine.onnx")
    first = imported_model(path)
    stamp = os.stat(first).st_mtime_ns
    assert imported_model(path) == first
    assert os.stat(first).st_mtime_ns == stamp
    foreign_onnx(path, outputs=12)
    changed = onnx.load(path)
    changed.doc_string = "another"
    onnx.save(changed, path)
    assert imported_model(path) != first


def with_weights_beside(path: Path, *, seed: int) -> Path:
    """The foreign model with its weights in `path`.data; the .onnx file is the same for every seed."""
    model = onnx.load(foreign_onnx(path))
    weight = np.random.default_rng(seed).random((12, 3, 3, 3)).astype(np.float32) / 27
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
    data = path.with_name(f"{path.name}.data")
    data.unlink(missing_ok=True)
    onnx.save(model, path, save_as_external_data=True, location=data.name, size_threshold=0)
    return path


def test_weights_replaced_in_the_file_beside_the_model_are_the_ones_that_run(tmp_path: Path) -> None:
    first = imported_model(with_weights_beside(tmp_path / "m.onnx", seed=1))
    graph = (tmp_path / "m.onnx").read_bytes()
    second = imported_model(with_weights_beside(tmp_path / "m.onnx", seed=2))
    assert (tmp_path / "m.onnx").read_bytes() == graph
    x = np.full((1, 3, 8, 8), 0.5, np.float32)
    assert not np.array_equal(open_runner(load_model(first))(x), open_runner(load_model(second))(x))


def test_a_model_whose_file_of_weights_is_missing_is_refused(tmp_path: Path) -> None:
    path = with_weights_beside(tmp_path / "m.onnx", seed=1)
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(BadModel, match="weights in a file that cannot be read"):
        imported_model(path)


@pytest.mark.parametrize("name", ["my.ONNX", "M.PTH", "m.ckpt"])
def test_what_can_be_imported_can_be_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if name.endswith("ONNX"):
        foreign_onnx(Path(name))
        assert resolve_model(name)[1].scale == 2
        return
    Path(name).write_text("not weights")  # taken for a model's file, and opened
    with pytest.raises(BadModel, match="it is not a torch file"):
        read_torch_file(Path(name))


def test_torch_weights_become_a_model_that_computes_what_torch_computes(tmp_path: Path) -> None:
    weights = esrgan_weights()
    torch.save({"params_ema": weights}, tmp_path / "4x_mine.pth")
    made = imported_model(tmp_path / "4x_mine.pth")
    spec = read_spec(made)
    assert (spec.name, spec.scale, spec.color_space) == ("4x_mine", 4, "rgb")
    assert "ESRGAN" in spec.training
    torch.manual_seed(2)
    ours = build_network("esrgan", scale=4, features=16, blocks=1).eval()  # the same weights again
    batch = torch.rand(1, 3, 14, 18)
    with torch.no_grad():
        expected = ours(batch).numpy()
    assert np.abs(open_runner(load_model(made))(batch.numpy()) - expected).max() < IMPORT_EQUALS_TORCH


def test_safetensors_are_read_too(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(esrgan_weights(), tmp_path / "4x_mine.safetensors")
    network, spec = read_torch_file(tmp_path / "4x_mine.safetensors")
    assert spec.scale == 4
    assert sum(value.numel() for value in network.state_dict().values()) == sum(
        value.numel() for value in esrgan_weights().values()
    )


class Payload:
    """Would create a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path: Path) -> None:
    bare, wrapped = tmp_path / "bare.pth", tmp_path / "wrapped.pth"
    bare.write_bytes(pickle.dumps(Payload(tmp_path / "owned"), protocol=2))
    torch.save({"weight": Payload(tmp_path / "owned")}, wrapped)
    with pytest.raises(BadModel, match="run its code"):
        read_torch_file(wrapped)
    with pytest.raises(BadModel, match=r"refused|cannot be read"):
        read_torch_file(bare)
    assert not (tmp_path / "owned").exists()


def test_an_index_that_points_out_of_its_file_is_told_in_words(tmp_path: Path) -> None:
    """Torch answers with EINVAL, of which nobody learns anything."""
    path = tmp_path / "torn.pth"
    torch.save({"weight": torch.zeros(3, 3)}, path)
    damaged = bytearray(path.read_bytes())
    struct.pack_into("<Q", damaged, damaged.rfind(b"PK\x06\x06") + 48, 0xFFFFFFFFFFFFFF00)  # where zip64's index begins
    path.write_bytes(damaged)
    with pytest.raises(BadModel, match="its index points out of it"):
        read_torch_file(path)


def test_weights_of_no_known_network_are_refused(tmp_path: Path) -> None:
    torch.save({"mystery.weight": torch.zeros(3, 3)}, tmp_path / "mystery.pth")
    with pytest.raises(BadModel, match="spandrel") as refusal:
        read_torch_file(tmp_path / "mystery.pth")
    assert "ONNX" in refusal.value.hint


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: path.write_bytes(b"no onnx"), "not a readable ONNX"),
        (lambda path: foreign_onnx(path, outputs=8), "does not enlarge"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (with_two_pictures, "2 frames at once"),
        (with_a_knob, r"wants 2 inputs \(input, strength\)"),
        (with_unknown_operator, "does not know: Frobnicate"),
        (lambda path: poisoned(onnx.load(foreign_onnx(path)), path), "NaN or infinity"),
    ],
)
def test_an_onnx_file_that_cannot_work_is_refused_with_its_reason(tmp_path: Path, write: object, words: str) -> None:
    assert callable(write)
    path = tmp_path / "bad.onnx"
    write(path)
    with pytest.raises(BadModel, match=words):
        imported_model(path)


def test_a_missing_or_foreign_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no model file"):
        imported_model(tmp_path / "gone.onnx")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(BadInput, match="not a model file"):
        imported_model(tmp_path / "notes.txt")


def test_a_model_of_our_own_format_that_gives_nan_is_refused_every_time(tmp_path: Path) -> None:
    path = poisoned(load_model(find_model("fsrcnn-x2")), tmp_path / "ours.onnx")
    for _ in range(2):
        with pytest.raises(BadModel, match="NaN or infinity"):
            imported_model(path)


def test_a_model_of_our_own_format_is_tried_once_and_then_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ours.onnx"
    path.write_bytes(find_model("fsrcnn-x2").read_bytes())
    runs = []
    apart = importing._apart

    def counted(tried: Path, *arguments: str) -> None:
        runs.append(arguments)
        apart(tried, *arguments)

    monkeypatch.setattr(importing, "_apart", counted)
    assert imported_model(path) == imported_model(path) == path
    assert imported_model(find_model("fsrcnn-x3")) == find_model("fsrcnn-x3")  # shipped: not tried
    assert runs == [("check", str(path))]


def test_torch_weights_that_give_nan_are_refused_as_such(tmp_path: Path) -> None:
    weights = esrgan_weights()
    weights["conv_first.weight"][0, 0, 0, 0] = float("nan")
    torch.save(weights, tmp_path / "4x_broken.pth")
    with pytest.raises(BadModel, match="NaN or infinity"):
        imported_model(tmp_path / "4x_broken.pth")


def test_text_that_is_called_pth_is_no_torch_file(tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    with pytest.raises(BadModel, match="not a torch file"):
        read_torch_file(tmp_path / "page.pth")


def test_a_cache_that_cannot_be_written_does_not_stop_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SRVID_CACHE", str(tmp_path / "file"))
    assert read_spec(imported_model(foreign_onnx(tmp_path / "mine.onnx"))).scale == 2


_ARCHIVE = io.BytesIO()
with zipfile.ZipFile(_ARCHIVE, "w") as _archive:
    _archive.writestr("inside.onnx", b"a model")


@pytest.mark.parametrize("name", ["a.onnx", "a.pth", "a.safetensors", "a.param"])
@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html><body>Not found</body></html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 123\n", "is a pointer of Git LFS"),
        (_ARCHIVE.getvalue(), "is a zip archive"),
    ],
    ids=["empty", "page", "pointer", "archive"],
)
def test_what_was_downloaded_in_a_models_place_is_named_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, contents: bytes, words: str
) -> None:
    monkeypatch.setattr(importing, "_apart", lambda *_: pytest.fail("a process was started"))
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(BadModel, match=f"^{name} {words}") as refusal:
        imported_model(tmp_path / name)
    assert refusal.value.hint


def test_the_name_of_a_file_stands_before_a_reason_that_happens_to_contain_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = subprocess.CompletedProcess([], 1, "", "error: loading it would run its code; refused\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: told)
    (tmp_path / "code.pth").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(BadModel, match=r"^code\.pth: loading it would run its code; refused"):
        imported_model(tmp_path / "code.pth")

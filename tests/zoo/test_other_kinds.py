"""What people have that is no enlarger: `srkit models import` says what it is in one line, and what to do."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save as safetensors_bytes
from safetensors.torch import save_file

from sr_core.testing import random_model
from sr_zoo import convert
from sr_zoo.first_bytes import refuse_what_is_no_model
from srvid_cli.errors import run_command
from srvid_cli.srkit import group

KERNEL = torch.zeros(4, 3, 3, 3)


def tensors(*names: str, kernel: torch.Tensor = KERNEL) -> Callable[[Path], None]:
    """A file of weights with these names."""

    def write(path: Path) -> None:
        held = {name: kernel.clone() for name in names}
        save_file(held, path) if path.suffix == ".safetensors" else torch.save(held, path)

    return write


def state_of_a_training(path: Path) -> None:
    network = torch.nn.Conv2d(3, 3, 1)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.rand(1, 3, 4, 4)).sum().backward()
    optimizer.step()
    torch.save({"epoch": 3, "iter": 900, "optimizers": [optimizer.state_dict()], "schedulers": []}, path)


def five_axes(path: Path) -> None:
    """An ONNX file of a video network: [batch, frames, channels, height, width]."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 5, 3, "h", "w"]) for name in ("frames", "out")]
    node = helper.make_node("Relu", ["frames"], ["out"])
    graph = helper.make_graph([node], "video", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("4x_inside.pth", b"weights")


def raw(contents: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(contents) and None


def onnx_file(path: Path) -> None:
    onnx.save(random_model(2, seed=1, features=4, layers=1), path)


def torch_file(path: Path) -> None:
    torch.save({"weight": KERNEL}, path)


def safetensors_file(path: Path) -> None:
    path.write_bytes(safetensors_bytes({"weight": KERNEL}))


def text(words: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(words) and None


CASES: list[tuple[str, Callable[[Path], Any], str]] = [
    ("kohya.safetensors", tensors("lora_unet_down_blocks_0_proj.lora_down.weight", "lora_unet_mid.alpha"), "is a LoRA"),
    ("peft.pth", tensors("unet.mid.to_q.lora_A.weight", "unet.mid.to_q.lora_B.weight"), "is a LoRA"),
    ("notes.param", text("strength = 0.5\nsteps = 20\n"), "not ncnn's .param text format"),
    ("training.pth", state_of_a_training, "state of an optimizer"),
    ("adam.pt", lambda path: torch.save(torch.optim.SGD([KERNEL], lr=0.1).state_dict(), path), "state of an optimizer"),
    ("basicvsr.pth", tensors("spynet.basic_module.0.weight", "backward_trunk.main.0.weight"), "several frames at once"),
    ("cubes.pth", tensors("head.weight", kernel=torch.zeros(4, 3, 3, 3, 3)), "several frames at once"),
    ("video.onnx", five_axes, "[1, 5, 3, h, w]: several frames at once"),
    ("gfpgan.pth", tensors("stylegan_decoder.constant_input.weight", "conv_body_first.weight"), "restores faces"),
    ("unet.safetensors", tensors("model.diffusion_model.input_blocks.0.0.weight"), "is a diffusion model"),
    ("vae.safetensors", tensors("decoder.up_blocks.0.resnets.0.conv1.weight"), "is the autoencoder"),
    ("mystery.safetensors", tensors("mystery.weight"), "no network that spandrel knows"),
    ("models.zip", archive, "is a zip archive"),
    ("zipped.pth", archive, "is a zip archive"),
    ("model.json", text('{"format": "layers-model", "modelTopology": {}}'), "is a TensorFlow.js model"),
    ("weights.json", text('{"name": "anime4k"}'), "is a text of JSON"),
    ("keras.h5", raw(b"\x89HDF\r\n\x1a\n"), "is a Keras model"),
    ("phone.tflite", raw(b"\x1c\0\0\0TFL3"), "is a TensorFlow Lite model"),
    ("4x.engine", raw(b"ftrt"), "is a TensorRT engine, which runs on one kind of GPU"),
    ("model.xml", text('<?xml version="1.0"?>\n<net name="m" version="11"></net>'), "is an OpenVINO model"),
    ("cunny.glsl", text("//!HOOK LUMA\n"), "is a shader"),
    ("weights.npz", archive, "is arrays of NumPy"),
    ("picture.pth", raw(b"\x89PNG\r\n\x1a\n"), "is a picture, though it ends in .pth"),
    ("program.onnx", raw(b"MZ\x90\0"), "is a program, though it ends in .onnx"),
    ("packed.safetensors", raw(b"7z\xbc\xaf\x27\x1c"), "is an archive, though"),
    ("renamed.pth", onnx_file, "is really a .onnx file"),
    ("renamed.onnx", torch_file, "is really a .pth file"),
    ("renamed.safetensors", torch_file, "is really a .pth file"),
    ("other.pth", safetensors_file, "is really a .safetensors file"),
    ("pytorch_model.bin", torch_file, "its name does not end in .pth"),
    ("noname", onnx_file, "its name does not end in .onnx"),
    ("animesr.pth", tensors("recurrent_cell.conv_s1_first.0.weight"), "several frames at once"),
    ("page.pth", text("<!DOCTYPE html>\n<html>Sign in</html>"), "is a web page"),
    ("pointer.pth", text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"), "a pointer of Git LFS"),
]


@pytest.fixture
def without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert in this process: a new one imports torch for half a minute on a loaded machine."""

    def convert_here(command: list[str], **options: Any) -> CompletedProcess[str]:
        arguments = command[command.index("sr_zoo.convert") + 1 :]
        with redirect_stderr(io.StringIO()) as said:
            code = convert.main(arguments)
        return CompletedProcess(command, code, "", said.getvalue())

    monkeypatch.setattr("sr_zoo.importing.subprocess.run", convert_here)
    monkeypatch.setattr(convert, "limit_process", lambda path: None)


@pytest.mark.parametrize(("name", "write", "words"), CASES, ids=[name for name, _, _ in CASES])
@pytest.mark.usefixtures("without_a_process")
def test_it_is_named_in_one_line_with_a_hint(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    write: Callable[[Path], None],
    words: str,
) -> None:
    write(tmp_path / name)
    monkeypatch.setattr(sys, "argv", ["srkit", "models", "import", str(tmp_path / name)])
    with pytest.raises(SystemExit) as end:
        run_command(group, "srkit")
    assert end.value.code == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2, said
    assert said[0].startswith("srkit: ")
    assert Path(name).stem in said[0]
    assert words in said[0]
    assert said[1].startswith("hint: ")
    assert not any(word in " ".join(said) for word in ("Traceback", "Error:", "Exception", "site-packages"))


def test_safetensors_whose_length_reads_as_the_begin_of_json_are_no_text(tmp_path: Path) -> None:
    header = b'{"weight":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
    for length in (0x7B20, 0x7B2020, 0x01_7B20):  # little-endian: " {", "  {", " {"
        (tmp_path / "a.safetensors").write_bytes(length.to_bytes(8, "little") + header.ljust(length))
        refuse_what_is_no_model(tmp_path / "a.safetensors")

"""Files that hold a model, or something else, in a form that is not read here; and files with another's ending.

    model.json, .h5, .tflite, .pb, .engine, .mlmodel, .xml …   named by their ending, in a plain line
    a .pth that is really ONNX, a .onnx that is really torch's  named by their first bytes: rename it

First bytes: HDF5 and TensorFlow Lite from their file format documents, GGUF from llama.cpp's, safetensors from
its README (eight bytes of length, then JSON), ONNX from protobuf's wire format (field 1, the IR version, first).
"""

from __future__ import annotations

from pathlib import Path

from sr_core.errors import BadModel

READ_HERE = "srvid reads .onnx, .pth, .safetensors and ncnn's .param: get one of these, or export it with its own code"
_ENDINGS = {
    ".h5": "a Keras model", ".hdf5": "a Keras model", ".keras": "a Keras model", ".pb": "a TensorFlow model",
    ".tflite": "a TensorFlow Lite model", ".mlmodel": "a Core ML model", ".mlpackage": "a Core ML model",
    ".engine": "a TensorRT engine, which runs on one kind of GPU with one version only",
    ".plan": "a TensorRT engine, which runs on one kind of GPU with one version only",
    ".mnn": "an MNN model", ".caffemodel": "a Caffe model", ".pdparams": "a Paddle model", ".gguf": "a GGUF model",
    ".xml": "an OpenVINO model", ".npz": "arrays of NumPy", ".npy": "an array of NumPy", ".pkl": "a pickle",
    ".glsl": "a shader, not a network", ".hook": "a shader, not a network", ".spv": "a shader, not a network",
}  # fmt: skip
_FIRST_BYTES = (  # offset, bytes, what it is
    (0, b"\x89HDF\r\n\x1a\n", "a Keras model (HDF5)"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"GGUF", "a GGUF model"),
    (0, b"ftrt", _ENDINGS[".engine"]),
    (0, b"\x89PNG\r\n\x1a\n", "a picture"),
    (0, b"\xff\xd8\xff", "a picture"),
    (8, b"WEBP", "a picture"),
    (4, b"ftyp", "a video or picture"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (0, b"%PDF", "a document"),
    (0, b"MZ", "a program"),
    (0, b"\x7fELF", "a program"),
    (0, b"7z\xbc\xaf\x27\x1c", "an archive"),
    (0, b"Rar!", "an archive"),
    (0, b"\x1f\x8b", "an archive"),
)
FIRST_BYTES = 512  # looked at
_LONGEST_HEADER = 100 << 20  # of safetensors, by its own limit


def other_format_of(path: Path) -> BadModel | None:
    """What to say of a file that does not end like a model srvid reads; None where nothing is known of it."""
    try:
        with path.open("rb") as file:
            head = file.read(FIRST_BYTES)
    except OSError as error:
        return BadModel(f"{path.name} cannot be read: {error.strerror or error}")
    what = _told_by_bytes(head) or _ENDINGS.get(path.suffix.lower(), "")
    if what:
        return BadModel(f"{path.name} is {what}", hint=READ_HERE)
    if own := _own_ending(head):
        return BadModel(f"{path.name} holds a model, but its name does not end in {own}", hint=f"rename it: {own}")
    return None


def refuse_other_contents_of(path: Path, head: bytes) -> None:
    """Of a file that does end like one of ours: whether it is what its ending says.

    Raises:
        BadModel: it is something else, as far as its first bytes tell.
    """
    if what := _told_by_bytes(head):
        raise BadModel(f"{path.name} is {what}, though it ends in {path.suffix}", hint=READ_HERE)
    own, torch_endings = _own_ending(head), (".pth", ".pt", ".ckpt")
    is_torchs = path.suffix.lower() in torch_endings and own == ".pth"
    if own and own != path.suffix.lower() and not is_torchs:
        raise BadModel(f"{path.name} is really a {own} file", hint=f"rename it: its name has to end in {own}")


def _told_by_bytes(head: bytes) -> str:
    for offset, sign, what in _FIRST_BYTES:
        if head[offset : offset + len(sign)] == sign:
            return what
    begin = head.lstrip()
    if begin.startswith(b"{") and b"\0" not in head[:8]:  # the length of a safetensors header may read as " {"
        is_tensorflow = b"layers-model" in head or b"modelTopology" in head or b"graph-model" in head
        return "a TensorFlow.js model" if is_tensorflow else "a text of JSON, not a model's weights"
    if begin.startswith(b"<?xml") and b"<net" in head:
        return "an OpenVINO model"
    return ""


def _own_ending(head: bytes) -> str:
    """'.onnx', '.pth', '.safetensors' or '.param' where the bytes begin like one; '' where they begin otherwise."""
    if len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= _LONGEST_HEADER:
        return ".safetensors"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return ".pth"
    if head[:4] == b"PK\x03\x04" and b"data.pkl" in head:
        return ".pth"
    if head.lstrip().startswith(b"7767517"):
        return ".param"
    if len(head) > 2 and head[:1] == b"\x08" and 1 <= head[1] <= 20 and head[2:3] in (b"\x12", b"\x1a", b":", b"B"):
        return ".onnx"
    return ""

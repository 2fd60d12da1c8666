"""How far a torch network is from itself when it only rounds otherwise: what no conversion of it can beat.

python benchmarks/torch_rounding.py FILE.pth…

Prints for each, in dB of one frame, torch in FP32 against: torch in FP64; torch in FP32 on a frame of which every value
has moved by one part in ten million; torch in FP32 whose sorts keep equals in their order, which torch leaves open.
A network of sums gives 120 and more; one that sorts or chooses may be further from itself.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

import numpy as np
import torch

from sr_core.difference import difference
from sr_core.frame import Array
from sr_core.testing import picture
from sr_zoo.torch_files import read_torch_file
from sr_zoo.torch_ops import stable_sorts

_SIDE = 112  # input pixels, rounded up to what the network takes
_MOVED = 1e-7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.pth")
    files = parser.parse_args().files
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}\n")
    print("| file | FP64, dB | frame moved by 1e-7, dB | stable sorts, dB |\n|---|---|---|---|")
    for path in files:
        network, spec = read_torch_file(path)
        side = -(-max(_SIDE, spec.smallest) // spec.size_multiple) * spec.size_multiple
        frame = picture(side, side, seed=3).astype(np.float32).transpose(2, 0, 1)[None, : spec.channels]
        plain = _run(network, frame)
        wide = _run(network.double(), frame.astype(np.float64))
        moved = _run(network.float(), frame * np.float32(1 + _MOVED))
        with stable_sorts():
            stable = _run(network, frame)
        found = " | ".join(_decibels(plain, other) for other in (wide, moved, stable))
        print(f"| {path.name} | {found} |", flush=True)


def _run(network: torch.nn.Module, frame: Array) -> Array:
    with torch.no_grad():
        made: Array = network.eval()(torch.from_numpy(frame.copy())).numpy()
    return made


def _decibels(one: Array, other: Array) -> str:
    return f"{difference(one, other.astype(np.float32), peak=max(1.0, float(np.abs(other).max()))).psnr_db:.0f}"


if __name__ == "__main__":
    main()

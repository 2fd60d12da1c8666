"""Checkerboards of the four heads before and after a short training, and of the shipped models.

python benchmarks/zoo_checkerboard.py ../shared/data [STEPS]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sr_core.model_spec import load_model, read_spec
from sr_core.storage import cache_dir
from sr_train.checkerboard import checkerboard_codes
from sr_train.config import read_config
from sr_train.loop import run_training
from sr_train.shipping import load_trained
from sr_zoo.archs.heads import HEADS
from sr_zoo.archs.registry import build_network
from sr_zoo.models import shipped_names, weights_dir
from sr_zoo.onnx_run import Runner, open_runner

SCALE = 3
RECIPE = """
[model]
name = "espcn-x{scale}"
arch = "espcn"
scale = {scale}
options = {{ activation = "relu", head = "{head}" }}
[data]
folders = ["train/vector"]
patch_px = 24
batch = 8
[optim]
optimiser = "muon"
rate = 1e-2
steps = {steps}
"""


def torch_runner(network: torch.nn.Module) -> Runner:
    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            made: NDArray[np.float32] = network(torch.from_numpy(batch.copy())).numpy()
        return made

    return run


def main(data: Path, steps: int) -> None:
    print("| head (ESPCN body, x3) | flat, untrained | smooth, untrained | flat, trained | smooth, trained |")
    print("|---|---|---|---|---|")
    for head in HEADS:
        torch.manual_seed(1)
        fresh = build_network("espcn", scale=SCALE, activation="relu", head=head).eval()
        before = checkerboard_codes(torch_runner(fresh), scale=SCALE, channels=1)
        with tempfile.TemporaryDirectory() as folder:
            recipe = Path(folder) / "recipe.toml"
            recipe.write_text(RECIPE.format(scale=SCALE, head=head, steps=steps))
            checkpoint = run_training(read_config(recipe), out=Path(folder), cache=cache_dir("train"), data_root=data)
            trained = load_trained(checkpoint)[0].eval()
        after = checkerboard_codes(torch_runner(trained), scale=SCALE, channels=1)
        print(f"| {head} | {before[0]:.3f} | {before[1]:.3f} | {after[0]:.3f} | {after[1]:.3f} |")
    print("\n| shipped model | flat | smooth |\n|---|---|---|")
    for name in shipped_names():
        path = weights_dir() / f"{name}.onnx"
        spec = read_spec(path)
        run = open_runner(load_model(path))
        flat, smooth = checkerboard_codes(run, scale=spec.scale, channels=spec.channels)
        print(f"| {name} | {flat:.3f} | {smooth:.3f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("steps", type=int, nargs="?", default=300)
    options = parser.parse_args()
    main(options.data, options.steps)

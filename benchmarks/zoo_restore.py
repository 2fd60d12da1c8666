"""clear against clear-restore on compressed input: Y PSNR on Set14 whose LR went through x264, by rate factor.

python benchmarks/zoo_restore.py ../shared/data [SCALE]
"""

import argparse
from pathlib import Path

import numpy as np

from sr_core.model_spec import load_model
from sr_train.benchmark_sets import read_pairs
from sr_train.degradations import video_compressed
from sr_train.imresize import imresize
from sr_train.metrics import luma_from_rgb, psnr
from sr_zoo.models import find_model
from sr_zoo.onnx_run import open_runner

RATE_FACTORS = (18, 23, 28, 33)


def main(data: Path, scale: int) -> None:
    pairs = list(read_pairs(data / "eval/Set14", scale))
    runs = {name: open_runner(load_model(find_model(name, scale=scale))) for name in ("clear", "clear-restore")}
    print("| input | bicubic | clear | clear-restore |\n|---|---|---|---|")
    for crf in (None, *RATE_FACTORS):
        found: dict[str, list[float]] = {"bicubic": [], "clear": [], "clear-restore": []}
        for pair in pairs:
            rng = np.random.default_rng(1)
            low = pair.low if crf is None else video_compressed(pair.low, crf=crf, rng=rng)
            truth = luma_from_rgb(pair.high)
            made = {"bicubic": imresize(low, scale)}
            batch = (low.transpose(2, 0, 1)[None] / 255).astype(np.float32)
            for name, run in runs.items():
                image = run(batch)[0].transpose(1, 2, 0) * 255
                made[name] = np.clip(np.floor(image + 0.5), 0, 255).astype(np.uint8)
            for name, image in made.items():
                found[name].append(psnr(luma_from_rgb(image), truth, crop_px=scale))
        kind = "clean" if crf is None else f"x264 crf {crf}"
        print(f"| {kind} | " + " | ".join(f"{np.mean(values):.2f}" for values in found.values()) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("scale", type=int, nargs="?", choices=(2, 4), default=4)
    options = parser.parse_args()
    main(options.data, options.scale)

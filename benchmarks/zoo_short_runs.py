"""The deep networks, at their own size, trained for a few minutes: how far above bicubic on Set5?

python benchmarks/zoo_short_runs.py [RECIPE ...] [--minutes 4]     0.5 dB is the goal; ends early past 0.6
    --checks 1     validate at the end only: DRCN takes four minutes for the five images

Recipes of configs/ with their network, images and loss; adversaries and perceptual losses, which need outside
weights, are left for L1. Small crops and Muon, as a CPU has no days. Validated on Set5 as in training.
"""

import argparse
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sr_core.storage import cache_dir
from sr_train.config import TrainConfig, read_config
from sr_train.evaluation import evaluate
from sr_train.loop import Progress, run_training

CONFIGS = Path(__file__).parents[1] / "configs"
DEEP = """vdsr-x3 drcn-x3 drrn-b1u9-x3 memnet-x3 srresnet-x4 edsr-baseline-x4 mdsr-x4 enhancenet-x4 srfeat-x4
esrgan-x4 rdn-x4 rcan-x4 edsr-x4""".split()
FULL_SIZE, FULL_SIZE_PATCH = ("vdsr", "drcn", "drrn", "memnet"), 8  # they work on the enlarged image
LARGE = ("esrgan", "rdn", "rcan", "edsr")  # one crop a step, or there would be no steps
ENOUGH_DB = 0.6
NEEDS_VGG = ("perceptual", "texture")


class _Enough(Exception):
    """The goal is passed."""


def short(config: TrainConfig, minutes: float) -> TrainConfig:
    """`config` for a few minutes of a CPU."""
    loss = {name: weight for name, weight in config.loss.items() if name not in NEEDS_VGG}
    return replace(
        config,
        model=replace(config.model, scales=()),
        data=replace(
            config.data,
            patch_px=FULL_SIZE_PATCH if config.model.arch in FULL_SIZE else 16,
            batch=1 if config.model.arch in LARGE else 2,
        ),
        optim=replace(
            config.optim,
            optimiser="muon",
            rate=3e-3,
            schedule="cosine",
            steps=0,
            minutes=minutes,
            clip=1.0,
            clip_theta=0.0,
            precision="f32",
            warm_start="",
            ema=0.9,
        ),
        loss=loss or {"l1": 1.0},
        discriminator=None,
    )


def main(data: Path, names: list[str], minutes: float, checks: int) -> None:
    print("| network | steps | CPU seconds | dB above bicubic, Set5 |\n|---|---|---|---|")
    for name in names:
        config = short(read_config(CONFIGS / f"{name}.toml"), minutes)
        (found,) = evaluate("bicubic", sets=["set5"], data_root=data, scale=config.model.scale)
        bicubic, seen = found.mean("psnr_y"), list[Progress]()

        def report(progress: Progress, bicubic: float = bicubic, seen: list[Progress] = seen) -> None:
            if progress.measured:
                seen.append(progress)
                if progress.psnr_y > bicubic + ENOUGH_DB:
                    raise _Enough

        began = time.process_time()
        with tempfile.TemporaryDirectory() as folder, suppress(_Enough):
            run_training(
                config,
                out=Path(folder),
                cache=cache_dir("train"),
                data_root=data,
                save_every_seconds=minutes * 60 / checks + 1,  # the last is at the end, once
                report=report,
            )
        seconds, last = time.process_time() - began, seen[-1]
        print(f"| {name} | {last.step} | {seconds:.0f} | {last.psnr_y - bicubic:+.2f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=DEEP)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--checks", type=int, default=4, help="validations in that time")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    main(options.data, options.recipes or DEEP, options.minutes, options.checks)

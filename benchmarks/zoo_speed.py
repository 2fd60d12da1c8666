"""Time per frame of the cheap networks side by side, in one run: ratios of CPU seconds, FP32 on OpenVINO.

python benchmarks/zoo_speed.py [SCALE]        networks with fresh weights: speed does not depend on training
"""

import argparse
import time

import numpy as np

from sr_core.model_spec import ModelSpec
from sr_zoo.archs.registry import ARCHS, build_network
from sr_zoo.export import onnx_from_network
from sr_zoo.onnx_run import open_runner

NETWORKS = ("fsrcnn", "swift", "espcn", "clear", "srcnn")
HEIGHT, WIDTH, ROUNDS = 135, 240, 5  # a tile of a 540p frame


def main(scale: int) -> None:
    runners, batches = {}, {}
    for name in NETWORKS:
        color_space = ARCHS[name].color_space
        spec = ModelSpec(name=name, scale=scale, color_space=color_space)
        runners[name] = open_runner(onnx_from_network(build_network(name, scale=scale), spec))
        batches[name] = np.random.default_rng(1).random((1, spec.channels, HEIGHT, WIDTH), np.float32)
    seconds: dict[str, list[float]] = {name: [] for name in NETWORKS}
    for _ in range(ROUNDS + 1):
        for name, run in runners.items():
            began = time.process_time()
            run(batches[name])
            seconds[name].append(time.process_time() - began)
    reference = float(np.median(seconds["fsrcnn"][1:]))
    print(f"x{scale}, {WIDTH}x{HEIGHT} in, CPU time of one frame; fsrcnn = 1 ({reference * 1e3:.0f} ms)")
    for name in NETWORKS:
        print(f"{name:8} {ARCHS[name].color_space:>3} {float(np.median(seconds[name][1:])) / reference:6.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scale", type=int, nargs="?", choices=(2, 3, 4), default=4)
    main(parser.parse_args().scale)

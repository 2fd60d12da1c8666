"""One picture through srvid and through the bare network, as a program without srvid would run it.

    python benchmarks/networks.py [--size 480x270] [--rounds 7] [--json networks.json]

srvid auto, exact    RGB of 8 bits in and out, tiles, colour and rounding included; INT8 or bf16 where `auto` takes it
onnxruntime          the same network, float planes in and out, nothing else
openvino             the same, in FP32

Milliseconds of CPU time (all threads together), medians of rounds in which every way takes its turn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
from onnx import ModelProto
from results import write_result

import srvid
from sr_core.graph.quantized import remove_quantizers
from sr_core.testing import picture
from srvid.front_door import resolve_model

MODELS = ("clear-x2", "clear-x4", "swift-x2", "swift-x4", "clear-restore-x4", "fsrcnn-x4")
COLUMNS = ("network", "srvid auto", "srvid exact", "onnxruntime", "openvino", "exact / openvino")
Run = Callable[[], object]


def ways_of(name: str, width: int, height: int) -> tuple[list[Run], list[srvid.Upscaler]]:
    """What to time, in the order of the columns; and what to close after it."""
    pixels = (picture(width, height) * 255).round().astype(np.uint8)
    opened = [srvid.open_upscaler(name, precision=kind, reuse=False) for kind in ("auto", "exact")]
    proto, spec = resolve_model(name)
    remove_quantizers(proto)
    batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None, : spec.channels].astype(np.float32) / 255)
    runs: list[Run] = [lambda upscaler=upscaler: upscaler.image(pixels) for upscaler in opened]  # type: ignore[misc]
    return [*runs, *_bare(proto, batch)], opened


def _bare(proto: ModelProto, batch: np.ndarray) -> list[Run]:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    core = openvino.Core()
    network = core.read_model(proto.SerializeToString())
    network.reshape(list(batch.shape))
    request = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    feed = {session.get_inputs()[0].name: batch}
    return [lambda: session.run(None, feed), lambda: request.infer([batch], share_inputs=True, share_outputs=True)]


def medians(runs: list[Run], rounds: int) -> list[float]:
    """CPU milliseconds of each."""
    found: list[list[float]] = [[] for _ in runs]
    for number in range(rounds + 1):
        for taken, run in zip(found, runs, strict=True):
            before = time.process_time()
            run()
            if number:  # the first chooses, compiles and fills caches
                taken.append((time.process_time() - before) * 1000)
    return [float(np.median(taken)) for taken in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="480x270")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    rows: list[list[str | float]] = []
    print(" | ".join(COLUMNS))
    for name in MODELS:
        runs, opened = ways_of(name, width, height)
        measured = medians(runs, chosen.rounds)
        for upscaler in opened:
            upscaler.close()
        rows.append([name, *measured, measured[1] / measured[3]])
        print(name, *(f"{value:.1f}" for value in measured), f"{measured[1] / measured[3]:.2f}", flush=True)
    if chosen.json:
        write_result(
            chosen.json,
            title=f"One {chosen.size} picture, whole and by the bare network",
            command=f"python benchmarks/networks.py --size {chosen.size} --rounds {chosen.rounds}",
            about=(
                "Milliseconds of CPU time a picture. srvid: 8-bit RGB in and out, with tiles, colour and rounding; the "
                "peers run the bare network on float planes, and do nothing of that. fsrcnn works on luma: its bare "
                "network gets one plane, srvid enlarges the colours too."
            ),
            columns=COLUMNS,
            rows=rows,
            packages=("openvino", "numpy"),
            peers={"onnxruntime": onnxruntime.__version__, "openvino": openvino.__version__},
        )


if __name__ == "__main__":
    main()

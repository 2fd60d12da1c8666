"""What engines cost to build and to hold, measured without a GPU. Needs srvid[rtx].

    python benchmarks/trt_ahead.py [--model clear-x2] [--tiles 256 512 1024]
    python benchmarks/trt_ahead.py --forms         PSNR, memory and plan of each way to type four networks

fp16/fp32    plan bytes and activation memory of the FP16 engine ÷ those of an 'exact' one
per pixel    activation bytes per input pixel, which is what --vram's straight line rests on
formats      PSNR of the FP16 graph against FP32 on four photographs, and build seconds
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sr_core.backend import ComposedGraph
from sr_core.backends.tensorrt_library import load_library
from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.engine_key import BuildOptions, EngineFacts
from sr_core.graph.compose import compose
from sr_core.model_spec import load_model, spec_of
from sr_zoo.models import find_model, shipped_names
from srvid.front_door import resolve_model
from trt_build.ahead import FORMATS
from trt_build.build import serialize_engine
from trt_build.check import CHECK_SIDE_PX, decibels
from trt_build.ensure import build_engine
from trt_build.forms import forms_of
from trt_build.fp16 import lower_to_fp16
from trt_build.store import EngineStore

FORM_MODELS = ("clear-x2", "swift-x4", "restore-x2", "espcn-x3")
FORM_SIDE = 512


def print_forms(names: Sequence[str], target: str) -> None:
    """A row a model and form; PSNR of NV12 and P010, the engine of NV12."""
    native = load_library("tensorrt_rtx")
    print(f"{native.name} {native.version}, {target}, NV12 {FORM_SIDE}x{FORM_SIDE}")
    print("model        form     NV12 dB  P010 dB  MiB to run  plan MB")
    for name in names:
        model, spec = resolve_model(name)
        small, deep, large = (
            compose(model, spec, FORMATS[fmt], ColorSpec(), width=side, height=side)
            for fmt, side in (("nv12", CHECK_SIDE_PX), ("p010", CHECK_SIDE_PX), ("nv12", FORM_SIDE))
        )
        found, found_deep = decibels(small), decibels(deep)
        for form in forms_of(large):
            lowered = lower_to_fp16(form.model, form.keep_fp32).SerializeToString()
            engine = serialize_engine(native, lowered, target=target, options=BuildOptions())
            print(
                f"{name:12} {form.name:8} {found[form.name]:7.1f} {found_deep[form.name]:8.1f}"
                f" {engine.activation_bytes / 2**20:11.0f} {len(engine.content) / 1e6:8.2f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default=shipped_names()[0])
    parser.add_argument("--target", default="sm89")
    parser.add_argument("--tiles", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--forms", nargs="*", metavar="MODEL", help="each way to type a network (trt_build/forms.py)")
    options = parser.parse_args()
    if options.forms is not None:
        print_forms(options.forms or FORM_MODELS, options.target)
        return
    model = load_model(find_model(options.model))
    spec = spec_of(model)
    assert spec is not None
    native = load_library("tensorrt_rtx")
    print(f"{spec.name}, {native.name} {native.version}, {options.target}, {platform.machine()}")

    def composed(name: str, side: int) -> ComposedGraph:
        fmt = FORMATS[name]
        color = FULL_RANGE_RGB if fmt.family == "rgb" else ColorSpec()
        return compose(model, spec, fmt, color, width=side, height=side)

    with tempfile.TemporaryDirectory() as folder:
        store = EngineStore(Path(folder))

        def facts(name: str, side: int, precision: str = "auto") -> EngineFacts:
            graph = composed(name, side)
            return build_engine(graph, native, target=options.target, precision=precision, store=store).facts  # type: ignore[arg-type]

        print("tile      fp16 MiB  per pixel  plan MB  fp16/fp32: activation  plan   build")
        for side in options.tiles:
            half, full = facts("nv12", side), facts("nv12", side, "exact")
            print(
                f"{side:4d}x{side:<5d}{half.activation_bytes / 2**20:8.1f} {half.activation_bytes / side**2:10.1f}"
                f" {half.engine_bytes / 1e6:8.2f} {half.activation_bytes / full.activation_bytes:22.2f}"
                f" {half.engine_bytes / full.engine_bytes:5.2f} {half.build_seconds / full.build_seconds:7.2f}"
            )
        print("format      PSNR dB  peak |x|  layers back  build s")
        for name in ("yuv420p", "nv12", "p010", "yuv444p10", "rgb24", "gbrp", "gray"):
            found = facts(name, 256)
            print(
                f"{name:10s} {found.psnr_db or 0:8.1f} {found.peak_activation:9.2f} {len(found.fp32_layers):12d}"
                f" {found.build_seconds:8.2f}"
            )


if __name__ == "__main__":
    main()

"""What bf16 costs in fidelity, and whether the gate tells good networks from bad: on any CPU, emulated.

    python benchmarks/bf16_gate.py [--native] [--photos FOLDER] [--count 8] [--bits 8] [MODEL ...]

gate     dB of the worst plane on the gate's picture, 96x96; what is needed is in the last column
photos   dB against FP32 over the photographs' luma and chroma, all samples pooled; then the share of them that is
         another code, and the worst

The body is rounded to bf16 step by step (`sr_core.emulated`), so the figures hold for every CPU;
times do not exist here. --native runs OpenVINO's own bf16 instead, for a CPU that has it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from sr_core.backend import ComposedGraph, Session
from sr_core.backends.fidelity import fidelity_db, least_db, run_once
from sr_core.backends.openvino import OpenVino
from sr_core.color import ColorSpec
from sr_core.emulated import EmulatedSession
from sr_core.frame import Planes, yuv
from sr_core.graph.compose import compose
from sr_core.testing import planes_from_rgb
from sr_zoo.models import shipped_names
from srvid.front_door import resolve_model

SIDE = 96
CROP = (160, 144)  # of each photograph, from its middle


def crops(folder: Path, count: int, bits: int) -> list[Planes]:
    found = []
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))[:count]:
        pixels = np.asarray(Image.open(path).convert("RGB")) / 255
        top, left = (pixels.shape[0] - CROP[1]) // 2, (pixels.shape[1] - CROP[0]) // 2
        part = pixels[top : top + CROP[1], left : left + CROP[0]]
        found.append(planes_from_rgb(part, yuv("420", bits), ColorSpec()))
    return found


def pair_of(
    graph: ComposedGraph, *, is_native: bool
) -> tuple[Session, Session] | tuple[EmulatedSession, EmulatedSession]:
    """In bf16 and in FP32."""
    if not is_native:
        return EmulatedSession(graph, is_bf16=True), EmulatedSession(graph, is_bf16=False)
    backend = OpenVino(threads=1)
    if "BF16" not in backend.capabilities:
        raise SystemExit(f"{backend.device} has no bf16")
    return backend.open(graph, precision="bf16+f32"), backend.open(graph, precision="f32")


def against_exact(errors: np.ndarray, peak: int) -> str:
    """dB, share of samples that are another code, worst difference."""
    db = 20 * np.log10(peak / np.sqrt(np.mean(errors**2)))
    return f"{db:7.1f}  {np.mean(errors != 0):6.2%}, worst {np.abs(errors).max():.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(shipped_names()))
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--native", action="store_true")
    args = parser.parse_args()
    fmt, color, peak = yuv("420", args.bits), ColorSpec(), (1 << args.bits) - 1
    pictures = crops(args.photos, args.count, args.bits) if args.photos else []
    print(
        f"{'':20} {'gate':>6} {'needed':>7} {'photos':>7}   dB, yuv420, {args.bits} bits, {len(pictures)} photographs"
    )
    for name in args.models:
        model, spec = resolve_model(name)
        small = compose(model, spec, fmt, color, width=SIDE, height=SIDE)
        mixed, exact = pair_of(small, is_native=args.native)
        gate = fidelity_db(mixed, exact, small)
        errors: list[np.ndarray] = []
        if pictures:
            graph = compose(model, spec, fmt, color, width=CROP[0], height=CROP[1])
            mixed, exact = pair_of(graph, is_native=args.native)
            for planes in pictures:
                pairs = zip(run_once(mixed, planes, graph), run_once(exact, planes, graph), strict=True)
                errors += [(a.astype(float) - b).ravel() for a, b in pairs]
        photos = against_exact(np.concatenate(errors), peak) if errors else "      -"
        print(f"{name:20} {gate:6.1f} {least_db(small):7.1f} {photos}", flush=True)


if __name__ == "__main__":
    main()

"""The filter against vs-mlrt's plugins: the same ONNX weights, the same clip, FP32, vspipe to nowhere.

    python benchmarks/vapoursynth/against_mlrt.py [--peer ov] [--net light] [--format YUV420P8] [--rounds 3]

The peer (GPL-3, for comparison only) is installed into a virtual environment of its own, made by this
script under runs/. It takes RGB float clips, so its YUV clips go through core.resize both ways, as its users
do. Start-up is subtracted: each program runs a short and a long clip, and the difference counts. Rounds
alternate the order. Reuse of unchanged tiles is off, because the clip stands still.

Reported: CPU milliseconds (user + system of the process) and wall milliseconds per frame, medians over the
rounds, and the median of the paired ratios peer / srvid: above 1, srvid does more frames per CPU-second.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import onnx
import vapoursynth as vs
from onnx import ModelProto

from sr_core.backend import usable_cpus
from sr_core.testing import nearest_model, random_model

PROJECT = Path(__file__).resolve().parents[2]
PEER_PACKAGES = ("vapoursynth==81", "vapoursynth-mlrt-ov==17.1", "vapoursynth-mlrt-ort==17.1.1")
WIDTH, HEIGHT, SCALE = 480, 270, 2
SHORT = 2
FRAMES = {"null": 800, "light": 60, "heavy": 8}  # beyond SHORT; start-up, which is subtracted, varies by 0.2 s

CLIP = """
import vapoursynth as vs
core = vs.core
clip = core.std.BlankClip(format=vs.{format}, width={width}, height={height}, length={length}, keep=True)
if clip.format.color_family == vs.YUV:
    clip = clip.std.SetFrameProps(_Matrix=1, _Range=0, _ChromaLocation=0)
"""
OURS = """
from vapoursynth_filter import upscale
upscale(clip, {scale}, {model!r}, "openvino", precision="exact", reuse=False).set_output()
"""
PEER = """
form, is_rgb = clip.format.id, clip.format.id == vs.RGBS
work = clip if is_rgb else clip.resize.Bicubic(format=vs.RGBS)
large = {call}
if not is_rgb:
    yuv = dict(matrix=1, range=0, chromaloc=0) if clip.format.color_family == vs.YUV else {{}}
    large = large.resize.Bicubic(format=form, **yuv)
large.set_output()
"""
PEER_CALLS = {
    "ov": "core.ov.Model([work], {model!r}, num_streams={cpus}, "
    "config=lambda: dict(INFERENCE_PRECISION_HINT='f32', INFERENCE_NUM_THREADS={cpus}))",
    "ort": "core.ort.Model([work], {model!r}, num_streams=1)",
}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Milliseconds per frame."""

    cpu: float
    wall: float


def network(net: str) -> ModelProto:
    """null: nearest neighbour; light: 16 features x 8 layers; heavy: 64 x 16, slopes of their own."""
    if net == "null":
        return nearest_model(SCALE)
    features, layers = (16, 8) if net == "light" else (64, 16)
    return random_model(SCALE, features=features, layers=layers)


def peer_environment(folder: Path) -> Path:
    """The `bin` folder of the peer's virtual environment, made on the first call."""
    binaries = folder / ("Scripts" if os.name == "nt" else "bin")
    if not (binaries / "vspipe").exists():
        print(f"making {folder} (about 200 MB)")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([binaries / "python", "-m", "pip", "install", "--quiet", *PEER_PACKAGES], check=True)
    return binaries


def run(script: str, binaries: Path, folder: Path) -> Cost:
    """CPU and wall milliseconds of one vspipe, whole."""
    path = folder / "script.vpy"
    path.write_text(script)
    variables = os.environ | {"PATH": os.pathsep.join([str(binaries), os.environ["PATH"]])}
    variables |= {"XDG_CONFIG_HOME": str(folder)}
    if binaries == Path(sys.executable).parent:
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    else:
        variables.pop("PYTHONPATH", None)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = subprocess.run([binaries / "vspipe", path, "--"], env=variables, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode:
        raise SystemExit(result.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu=cpu * 1000, wall=wall * 1000)


def cost_per_frame(body: str, video_format: str, frames: int, binaries: Path, folder: Path) -> Cost:
    """A long run minus a short one."""
    clip = {"format": video_format, "width": WIDTH, "height": HEIGHT}
    short, long = (
        run(CLIP.format(**clip, length=length) + body, binaries, folder) for length in (SHORT, SHORT + frames)
    )
    return Cost(cpu=(long.cpu - short.cpu) / frames, wall=(long.wall - short.wall) / frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer", choices=list(PEER_CALLS), action="append")
    parser.add_argument("--net", choices=list(FRAMES), action="append")
    parser.add_argument("--format", action="append", help="YUV420P8, YUV420P10, RGB24, RGBS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-venv", type=Path, default=PROJECT / "runs" / "venv-mlrt")
    chosen = parser.parse_args()
    peer_binaries = peer_environment(chosen.peer_venv)
    print(f"{usable_cpus()} CPUs, VapourSynth {vs.__version__.release_major}, {WIDTH}x{HEIGHT} x{SCALE}, FP32")
    print(
        f"{'':26s} {'srvid cpu':>10s} {'peer cpu':>9s} {'ratio':>6s} "
        f"{'srvid wall':>11s} {'peer wall':>10s} {'ratio':>6s}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for net in chosen.net or FRAMES:
            model = str(folder / f"{net}.onnx")
            onnx.save(network(net), model)
            values = {"model": model, "scale": SCALE, "cpus": usable_cpus()}
            for video_format in chosen.format or ("YUV420P8", "RGBS"):
                for peer in chosen.peer or ("ov",):
                    ours = (OURS.format(**values), Path(sys.executable).parent)
                    theirs = (PEER.format(call=PEER_CALLS[peer].format(**values)), peer_binaries)
                    pairs: list[tuple[Cost, Cost]] = []
                    for number in range(chosen.rounds):
                        order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
                        costs = [
                            cost_per_frame(body, video_format, FRAMES[net], binaries, folder)
                            for body, binaries in order
                        ]
                        pairs.append((costs[0], costs[1]) if number % 2 == 0 else (costs[1], costs[0]))
                    report(f"{net} {video_format} vs {peer}", pairs)


def report(title: str, pairs: list[tuple[Cost, Cost]]) -> None:
    cells = []
    for kind in ("cpu", "wall"):
        ours = [getattr(pair[0], kind) for pair in pairs]
        peer = [getattr(pair[1], kind) for pair in pairs]
        ratio = statistics.median(theirs / mine for mine, theirs in zip(ours, peer, strict=True))
        cells.append((statistics.median(ours), statistics.median(peer), ratio))
    (cpu, peer_cpu, cpu_ratio), (wall, peer_wall, wall_ratio) = cells
    print(
        f"{title:26s} {cpu:10.1f} {peer_cpu:9.1f} {cpu_ratio:6.2f} {wall:11.1f} {peer_wall:10.1f} {wall_ratio:6.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()

"""The filter against vs-mlrt's plugins: the same ONNX weights, the same clip, vspipe to nowhere.

    python benchmarks/vapoursynth/against_mlrt.py [--peer ov] [--net light] [--net clear-x4] [--format YUV420P8]
                                                  [--mode exact] [--mode auto] [--mask AVX2_VNNI] [--rounds 3]

exact   both in FP32, all CPUs
auto    srvid as it comes (`auto`: FP32, bf16 or INT8, whichever it finds fastest and faithful), the peer as it comes

The peer (GPL-3, for comparison only) is installed into a virtual environment of its own, made by this
script under runs/. It takes RGB float clips, so its YUV clips go through core.resize both ways, as its users
do; it gets shipped models without their quantizers. Start-up is subtracted: each program runs a short and a long
clip, and the difference counts. Rounds alternate the order. Reuse of unchanged tiles is off, because the clip
stands still. --mask sets ONEDNN_MAX_CPU_ISA for both: this CPU stands for one with fewer instructions.

Reported: CPU milliseconds (user + system of the process) and wall milliseconds per frame, medians over the
rounds, and the median of the paired ratios srvid / peer: below 1, srvid takes less time.
"""

from __future__ import annotations

import argparse
import json
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
from sr_core.graph.quantized import remove_quantizers
from sr_core.testing import nearest_model, random_model
from srvid.front_door import resolve_model

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "benchmarks"))
from results import this_machine, write_result  # noqa: E402

PEER_PACKAGES = ("vapoursynth==81", "vapoursynth-mlrt-ov==17.1", "vapoursynth-mlrt-ort==17.1.1")
WIDTH, HEIGHT = 480, 270
SHORT = 2
FRAMES = {"null": 800, "light": 60, "heavy": 8}  # beyond SHORT; start-up, which is subtracted, varies by 0.2 s
FRAMES_OF_SHIPPED = {"swift": 80, "clear": 30}
COLUMNS = ("network, format, mode (way)", "srvid CPU", "peer CPU", "ratio", "srvid wall", "peer wall", "ratio")

CLIP = """
import vapoursynth as vs
core = vs.core
clip = core.std.BlankClip(format=vs.{format}, width={width}, height={height}, length={length}, keep=True)
if clip.format.color_family == vs.YUV:
    clip = clip.std.SetFrameProps(_Matrix=1, _Range=0, _ChromaLocation=0)
"""
OURS = """
from vapoursynth_filter import upscale
upscale(clip, {scale}, {ours!r}, "openvino", precision={mode!r}, reuse=False).set_output()
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
    "ov auto": "core.ov.Model([work], {model!r})",
    "ov exact": "core.ov.Model([work], {model!r}, num_streams={cpus}, "
    "config=lambda: dict(INFERENCE_PRECISION_HINT='f32', INFERENCE_NUM_THREADS={cpus}))",
    "ort auto": "core.ort.Model([work], {model!r})",
    "ort exact": "core.ort.Model([work], {model!r}, num_streams=1)",
}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Milliseconds per frame."""

    cpu: float
    wall: float


def network(net: str) -> tuple[ModelProto, int, int]:
    """(model, scale, frames) of null: nearest neighbour; light: 16 features x 8 layers; heavy: 64 x 16; or shipped."""
    if net == "null":
        return nearest_model(2), 2, FRAMES[net]
    if net in FRAMES:
        features, layers = (16, 8) if net == "light" else (64, 16)
        return random_model(2, features=features, layers=layers), 2, FRAMES[net]
    model, spec = resolve_model(net)
    remove_quantizers(model)
    return model, spec.scale, FRAMES_OF_SHIPPED.get(net.partition("-")[0], 20)


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
    variables |= {"XDG_CONFIG_HOME": str(folder), "SRVID_CACHE": str(folder / "cache")}
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
    parser.add_argument("--peer", choices=["ov", "ort"], action="append")
    parser.add_argument("--net", action="append", help="null, light, heavy, or a shipped model's name")
    parser.add_argument("--format", action="append", help="YUV420P8, YUV420P10, RGB24, RGBS")
    parser.add_argument("--mode", choices=["exact", "auto"], action="append")
    parser.add_argument("--mask", default=os.environ.get("ONEDNN_MAX_CPU_ISA", ""), help="e.g. AVX2, AVX2_VNNI")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-venv", type=Path, default=PROJECT / "runs" / "venv-mlrt")
    parser.add_argument("--json", type=Path, help="keep the table, for the page of benchmarks")
    chosen = parser.parse_args()
    rows: list[tuple[str | float, ...]] = []
    peer_binaries = peer_environment(chosen.peer_venv)
    if chosen.mask:
        os.environ["ONEDNN_MAX_CPU_ISA"] = chosen.mask
    print(f"{this_machine()}{f', at most {chosen.mask}' if chosen.mask else ''}")
    print(f"VapourSynth {vs.__version__.release_major}, {WIDTH}x{HEIGHT}, ms a frame, ratios srvid / peer")
    print(
        f"{'':34s} {'srvid cpu':>10s} {'peer cpu':>9s} {'ratio':>6s} "
        f"{'srvid wall':>11s} {'peer wall':>10s} {'ratio':>6s}"
    )
    for net in chosen.net or FRAMES:
        for video_format in chosen.format or ("YUV420P8", "RGBS"):
            for peer in chosen.peer or ("ov",):
                for mode in chosen.mode or ("exact",):
                    with tempfile.TemporaryDirectory() as name:
                        folder = Path(name)
                        pairs, runs = compared(net, video_format, peer, mode, chosen.rounds, folder, peer_binaries)
                    title = f"{net} {video_format} {mode} ({runs})"
                    rows.append((f"{title} vs {peer}", *report(f"{title} vs {peer}", pairs)))
    if chosen.json:
        keep(chosen, rows)


def keep(chosen: argparse.Namespace, rows: list[tuple[str | float, ...]]) -> None:
    peers = dict(package.split("==") for package in PEER_PACKAGES)
    write_result(
        chosen.json,
        title="In VapourSynth, against vs-mlrt",
        command=" ".join(["python benchmarks/vapoursynth/against_mlrt.py", *sys.argv[1:]]),
        about=(
            f"{WIDTH}x{HEIGHT}, milliseconds a frame by vspipe, start-up subtracted, medians of {chosen.rounds} rounds "
            "in turn; below 1, srvid takes less. exact: both FP32. auto: both as they come."
        ),
        columns=COLUMNS,
        rows=rows,
        packages=("openvino", "vapoursynth"),
        peers=peers,
    )


def compared(
    net: str, video_format: str, peer: str, mode: str, rounds: int, folder: Path, peer_binaries: Path
) -> tuple[list[tuple[Cost, Cost]], str]:
    """(srvid, peer) of each round, and what srvid ran in."""
    proto, scale, frames = network(net)
    model = str(folder / f"{net}.onnx")
    onnx.save(proto, model)
    values = {"model": model, "ours": model if net in FRAMES else net, "scale": scale, "cpus": usable_cpus()}
    ours = (OURS.format(**values, mode=mode), Path(sys.executable).parent)
    theirs = (PEER.format(call=PEER_CALLS[f"{peer} {mode}"].format(**values)), peer_binaries)
    for body, binaries in (ours, theirs):  # ways are tried once, and files read from the disk
        run(CLIP.format(format=video_format, width=WIDTH, height=HEIGHT, length=SHORT) + body, binaries, folder)
    verdicts = [json.loads(path.read_text())["way"] for path in (folder / "cache").rglob("choices/*.json")]
    pairs: list[tuple[Cost, Cost]] = []
    for number in range(rounds):
        order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        costs = [cost_per_frame(body, video_format, frames, binaries, folder) for body, binaries in order]
        pairs.append((costs[0], costs[1]) if number % 2 == 0 else (costs[1], costs[0]))
    return pairs, verdicts[0] if verdicts else "f32"


def report(title: str, pairs: list[tuple[Cost, Cost]]) -> tuple[float, ...]:
    """Print a row, and return its figures."""
    cells = []
    for kind in ("cpu", "wall"):
        ours = [getattr(pair[0], kind) for pair in pairs]
        peer = [getattr(pair[1], kind) for pair in pairs]
        ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, peer, strict=True))
        cells.append((statistics.median(ours), statistics.median(peer), ratio))
    (cpu, peer_cpu, cpu_ratio), (wall, peer_wall, wall_ratio) = cells
    print(
        f"{title:34s} {cpu:10.1f} {peer_cpu:9.1f} {cpu_ratio:6.2f} {wall:11.1f} {peer_wall:10.1f} {wall_ratio:6.2f}",
        flush=True,
    )
    return cpu, peer_cpu, cpu_ratio, wall, peer_wall, wall_ratio


if __name__ == "__main__":
    main()

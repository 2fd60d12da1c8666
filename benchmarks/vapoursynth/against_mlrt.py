"""The filter against vs-mlrt's plugins: the same ONNX weights, the same clip, vspipe to nowhere.

    python benchmarks/vapoursynth/against_mlrt.py [--peer ov] [--net light] [--net clear-x4] [--format YUV420P8]
                                                  [--mode exact] [--mode auto] [--mode auto-exact]
                                                  [--mask AVX2_VNNI] [--mask DEFAULT] [--rounds 3] [--json NAME.json]

exact        both in FP32, all CPUs
auto         both as they come: srvid takes FP32, bf16 or INT8, whichever it finds fastest and faithful; the peer
             takes bf16 throughout where the CPU has it, else FP32
auto-exact   srvid as it comes, the peer in FP32

The peer (GPL-3, for comparison only) is installed into a virtual environment of its own, made by this
script under runs/. It takes RGB float clips, so its YUV clips go through core.resize both ways, as its users
do; it gets shipped models without their quantizers. Start-up is subtracted: each program runs a short and a long
clip, and the difference counts. Rounds alternate the order. Reuse of unchanged tiles is off, because the clip
stands still. --mask sets ONEDNN_MAX_CPU_ISA for both: this CPU stands for one with fewer instructions; DEFAULT is all
that it has.

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
from itertools import product
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
FRAMES_OF_SHIPPED = {"swift": 60, "clear": 24}
COLUMNS = (
    *("network", "format", "instructions up to", "srvid", "peer"),
    *("srvid CPU", "peer CPU", "ratio", "srvid wall", "peer wall", "ratio of wall"),
)
NO_MASK = "DEFAULT"  # OpenVINO's own word for it
MODES = {  # srvid's precision, the peer's call
    "exact": ("exact", "exact"),
    "auto": ("auto", "auto"),
    "auto-exact": ("auto", "exact"),
}
PEER_RUNS = {"exact": "FP32", "auto": "its defaults"}

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
    parser.add_argument("--mode", choices=list(MODES), action="append")
    parser.add_argument("--mask", action="append", help="AVX2, AVX2_VNNI, AVX512_CORE_VNNI, DEFAULT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-venv", type=Path, default=PROJECT / "runs" / "venv-mlrt")
    parser.add_argument("--json", type=Path, help="keep the table, for the page of benchmarks")
    chosen = parser.parse_args()
    peer_binaries = peer_environment(chosen.peer_venv)
    print(f"{this_machine()}; VapourSynth {vs.__version__.release_major}, {WIDTH}x{HEIGHT}, ms a frame")
    print("; ".join(COLUMNS))
    rows: list[tuple[str | float, ...]] = []
    cases = product(
        chosen.mask or (os.environ.get("ONEDNN_MAX_CPU_ISA", NO_MASK),),
        chosen.net or FRAMES,
        chosen.format or ("YUV420P8", "RGBS"),
        chosen.peer or ("ov",),
        chosen.mode or ("exact",),
    )
    for mask, net, video_format, peer, mode in cases:
        os.environ["ONEDNN_MAX_CPU_ISA"] = mask
        with tempfile.TemporaryDirectory() as name:
            pairs, way = compared(net, video_format, peer, mode, chosen.rounds, Path(name), peer_binaries)
        ours, theirs = f"{MODES[mode][0]}: {way}", f"{peer}: {PEER_RUNS[MODES[mode][1]]}"
        rows.append((net, video_format, "all" if mask == NO_MASK else mask, ours, theirs, *figures(pairs)))
        print("; ".join(f"{cell:.2f}" if isinstance(cell, float) else cell for cell in rows[-1]), flush=True)
        if chosen.json:
            keep(chosen, rows)  # after each: a run of an hour may be ended


def keep(chosen: argparse.Namespace, rows: list[tuple[str | float, ...]]) -> None:
    peers = dict(package.split("==") for package in PEER_PACKAGES)
    write_result(
        chosen.json,
        title="In VapourSynth, against vs-mlrt",
        command=" ".join(["python benchmarks/vapoursynth/against_mlrt.py", *sys.argv[1:]]),
        about=(
            f"{WIDTH}x{HEIGHT}, milliseconds a frame by vspipe, start-up subtracted, medians of {chosen.rounds} rounds "
            "in turn, and of the ratios srvid / peer: below 1, srvid takes less. A clip that is not RGBS is converted "
            "for the peer by core.resize, both ways. Instructions are masked by ONEDNN_MAX_CPU_ISA, for both."
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
    precision, called = MODES[mode]
    ours = (OURS.format(**values, mode=precision), Path(sys.executable).parent)
    theirs = (PEER.format(call=PEER_CALLS[f"{peer} {called}"].format(**values)), peer_binaries)
    for body, binaries in (ours, theirs):  # ways are tried once, and files read from the disk
        run(CLIP.format(format=video_format, width=WIDTH, height=HEIGHT, length=SHORT) + body, binaries, folder)
    verdicts = [json.loads(path.read_text())["way"] for path in (folder / "cache").rglob("choices/*.json")]
    pairs: list[tuple[Cost, Cost]] = []
    for number in range(rounds):
        order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        costs = [cost_per_frame(body, video_format, frames, binaries, folder) for body, binaries in order]
        pairs.append((costs[0], costs[1]) if number % 2 == 0 else (costs[1], costs[0]))
    return pairs, verdicts[0] if verdicts else "f32"


def figures(pairs: list[tuple[Cost, Cost]]) -> tuple[float, ...]:
    """Of CPU, then of wall: medians of srvid and of the peer, and the median of their ratios."""
    found: list[float] = []
    for kind in ("cpu", "wall"):
        ours = [getattr(pair[0], kind) for pair in pairs]
        peer = [getattr(pair[1], kind) for pair in pairs]
        ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, peer, strict=True))
        found += [statistics.median(ours), statistics.median(peer), ratio]
    return tuple(found)


if __name__ == "__main__":
    main()

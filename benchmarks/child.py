"""CPU-seconds, wall seconds and peak memory of a child process, for the other benchmarks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CLIPS = PROJECT.parent / "shared" / "data" / "video"
SRVID = [sys.executable, "-m", "srvid_cli.srvid"]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one process took."""

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


def cost_of(*command: object) -> Cost:
    """Run `command` to its end; a failure ends the benchmark with its output."""
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cli")])
    began = time.monotonic()
    with subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{said}")
    return Cost(
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        wall_seconds=time.monotonic() - began,
        peak_bytes=usage.ru_maxrss * 1024,
    )


def ffmpeg() -> list[str]:
    """The judge, from the system; these benchmarks are against it."""
    found = shutil.which("ffmpeg")
    if found is None:
        sys.exit("this benchmark compares with the ffmpeg command: install it first")
    return [found, "-y", "-v", "error", "-nostdin"]


def looped(source: Path, target: Path, *, frames: int) -> Path:
    """A file of exactly `frames` frames: the packets of `source`, again and again."""
    import av

    written, offset = 0, 0
    with av.open(str(target), "w") as out:
        stream = None
        while written < frames:
            with av.open(str(source)) as before:
                video = before.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                end = 0
                for packet in before.demux(video):
                    if not packet.size or packet.pts is None or packet.dts is None or written >= frames:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    packet.stream = stream
                    out.mux(packet)
                    written += 1
                offset += end
    return target


def seconds_of(source: Path, *, frames: int) -> Fraction:
    """When frame number `frames` begins, so that `--end` cuts before it."""
    import av

    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        stamps = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        base = Fraction(stream.time_base.numerator, stream.time_base.denominator)
    return stamps[frames] * base if frames < len(stamps) else (stamps[-1] + 1) * base

"""`srvid IN OUT`: upscale one video, keep everything else it carries."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sr_core.wording import counted
from srvid_cli.engine_options import engine_options
from srvid_cli.errors import run_command
from srvid_cli.events import emit, errors_as_events
from srvid_cli.progress import ProgressLine

if TYPE_CHECKING:
    from sr_core.backend import Precision
    from sr_core.media.plan import Plan, Request
    from sr_core.media.source import Source
    from sr_core.media.transcode import Progress, Summary
    from sr_core.segments.crew import Crew
    from sr_core.segments.run import Segmenting
    from srvid.engine_choice import EngineChoice

_CODECS = "libx264 libx265 libsvtav1 ffv1 prores h264_nvenc hevc_nvenc av1_nvenc".split()
_EXAMPLES = """\b
Examples:
  srvid in.mp4 out.mp4                          four times the size, H.264
  srvid in.mp4 out.mkv --scale 2 --codec libx265 --crf 20
  srvid in.mkv out.mkv --height 2160            the nearest model, then down to 2160 lines
  srvid in.mp4 out.mov --codec prores
  srvid in.mp4 cut.mp4 --start 1:30 --end 1:40  ten seconds, to see what it does
  srvid in.mp4 test.mkv --model nearest         everything but the network: a dry run
  srvid broken.mp4 out.mp4 --salvage            keep what a damaged file still gives
  srvid - - < in.mkv | mpv -                    pipes carry Matroska
"""


@click.command("srvid", context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES)
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@click.option("--scale", type=click.Choice(["2", "3", "4"]), default="4", show_default=True)
@click.option("--height", type=int, help="Output height; the width follows. Instead of --scale.")
@click.option("--width", type=int, help="Output width; the height follows.")
@engine_options
@click.option("--no-wait", is_flag=True, help="Start while a TensorRT engine is being built; without segments.")
@click.option("--hwaccel", type=click.Choice(["cuda"]), help="Decode on the graphics card (NVDEC).")
@click.option("--codec", type=click.Choice(_CODECS), help="Default: libx264 (libsvtav1 for .webm).")
@click.option("--crf", type=float, help="Quality; smaller is better. Default: 18 for libx264.")
@click.option("--preset", help="The encoder's preset. Default: medium; 8 for libsvtav1.")
@click.option("--pix-fmt", help="Default: the input's depth and chroma.")
@click.option("-o", "--option", "options", multiple=True, metavar="KEY=VALUE", help="For the encoder.")
@click.option("--start", metavar="TIME", help="Begin here: 90, 1:30, 1:02:03.5.")
@click.option("--end", metavar="TIME", help="Stop before this.")
@click.option("--no-audio", is_flag=True, help="Leave all sound out.")
@click.option("--salvage", is_flag=True, help="Keep what can be decoded of a damaged input.")
@click.option("--segment", type=float, metavar="SECONDS", help="Work in segments this long. Default: 20.")
@click.option("--no-segments", is_flag=True, help="One straight stream; it cannot be resumed.")
@click.option("--workers", type=click.IntRange(1), help="Processes that share the segments. Default: 1.")
@click.option("--devices", metavar="0,1,…", help="NVIDIA GPUs to use, one process each.")
@click.option("--ray", metavar="ADDRESS", help="Share the segments on a Ray cluster: auto, or HOST:PORT.")
@click.option("--restart", is_flag=True, help="Drop an unfinished run of OUT instead of going on.")
@click.option("--plan", "only_plan", is_flag=True, help="Probe for two seconds, say what the run would be like, stop.")
@click.option("--overwrite", is_flag=True, help="Replace OUT, once the new one is verified.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Only errors.")
@click.version_option(package_name="srvid")
@errors_as_events
def srvid_command(
    source: str,
    target: str,
    scale: str,
    height: int | None,
    width: int | None,
    model: str,
    backend: str,
    precision: Precision,
    tile: int | None,
    threads: int | None,
    self_ensemble: bool,
    device: int | None,
    no_wait: bool,
    hwaccel: str | None,
    codec: str | None,
    crf: float | None,
    preset: str | None,
    pix_fmt: str | None,
    options: tuple[str, ...],
    start: str | None,
    end: str | None,
    no_audio: bool,
    salvage: bool,
    segment: float | None,
    no_segments: bool,
    workers: int | None,
    devices: str | None,
    ray: str | None,
    restart: bool,
    only_plan: bool,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Upscale the video IN into OUT with a neural network.

    Sound, subtitles, chapters, attachments, tags, colours, HDR and every timestamp are kept; what
    OUT cannot hold is said before the work begins. OUT gets its name only when it is complete and
    verified; until then it is OUT.part. '-' is a pipe.

    Anything longer than 20 seconds is made in segments, kept in OUT.srvid: after a crash or Ctrl-C
    the same command goes on where it was.
    """
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints a banner otherwise; 1 is errors
    if as_json and target == "-":
        raise click.UsageError("--json and OUT - both want stdout")
    user_options = dict(_option(text) for text in options)

    from sr_core.media.plan import Request
    from sr_core.timing import seconds_from_text

    request = Request(
        source="pipe:0" if source in ("-", "pipe:", "pipe:0") else source,
        target="pipe:1" if target in ("-", "pipe:", "pipe:1") else target,
        scale=int(scale),
        width=width,
        height=height,
        codec=codec,
        crf=crf,
        preset=preset,
        pix_fmt=pix_fmt,
        options=user_options,
        start=None if start is None else seconds_from_text(start),
        end=None if end is None else seconds_from_text(end),
        keeps_audio=not no_audio,
        overwrite=overwrite,
        salvage=salvage,
        hwaccel=hwaccel if hwaccel is None or device is None else f"{hwaccel}:{device}",
    )
    listener = _Listener(target, as_json=as_json, quiet=quiet or as_json)
    from srvid.engine_choice import NEAREST, EngineChoice

    if device is not None and (devices or ray):
        raise click.UsageError("--device is one GPU for this run; --devices and --ray hand out several: choose one")
    crew = _crew(workers, devices, ray)
    choice = EngineChoice(
        model=model,
        backend=backend,
        precision=precision,
        tile=tile,
        threads=threads or _threads_each(workers, devices),
        self_ensemble=self_ensemble,
        device=None if hwaccel and model == NEAREST else device,  # the decoder's alone
        wait_for_engine=not no_wait,
        progress=listener.line.phase,
        say=lambda text: listener.line.say(f"backend: {text}"),
    )
    no_segments = no_segments or no_wait  # which changes engines on the way: no two runs are alike
    if no_segments and (segment is not None or crew is not None):
        raise click.UsageError("--no-segments and --no-wait leave nothing to --segment, --workers, --devices and --ray")
    segmenting = _segmenting(segment, crew, straight=no_segments, restart=restart)
    if only_plan:
        from srvid_cli.forecast import show_forecast

        count = workers or len((devices or "0").split(","))
        show_forecast(request, choice, segment_seconds=segmenting.seconds, workers=count, as_json=as_json)
        return
    listener.finished(_run(request, choice, listener, segmenting))


def _threads_each(workers: int | None, devices: str | None) -> int | None:
    """Processes share the CPUs, unless each has a GPU."""
    from sr_core.backend import usable_cpus

    return None if devices or not workers else max(1, usable_cpus() // workers)


def _crew(workers: int | None, devices: str | None, ray: str | None) -> Crew | None:
    """Who makes the segments; None: this process."""
    if ray and (workers or devices):
        raise click.UsageError("--ray finds its own workers and GPUs: leave --workers and --devices out")
    if ray:
        from sr_core.segments.cluster import RayCluster

        return RayCluster(address=ray)
    if workers or devices:
        from sr_core.segments.processes import Processes

        gpus = tuple(filter(None, (devices or "").split(",")))
        _check_devices(gpus)
        return Processes(workers=workers or len(gpus), devices=gpus)
    return None


def _check_devices(gpus: tuple[str, ...]) -> None:
    """Refuse numbers that no GPU has: a worker would see no card at all, and go on without."""
    from sr_core.backends.cuda import find_gpus, gpu_at

    numbers = [int(name) for name in gpus if name.isdecimal()]  # CUDA also takes 'GPU-3f2a…'
    found = find_gpus() if numbers else ()
    for number in numbers:
        gpu_at(number, found)


def _segmenting(seconds: float | None, crew: Crew | None, *, straight: bool, restart: bool) -> Segmenting:
    from sr_core.segments.crew import ThisProcess
    from sr_core.segments.run import DEFAULT_SECONDS, Segmenting

    if seconds is not None and not math.isfinite(seconds):
        raise click.BadParameter(f"{seconds} is not a length", param_hint="--segment")
    length = DEFAULT_SECONDS if seconds is None else Fraction(str(seconds))
    return Segmenting(seconds=None if straight else length, restart=restart, crew=crew or ThisProcess())


def _run(request: Request, choice: EngineChoice, listener: _Listener, segmenting: Segmenting) -> Summary:
    from sr_core.segments.run import upscale

    try:
        return upscale(request, choice, listener, segmenting)
    except KeyboardInterrupt:
        listener.stopped()
        raise
    finally:
        listener.line.clear()


def _option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="-o")
    return key, value


class _Listener:
    """Tells people, or programs, how it goes."""

    def __init__(self, target: str, *, as_json: bool, quiet: bool) -> None:
        self.line = ProgressLine(is_quiet=quiet)
        self._target = target
        self._as_json = as_json
        self._frames_before = 0

    def planned(self, source: Source, plan: Plan) -> None:
        facts, encoder = source.facts, plan.encoder
        self.line.say(
            f"{source.name}: {facts.width}x{facts.height} {facts.pix_fmt} → "
            f"{encoder.width}x{encoder.height} {encoder.pix_fmt}, {encoder.codec.encoder}"
        )
        for note in plan.notes:
            self.line.say(f"note: {note}")
        if self._as_json:
            emit(
                "start",
                input=source.path,
                output=self._target,
                codec=encoder.codec.encoder,
                pix_fmt=encoder.pix_fmt,
                width=encoder.width,
                height=encoder.height,
                engine_scale=plan.engine_scale,
                frames_expected=plan.frames_expected,
            )
            for note in plan.notes:
                emit("note", text=note)

    def progressed(self, progress: Progress) -> None:
        self.line.update(
            done=progress.frames,
            total=progress.frames_expected,
            elapsed_seconds=progress.elapsed_seconds,
            position_seconds=progress.position_seconds,
        )
        if self._as_json:
            emit("progress", **vars(progress))

    def indexing(self, share: float) -> None:
        self.line.phase("reading the input", share)

    def resuming(self, *, segments_done: int, segments: int, frames_done: int) -> None:
        self._frames_before = frames_done
        self.line.say(f"going on: {segments_done} of {counted(segments, 'segment', verb='is/are')} there")
        if self._as_json:
            emit("resume", segments_done=segments_done, segments=segments, frames_done=frames_done)

    def noted(self, text: str) -> None:
        self.line.say(f"note: {text}")
        if self._as_json:
            emit("note", text=text)

    def verifying(self, progress: Progress) -> None:
        if self._as_json:
            emit("verify", frames=progress.frames)

    def stopped(self) -> None:
        if self._can_go_on():
            self.line.say("finished segments are kept: the same command goes on")

    def _can_go_on(self) -> bool:
        from sr_core.segments.job import WorkFolder

        return self._target != "-" and WorkFolder.of(Path(self._target)).manifest_path.exists()

    def finished(self, summary: Summary) -> None:
        line, seconds = self.line, summary.elapsed_seconds
        if summary.retimed_frames:
            line.say(f"note: {counted(summary.retimed_frames, 'frame')} had a time at or before the one before")
        if summary.damage:
            line.say(f"salvaged: {summary.damage}")
        rate = (summary.frames - self._frames_before) / seconds if seconds else 0.0
        checked = f", {summary.output_bytes / 1e6:.1f} MB, verified" if summary.output_bytes else ""
        line.say(f"{self._target}: {counted(summary.frames, 'frame')} in {seconds:.1f} s ({rate:.2f} fps){checked}")
        if self._as_json:
            emit(
                "done",
                output=self._target,
                frames=summary.frames,
                elapsed_seconds=round(seconds, 3),
                output_bytes=summary.output_bytes,
                damage=str(summary.damage),
            )


def main() -> None:
    """Entry point."""
    run_command(srvid_command, "srvid")


if __name__ == "__main__":
    main()

"""What `srvid` can be asked for: its options, and the values they become."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Self

import click

from srvid_cli.command import ENGINE, EVERYDAY, MACHINES, OUTPUT, NearChoice, group_options
from srvid_cli.engine_options import EngineOptions, engine_options
from srvid_cli.grain import grain_option
from srvid_cli.pool_options import PoolOptions, pool_options
from srvid_cli.scale import scale_option

if TYPE_CHECKING:
    from sr_core.backend import Progress
    from sr_video.decide.plan import Request
    from sr_video.segments.terms import Segmenting
    from srvid.recipe import EngineRecipe

CODECS = "libx264 libx265 libsvtav1 ffv1 prores h264_nvenc hevc_nvenc av1_nvenc".split()
HARDWARE = "h264_qsv hevc_qsv av1_qsv h264_amf hevc_amf av1_amf h264_videotoolbox hevc_videotoolbox".split()
ELSEWHERE = "h264_vaapi hevc_vaapi av1_vaapi".split()  # known, and refused with what to take instead
_ALSO = {"x264": "libx264", "h264": "libx264", "avc": "libx264", "x265": "libx265", "hevc": "libx265"}
_ALSO |= {"h265": "libx265", "av1": "libsvtav1", "svtav1": "libsvtav1", "prores_ks": "prores"}


_OPTIONS = (
    scale_option,
    group_options(EVERYDAY, "--height", type=int, help="Output height; the width follows. Instead of --scale."),
    group_options(EVERYDAY, "--width", type=int, help="Output width; the height follows."),
    engine_options,
    grain_option,
    group_options(
        EVERYDAY, "--steady", is_flag=True, help="Lower flicker: average what stands still over three frames."
    ),
    group_options(EVERYDAY, "--start", metavar="TIME", help="Begin here: 90, 1:30, 1:02:03.5."),
    group_options(EVERYDAY, "--end", metavar="TIME", help="Stop before this."),
    group_options(
        EVERYDAY, "--plan", "only_plan", is_flag=True, help="Probe for seconds, say what the run would be like, stop."
    ),
    group_options(EVERYDAY, "--overwrite", is_flag=True, help="Replace OUT, once the new one is verified."),
    group_options(EVERYDAY, "--json", "as_json", is_flag=True, help="One JSON event a line on stdout."),
    group_options(EVERYDAY, "-q", "--quiet", is_flag=True, help="Only errors."),
    group_options(
        OUTPUT,
        "--codec",
        type=NearChoice((*CODECS, *HARDWARE, *ELSEWHERE), also=_ALSO),
        metavar="NAME",
        help=f"{', '.join(CODECS)}; and _qsv, _amf, _videotoolbox. Default: libx264 (libsvtav1 for .webm).",
    ),
    group_options(OUTPUT, "--crf", type=float, help="Quality; smaller is better. Default: 18 for libx264."),
    group_options(OUTPUT, "--preset", help="The encoder's preset. Default: medium; 8 for libsvtav1."),
    group_options(OUTPUT, "--pix-fmt", help="Default: the input's depth and chroma."),
    group_options(OUTPUT, "-o", "--option", "options", multiple=True, metavar="KEY=VALUE", help="For the encoder."),
    group_options(OUTPUT, "--no-audio", is_flag=True, help="Leave all sound out."),
    group_options(OUTPUT, "--salvage", is_flag=True, help="Keep what can be decoded of a damaged input."),
    group_options(
        ENGINE, "--no-wait", is_flag=True, help="Start while a TensorRT engine is being built; without segments."
    ),
    group_options(ENGINE, "--hwaccel", type=click.Choice(["cuda"]), help="Decode on the graphics card (NVDEC)."),
    group_options(
        MACHINES,
        "--segment",
        type=float,
        metavar="SECONDS",
        help="Length of segments. Default: 20, less if slow.",
    ),
    group_options(MACHINES, "--no-segments", is_flag=True, help="One straight stream; it cannot be resumed."),
    pool_options,
    group_options(MACHINES, "--restart", is_flag=True, help="Drop an unfinished run of OUT instead of going on."),
)


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """What the user said, as click read it; the field names are click's."""

    engine: EngineOptions
    pool: PoolOptions
    scale: Fraction | None
    height: int | None
    width: int | None
    steady: bool
    start: str | None
    end: str | None
    only_plan: bool
    overwrite: bool
    as_json: bool
    quiet: bool
    codec: str | None
    crf: float | None
    preset: str | None
    pix_fmt: str | None
    options: tuple[str, ...]
    no_audio: bool
    salvage: bool
    no_wait: bool
    hwaccel: str | None
    segment: float | None
    no_segments: bool
    restart: bool
    grain: float | Literal["keep"]

    @classmethod
    def of(cls, given: dict[str, Any]) -> Self:
        """The values of one command line; refuses what excludes each other.

        Raises:
            click.UsageError: two options that cannot both be meant.
        """
        given = dict(given)
        options = cls(engine=EngineOptions.taken_from(given), pool=PoolOptions.taken_from(given), **given)
        if options.engine.device is not None and (options.pool.devices or options.pool.ray):
            raise click.UsageError("--device is one GPU for this run; --devices and --ray hand out several: choose one")
        if options.is_straight and (options.segment is not None or options.pool.is_given):
            raise click.UsageError(
                "--no-segments and --no-wait leave nothing to --segment, --workers, --devices and --ray"
            )
        return options

    @property
    def is_straight(self) -> bool:
        """One stream; --no-wait changes engines on the way, so no two such runs are alike."""
        return self.no_segments or self.no_wait

    def request(self, source: str, target: str) -> Request:
        """What is asked of one file."""
        from sr_video.decide.plan import Request
        from sr_video.timing import seconds_from_text

        hwaccel, device = self.hwaccel, self.engine.device
        scale, engine_scales = self.engine.scales(self.scale, is_remote=bool(self.pool.ray))
        return Request(
            source="pipe:0" if source in ("-", "pipe:", "pipe:0") else source,
            target="pipe:1" if target in ("-", "pipe:", "pipe:1") else target,
            scale=scale,
            engine_scales=engine_scales,
            model=self.engine.model,
            width=self.width,
            height=self.height,
            codec=self.codec,
            crf=self.crf,
            preset=self.preset,
            pix_fmt=self.pix_fmt,
            options=dict(_key_and_value(text) for text in self.options),
            start=None if self.start is None else seconds_from_text(self.start),
            end=None if self.end is None else seconds_from_text(self.end),
            keeps_audio=not self.no_audio,
            overwrite=self.overwrite,
            salvage=self.salvage,
            hwaccel=f"{hwaccel}:{device}" if hwaccel and isinstance(device, int) else hwaccel,
            device=device if isinstance(device, int) else None,
            steady=self.steady,
        )

    def recipe(self, *, progress: Progress, say: Callable[[str], None]) -> EngineRecipe:
        """Which engine, told where its work and its backend are shown."""
        from srvid.recipe import NEAREST, EngineRecipe, check_steady

        check_steady(self.steady, self.grain)
        engine = {field.name: getattr(self.engine, field.name) for field in fields(self.engine)}
        if self.hwaccel and self.engine.model == NEAREST:
            engine["device"] = None  # the decoder's alone
        engine["threads"] = self.engine.threads or self.pool.threads_each()
        return EngineRecipe(**engine, grain=self.grain, wait_for_engine=not self.no_wait, progress=progress, say=say)

    def segmenting(self) -> Segmenting:
        """How the work is divided, and among whom."""
        from sr_video.segments.terms import DEFAULT_SECONDS, Segmenting

        if self.segment is not None and not math.isfinite(self.segment):
            raise click.BadParameter(f"{self.segment} is not a length", param_hint="--segment")
        length = DEFAULT_SECONDS if self.segment is None else Fraction(str(self.segment))
        if self.pool.ray:
            from sr_work.connect import demand_reachable

            demand_reachable(self.pool.ray)  # a short video would never ask it
        return Segmenting(
            seconds=None if self.is_straight else length,
            adapts=self.segment is None,
            restart=self.restart,
            pool=self.pool.pool(),
        )


def video_options[Command: Callable[..., object]](command: Command) -> Command:
    """Decorate `command` with every option of `VideoOptions`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _key_and_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="-o")
    return key, value

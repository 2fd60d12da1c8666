"""`srvid IN OUT`: upscale one video, keep everything else it carries."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from srvid_cli.advice import fitting_model
from srvid_cli.command import LongCommand
from srvid_cli.errors import run_command
from srvid_cli.events import errors_as_events
from srvid_cli.listener import VideoListener
from srvid_cli.version import version_option
from srvid_cli.video_options import VideoOptions, video_options

if TYPE_CHECKING:
    from sr_video.decide.plan import Request
    from sr_video.segments.terms import Segmenting
    from sr_video.transcode import Summary
    from srvid.recipe import EngineRecipe

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


@click.command("srvid", cls=LongCommand, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES)
@click.argument("source", metavar="IN", type=click.Path())
@click.argument("target", metavar="OUT", type=click.Path())
@video_options
@version_option
@errors_as_events
def srvid_command(source: str, target: str, **given: Any) -> None:
    """Upscale the video IN into OUT with a neural network.

    Sound, subtitles, chapters, attachments, tags, colours, HDR and every timestamp are kept; what
    OUT cannot hold is said before the work begins. OUT gets its name only when it is complete and
    verified; until then it is OUT.part. '-' is a pipe.

    Without --model, clear enlarges; restore does where the bitstream says that IN was compressed
    hard, which is said first. --model clear means clear.

    Anything longer than 20 seconds is made in segments, kept in OUT.srvid: after a crash or Ctrl-C
    the same command goes on where it was.
    """
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints a banner otherwise; 1 is errors
    model_note = ""
    if click.get_current_context().get_parameter_source("model") is ParameterSource.DEFAULT:
        given["model"], model_note = fitting_model(source)
    options = VideoOptions.of(given)
    if options.as_json and target == "-":
        raise click.UsageError("--json and OUT - both want stdout")
    request = options.request(source, target)
    asked = click.get_current_context().get_parameter_source("scale")
    is_default_scale = asked is ParameterSource.DEFAULT and request.width is None and request.height is None
    listener = VideoListener(
        target,
        model_note=model_note,
        codec=options.codec,
        is_default_scale=is_default_scale,
        as_json=options.as_json,
        quiet=options.quiet or options.as_json,
    )
    side = "width" if request.width is not None else "height" if request.height is not None else ""
    if side and asked is ParameterSource.COMMANDLINE:
        listener.noted(f"--{side} decides the size: --scale is not used")
    recipe = options.recipe(progress=listener.line.phase, say=listener.engine_chosen)
    segmenting = options.segmenting()
    if options.only_plan:
        from srvid_cli.forecast import show_forecast

        show_forecast(request, recipe, segmenting, options, listener.line, model_note=model_note)
        return
    listener.finished(_run(request, recipe, listener, segmenting))


def _run(request: Request, recipe: EngineRecipe, listener: VideoListener, segmenting: Segmenting) -> Summary:
    from sr_video.segments.run import upscale

    try:
        return upscale(request, recipe, listener, segmenting)
    except KeyboardInterrupt:
        listener.stopped()
        raise
    finally:
        listener.line.clear()


def main() -> None:
    """Entry point."""
    run_command(srvid_command, "srvid")


if __name__ == "__main__":
    main()

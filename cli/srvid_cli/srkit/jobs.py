"""`srkit jobs`: unfinished runs of srvid, and how far they are."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sr_core.errors import BadInput, SrError
from sr_core.wording import count_of
from sr_video.timing import text_from_seconds
from srvid_cli.progress import percent
from srvid_cli.spelling import tell_in_line

if TYPE_CHECKING:
    from sr_video.segments.job import JobState

_POLL_SECONDS = 2.0


@click.group("jobs", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the unfinished runs of srvid, and how much of each is done.

    A run that was stopped goes on when its srvid command is given again.
    """
    if context.invoked_subcommand is not None:
        return
    from sr_video.segments.job import unfinished_jobs

    jobs = unfinished_jobs()
    if not jobs:
        click.echo("no unfinished jobs")
    for job in jobs:
        try:
            click.echo(_line(job.state()))
        except SrError as error:
            click.echo(f"{job.path}: {tell_in_line(error)}")


@command.command("show")
@click.argument("target", metavar="OUT")
@click.option("--follow", is_flag=True, help="Keep watching until the run ends.")
def show(target: str, follow: bool) -> None:
    """Say how far OUT is, up to which second it can be watched, and where."""
    from sr_video.segments.job import WorkFolder

    folder = WorkFolder.of(Path(target))
    seen = -1
    while True:
        if not folder.manifest_path.exists():
            if seen >= 0:
                click.echo(f"{target}: {'finished' if Path(target).exists() else 'gone'}")
                return
            raise BadInput(f"no unfinished job of {target}", hint="srkit jobs lists them")
        state = folder.state()
        if state.segments_done != seen:
            seen = state.segments_done
            click.echo(_line(state))
            click.echo(_watchable(state))
        if not follow:
            return
        time.sleep(_POLL_SECONDS)


@command.command("pause")
@click.argument("target", metavar="OUT")
def pause(target: str) -> None:
    """Let the run of OUT end after its segment; the same srvid command goes on later."""
    from sr_video.segments.job import WorkFolder

    folder = WorkFolder.of(Path(target))
    if not folder.manifest_path.exists() or not folder.state().is_running:
        raise BadInput(f"no run of {target} is working", hint="srkit jobs lists them")
    folder.ask_pause()
    click.echo(f"{target}: it ends after its segment; the same command goes on")


def _line(state: JobState) -> str:
    share = state.frames_done / max(1, state.manifest.frames)
    working = "running" if state.is_running else "stopped"
    return (
        f"{state.manifest.target}  {working}  {percent(share).strip()}  {state.segments_done} of "
        f"{count_of(len(state.manifest.segments), 'segment')}, "
        f"{state.frames_done} of {count_of(state.manifest.frames, 'frame')}"
    )


def _watchable(state: JobState) -> str:
    if not state.playable:
        return "  nothing to watch yet"
    last = text_from_seconds(state.playable_seconds)
    return (
        f"  to watch, up to {last}: {state.playable[0].parent} ({state.playable[0].name} … {state.playable[-1].name})"
    )

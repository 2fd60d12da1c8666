"""`srkit jobs`: unfinished runs of srvid, and how far they are."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sr_core.errors import BadInput, SrError
from sr_core.timing import text_from_seconds
from sr_core.wording import counted

if TYPE_CHECKING:
    from sr_core.segments.job import JobState

_POLL_SECONDS = 2.0


@click.group("jobs", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the unfinished runs of srvid, and how much of each is done.

    A run that was stopped goes on when its srvid command is given again.
    """
    if context.invoked_subcommand is not None:
        return
    from sr_core.segments.job import unfinished_jobs

    jobs = unfinished_jobs()
    if not jobs:
        click.echo("no unfinished jobs")
    for job in jobs:
        try:
            click.echo(_line(job.state()))
        except SrError as error:
            click.echo(f"{job.path}: {error}")


@command.command("show")
@click.argument("target", metavar="OUT")
@click.option("--follow", is_flag=True, help="Keep watching until the run ends.")
def show(target: str, follow: bool) -> None:
    """Say how far OUT is, up to which second it can be watched, and where."""
    from sr_core.segments.job import WorkFolder

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


def _line(state: JobState) -> str:
    share = state.frames_done / max(1, state.manifest.frames)
    working = "running" if state.is_running else "stopped"
    return (
        f"{state.manifest.target}  {working}  {share:.0%}  {state.segments_done} of "
        f"{counted(len(state.manifest.segments), 'segment')}, "
        f"{state.frames_done} of {counted(state.manifest.frames, 'frame')}"
    )


def _watchable(state: JobState) -> str:
    if not state.playable:
        return "  nothing to watch yet"
    last = text_from_seconds(state.playable_seconds)
    return (
        f"  to watch, up to {last}: {state.playable[0].parent} ({state.playable[0].name} … {state.playable[-1].name})"
    )

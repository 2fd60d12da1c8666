"""Telling people (or a program, with --json) how a batch goes."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sr_core.errors import SrError
from sr_core.wording import count_of
from sr_video.timing import text_from_seconds
from srvid_cli.events import emit
from srvid_cli.progress import ProgressLine, Status
from srvid_cli.spelling import tell, tell_error

if TYPE_CHECKING:
    from srvid_cli.batch.plan import BatchPlan, Job
    from srvid_cli.batch.run import Result

_JSON_SECONDS = 1.0  # between progress events
_MOST_BEFORE_THE_END = 0.99


def status_of(*, files: int, of_files: int, done: int, total: int, seconds: float) -> Status:
    """Share, speed and time left by input pixels: files differ too much in size to count them.

    A file whose pixels are all through is not written yet, so the share is 1 with the last file, and not before.
    """
    speed = done / seconds if seconds > 0 else 0.0
    rate = (f"{speed / 1e6:.2f} MP/s",) if speed else ()
    is_through = done >= total and files < of_files
    share = 1.0 if files >= of_files else min(_MOST_BEFORE_THE_END, done / total if total else 0.0)
    return Status(
        share=share,
        seconds_left=(total - done) / speed if speed and done < total else None,
        details=(f"{files}/{count_of(of_files, 'file')}", *(("writing",) if is_through else rate)),
    )


class Reporter:
    """The batch's listener."""

    def __init__(self, plan: BatchPlan, *, as_json: bool, is_quiet: bool) -> None:
        self._lock = threading.Lock()
        self.line = ProgressLine(is_quiet=is_quiet or as_json)
        self._as_json = as_json
        self._plan = plan
        self._total = plan.pixels
        self._files = self._done = self._skipped = 0
        self._started = time.monotonic()
        self._emitted = 0.0

    def pixels(self, done: int) -> None:
        """`done` more input pixels went through the engine."""
        with self._lock:
            self._done += done
            now = time.monotonic()
            if self._as_json and now - self._emitted >= _JSON_SECONDS:
                self._emitted = now
                emit(
                    "progress", pixels=self._done, pixels_expected=self._total, files=self._files,
                    files_expected=len(self._plan.jobs), elapsed_seconds=round(now - self._started, 3),
                )  # fmt: skip
            status = status_of(
                files=self._files, of_files=len(self._plan.jobs), done=self._done, total=self._total,
                seconds=now - self._started,
            )  # fmt: skip
            self.line.show(status)

    def finished(self, result: Result) -> None:
        """One file ended."""
        with self._lock:
            self._files += 1
            if result.state != "done":
                self._total -= result.job.plan.source.pixels  # skipped work must not look like speed
            if self._as_json:
                facts = {"source": str(result.source), "target": str(result.target)}
                if result.error is not None:
                    emit("failed", **facts, message=result.error.message, hint=result.error.unspelled_hint)
                else:
                    emit(result.state, **facts, notes=list(result.job.plan.notes))
            elif result.error is not None:
                if not _is_single(self._plan):
                    self.line.say(f"failed: {result.source}: {result.error.message}")
            elif result.state == "done":
                for note in result.job.plan.notes:
                    self.line.say(f"note: {result.source.name}: {note}")

    def refused(self, source: Path, error: SrError) -> None:
        """One input was refused before the work."""
        if self._as_json:
            emit("failed", source=str(source), target="", message=error.message, hint=error.unspelled_hint)
        elif not _is_single(self._plan):
            self.line.say(f"failed: {source}: {error.message}")


def show_plan(plan: BatchPlan, *, as_json: bool) -> None:
    """Print what would happen (`--dry-run`)."""
    for job in plan.jobs:
        if as_json:
            emit("plan", **_facts(job))
            continue
        header, output = job.plan.source, job.plan.output
        frames = f", {header.frames} frames" if header.frames > 1 else ""
        click.echo(
            f"{job.source} → {job.target}  {header.size[0]}x{header.size[1]} → {output.width}x{output.height}"
            f"  {output.format}, {output.dtype}{frames}{', in bands' if job.plan.streams else ''}"
        )
        for note in job.plan.notes:
            click.echo(f"  note: {tell(note)}")
    for refused in plan.refused:
        if as_json:
            facts = {"source": str(refused.source), "target": ""}
            emit("failed", **facts, message=refused.error.message, hint=refused.error.unspelled_hint)
        else:
            click.echo(f"{refused.source}: cannot be done: {tell(refused.error.message)}")
    summary = {
        "files": len(plan.jobs),
        "failed": len(plan.refused),
        "megapixels_in": round(plan.pixels / 1e6, 2),
        "megapixels_out": round(sum(_pixels_out(job) for job in plan.jobs) / 1e6, 2),
        "decoded_output_megabytes": round(sum(_bytes_out(job) for job in plan.jobs) / 1e6, 1),
    }
    if as_json:
        emit("summary", **summary)
    else:
        click.echo(
            f"{count_of(len(plan.jobs), 'file')}, {summary['megapixels_in']} megapixels in, "
            f"{summary['megapixels_out']} out ({summary['decoded_output_megabytes']} MB before compression)"
        )


def show_summary(results: list[Result], plan: BatchPlan, *, as_json: bool, is_quiet: bool, seconds: float) -> None:
    """Say how it went; the failures with their reasons come last, where people look."""
    count = {state: sum(result.state == state for result in results) for state in ("done", "skipped")}
    failures = [(r.source, r.error) for r in results if r.error is not None]
    failures += [(refused.source, refused.error) for refused in plan.refused]
    if as_json:
        emit("summary", **count, failed=len(failures), ignored=plan.ignored, elapsed_seconds=round(seconds, 3))
        return
    if failures and _is_single(plan):
        source, error = failures[0]
        message, hint = tell_error(error)
        click.echo(f"srbatch: {source}: {message}" + (f"\nhint: {hint}" if hint else ""), err=True)
        return
    if not is_quiet:
        ignored = f", {count_of(plan.ignored, 'other file')} ignored" if plan.ignored else ""
        click.echo(
            f"{count['done']} done, {count['skipped']} up to date, {len(failures)} failed{ignored}, "
            f"{text_from_seconds(seconds)}",
            err=True,
        )
    if failures:
        click.echo(
            f"srbatch: {len(failures)} of {count_of(len(plan.jobs) + len(plan.refused), 'image')} failed", err=True
        )
    for source, error in failures:
        message, hint = tell_error(error)
        click.echo(f"  {source}: {message}", err=True)
        if hint:
            click.echo(f"    hint: {hint}", err=True)


def _is_single(plan: BatchPlan) -> bool:
    """One image: its failure is the whole story, and told once."""
    return len(plan.jobs) + len(plan.refused) == 1


def _facts(job: Job) -> dict[str, object]:
    header, output = job.plan.source, job.plan.output
    return {
        "source": str(job.source), "target": str(job.target), "width": header.size[0],
        "height": header.size[1], "output_width": output.width, "output_height": output.height,
        "format": output.format, "dtype": output.dtype, "frames": header.frames,
        "in_strips": job.plan.streams, "notes": list(job.plan.notes),
    }  # fmt: skip


def _pixels_out(job: Job) -> int:
    return job.plan.output.width * job.plan.output.height * job.plan.output.frames


def _bytes_out(job: Job) -> int:
    return job.plan.output.frame_bytes * job.plan.output.frames

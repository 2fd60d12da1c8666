"""Jobs: their order, their states, and what is kept of them on the disk.

    waiting ─► running ─► done
       ▲          ├─► pausing ─► paused ─► waiting (resume)
       │          ├─► failed            ─► waiting (again)
       └──────────┴─► cancelled         ─► waiting (again)

One runs at a time: an engine uses the whole machine. The list is written with every change of
state; a server that finds a job "running" in it was killed, and makes it wait: segments go on.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from sr_core.errors import BadInput, SrError
from sr_core.storage import find_in_cache, write_atomically
from sr_core.wording import as_argument
from sr_ui.work import LOCKED, RETRY_SECONDS, TRIES, Child, arguments_of, spoken
from sr_video.segments.job import WorkFolder

State = Literal["waiting", "running", "pausing", "paused", "done", "failed", "cancelled"]
ACTIVE: tuple[State, ...] = ("running", "pausing")
OVER: tuple[State, ...] = ("done", "failed", "cancelled")
_LAYOUT = 1
_OVERWRITE = "--overwrite"  # in the hint of a command that will not write over its output
_LOG_LINES = 400
_LEAST_SEGMENT, _SEGMENTS, _LONG_SECONDS = 2.0, 6, 120.0


@dataclass(kw_only=True)
class Job:
    """One line of the queue.

    Attributes:
        kind: 'video' (one source) or 'images' (files and folders into a folder).
        options: as the command's long options, without dashes.
        done, total: frames of a video, pixels of images; total 0 where nobody knows.
        results: (source, target) of each finished image, the first few hundred.
        began: its command has accepted the work, so the output was not there then.
        can_replace: it failed because its output was there already.
        events: (number, event) of what its command said, the last few hundred; of progress the latest alone.
    """

    id: str
    kind: Literal["video", "images"]
    sources: list[str]
    target: str
    options: dict[str, Any]
    state: State = "waiting"
    done: int = 0
    total: int = 0
    elapsed_seconds: float = 0.0
    eta_seconds: float | None = None
    output_bytes: int = 0
    notes: list[str] = field(default_factory=list)
    error: str = ""
    hint: str = ""
    log: list[str] = field(default_factory=list)
    results: list[list[str]] = field(default_factory=list)
    tries: int = 0
    done_before: int = 0
    began: bool = False
    can_replace: bool = False
    events: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    def hear(self, event: dict[str, Any]) -> None:
        """Keep an event of its command."""
        number, before = self.events[-1] if self.events else (0, {"event": ""})
        kept = self.events[:-1] if before["event"] == event["event"] == "progress" else self.events
        self.events = [*kept[-_LOG_LINES:], (number + 1, event)]


_TOLD = tuple(entry.name for entry in fields(Job) if entry.name not in ("log", "events"))


def as_json(job: Job) -> dict[str, Any]:
    """What a page is told: all but the log and the events, which have routes of their own."""
    found = {name: getattr(job, name) for name in _TOLD}
    return {name: list(value) if isinstance(value, list) else value for name, value in found.items()}


class Queue:
    """The list, and the one that works on it. Safe from any thread.

    Args:
        path: where the list is kept.
        changed: called, from any thread, after every change.
    """

    def __init__(self, path: Path, changed: Callable[[], None] = lambda: None) -> None:
        self._path, self._changed = path, changed
        self._lock = threading.RLock()
        self._jobs: list[Job] = _read(path)
        self._child: Child | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="queue", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the running job, as Ctrl-C would; the next server goes on with it."""
        with self._lock:
            self._stopping = True
            child = self._child
        self._wake.set()
        if child is not None:
            child.ask_to_stop()
            child.wait(30)
        if self._thread.is_alive():
            self._thread.join(5)

    # reading ----------------------------------------------------------------------------------

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs in order, as JSON has them, without their logs."""
        with self._lock:
            return [as_json(job) for job in self._jobs]

    def find(self, job_id: str) -> Job | None:
        """The job itself: read it, change it through this queue."""
        with self._lock:
            return next((job for job in self._jobs if job.id == job_id), None)

    @property
    def is_busy(self) -> bool:
        """Whether something runs or waits."""
        with self._lock:
            return any(job.state in (*ACTIVE, "waiting") for job in self._jobs)

    # changing ---------------------------------------------------------------------------------

    def add(self, kind: Literal["video", "images"], sources: list[str], target: str, options: dict[str, Any]) -> Job:
        """Put a job at the end.

        Raises:
            BadInput: another job that is not done writes the same output.
        """
        job = Job(id=secrets.token_hex(6), kind=kind, sources=sources, target=target, options=options)
        with self._lock:
            for other in self._jobs:
                if kind == "video" and other.target == target and other.state not in ("done", "cancelled"):
                    raise BadInput(f"a job of the queue writes {target}", hint="give this one another name")
            self._jobs.append(job)
        self._note_change(saves=True)
        return job

    def pause(self, job: Job) -> None:
        """End after the segment, or, while it waits, do not begin."""
        with self._lock:
            if job.state == "waiting":
                job.state = "paused"
            elif job.state == "running":
                job.state = "pausing"
                folder = WorkFolder.of(Path(job.target))
                if job.kind == "video" and folder.manifest_path.exists():
                    folder.ask_pause()
                elif self._child is not None:
                    self._child.ask_to_stop()  # no segments: it begins anew, images go on at the next file
            else:
                raise BadInput(f"the job is {job.state}", hint="only a job that waits or runs can pause")
        self._note_change(saves=True)

    def replace(self, job: Job) -> None:
        """Let it wait for its turn again, and write over the output that was in its way."""
        with self._lock:
            if not job.can_replace or job.state not in ("failed", "cancelled"):
                raise BadInput("nothing is in the way of that job", hint="let it go on")
            job.options["overwrite"] = True
        self.resume(job)

    def resume(self, job: Job) -> None:
        """Let it wait for its turn again: after a pause, a failure, a cancellation."""
        with self._lock:
            if job.state not in ("paused", "failed", "cancelled"):
                raise BadInput(f"the job is {job.state}", hint="only a job that has ended early can go on")
            job.state, job.error, job.hint, job.tries, job.can_replace = "waiting", "", "", 0, False
        self._note_change(saves=True)

    def cancel(self, job: Job) -> None:
        """Stop it now; finished segments stay until it is removed."""
        with self._lock:
            if job.state in ACTIVE:
                job.state = "cancelled"
                if self._child is not None:
                    self._child.ask_to_stop()
            elif job.state in ("waiting", "paused", "failed"):
                job.state = "cancelled"
            else:
                raise BadInput(f"the job is {job.state}", hint="it can be removed from the list")
        self._note_change(saves=True)

    def move(self, job: Job, place: int) -> None:
        """Put it at `place` in the list, 0 being the first."""
        with self._lock:
            self._jobs.remove(job)
            self._jobs.insert(max(0, place), job)
        self._note_change(saves=True)

    def remove(self, job: Job) -> None:
        """Take it off the list, and drop the segments it has made if it did not finish.

        Raises:
            BadInput: it is running.
        """
        with self._lock:
            if job.state in ACTIVE:
                raise BadInput("the job is running", hint="cancel it first")
            self._jobs.remove(job)
            was_done, job.state = job.state == "done", job.state if job.state in OVER else "cancelled"
        if job.kind == "video" and not was_done:
            folder = WorkFolder.of(Path(job.target))
            if folder.manifest_path.exists():
                with folder.locked(target=Path(job.target)):
                    folder.remove()
        self._note_change(saves=True)

    # working ----------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stopping:
            job = self._next()
            if job is None:
                self._wake.wait(1.0)
                self._wake.clear()
                continue
            self._run(job)

    def _next(self) -> Job | None:
        with self._lock:
            return next((job for job in self._jobs if job.state == "waiting"), None)

    def _run(self, job: Job) -> None:
        arguments = arguments_of(job.kind, job.sources, job.target, job.options)
        ended = threading.Event()
        codes: list[int] = []
        had_begun = job.began

        def end(code: int) -> None:
            codes.append(code)
            ended.set()

        with self._lock:
            if self._stopping or job.state != "waiting":
                return
            job.state, job.error, job.hint, job.eta_seconds = "running", "", "", None
            job.log = [*job.log[-_LOG_LINES:], f"$ {spoken(arguments)}"]
            try:
                self._child = Child(
                    arguments, heard=lambda event: self._heard(job, event), said=lambda line: _log(job, line), ended=end
                )
            except SrError as error:
                job.state, (job.error, job.hint) = "failed", error.as_told(as_argument)
        self._note_change(saves=True)
        if self._child is not None:
            ended.wait()
            self._end(job, 0 if codes[0] and had_begun and _was_made(job) else codes[0])

    def _end(self, job: Job, code: int) -> None:
        with self._lock:
            self._child = None
            job.eta_seconds = None
            is_locked = LOCKED in job.error and job.tries < TRIES
            if self._stopping and code != 0:
                job.state = "waiting" if job.state != "cancelled" else "cancelled"
            elif code == 0:
                job.state, job.error, job.hint, job.done = "done", "", "", job.total or job.done
            elif job.state == "pausing":
                job.state, job.error, job.hint = "paused", "", ""
            elif job.state == "running" and is_locked:
                job.state, job.tries = "waiting", job.tries + 1
            elif job.state != "cancelled":
                job.state = "failed"
                job.error = job.error or f"it ended with code {code}: see its log"
        self._note_change(saves=True)
        if is_locked:
            time.sleep(RETRY_SECONDS)

    def _heard(self, job: Job, event: dict[str, Any]) -> None:
        with self._lock:
            _take(job, event)
            if not (
                event["event"] == "error" and LOCKED in event["message"] and job.tries < TRIES
            ):  # it is tried again
                job.hear(event)
        self._note_change(saves=event["event"] == "start")

    def _note_change(self, *, saves: bool) -> None:
        if saves:
            with self._lock:
                content = {"layout": _LAYOUT, "jobs": [asdict(job) for job in self._jobs]}
                write_atomically(self._path, json.dumps(content, indent=1).encode(), is_private=True)
            self._wake.set()
        self._changed()


def segment_seconds(length: float | None) -> float | None:
    """Shorter segments for short videos, so that a pause comes soon; None: the command's own."""
    if length is None or length >= _LONG_SECONDS:
        return None
    return max(_LEAST_SEGMENT, round(length / _SEGMENTS, 1))


def _take(job: Job, event: dict[str, Any]) -> None:
    """What one event of the command says of the job."""
    name = event["event"]
    if name == "start":
        job.total, job.notes, job.done_before = event["frames_expected"] or 0, [], 0
        job.began = True
    elif name == "note":
        job.notes.append(event["text"])
    elif name == "resume":
        job.done = job.done_before = event["frames_done"]
    elif name == "progress":
        key = "frames" if "frames" in event else "pixels"
        job.done, job.total = event[key], event[f"{key}_expected"] or 0
        job.elapsed_seconds = event["elapsed_seconds"]
        made = job.done - job.done_before
        left = job.total - job.done
        job.eta_seconds = left * job.elapsed_seconds / made if made > 0 and left >= 0 else None
    elif name == "done" and "output_bytes" in event:  # of a video; srbatch says it of each image
        job.output_bytes, job.elapsed_seconds = event["output_bytes"], event["elapsed_seconds"]
    elif name in ("error", "failed"):
        job.error, job.hint = event["message"], event["hint"]
        job.can_replace = _OVERWRITE in job.hint
        _log(job, f"{event.get('source') or name}: {event['message']}")
    if name in ("done", "skipped") and "source" in event:
        job.results = [*job.results, [event["source"], event["target"]]][:_LOG_LINES]
        job.notes += [f"{Path(event['source']).name}: {note}" for note in event.get("notes", ())]


def _was_made(job: Job) -> bool:
    """Whether the command finished as its server was killed, and a second one has found the output there.

    The command gives an output its name when it is verified, and drops its work folder after that.
    """
    target = Path(job.target)
    if job.kind != "video" or not target.is_file() or WorkFolder.of(target).manifest_path.exists():
        return False
    job.output_bytes = target.stat().st_size
    return True


def _log(job: Job, line: str) -> None:
    job.log = [*job.log[-_LOG_LINES:], line]


def _read(path: Path) -> list[Job]:
    """What an earlier server left; a file that is none, or another version's, is an empty list."""
    known = {entry.name for entry in fields(Job)}
    try:
        content = json.loads(find_in_cache(path) or b"{}")
        kept = content["jobs"] if content.get("layout") == _LAYOUT else []
        jobs = [Job(**{key: value for key, value in entry.items() if key in known}) for entry in kept]
        for job in jobs:
            job.events = [(int(number), dict(event)) for number, event in job.events]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
    for job in jobs:
        if job.state == "running":
            job.state = "waiting"
        elif job.state == "pausing":
            job.state = "paused"
    return jobs

"""Doing a batch: workers that each take an image from file to file.

While one worker's image is in the engine (which waits inside the runtime), another decodes or
encodes; that is all the overlap there is to get, and it needs no queues. A memory budget decides
how many images are open at once.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, Self

from sr_core.errors import Cancelled, OutputExists, SrError, StorageError
from sr_core.image.bands import BandUpscaler
from sr_core.image.enlarge import EnlargeOptions, enlarge
from sr_core.wording import counted
from srvid_cli.batch.manifest import Manifest, hash_of_file
from srvid_cli.batch.memory import MemoryBudget
from srvid_cli.batch.plan import Job, failure_of

_POLL_SECONDS = 0.2  # how often Ctrl-C is looked for


State = Literal["done", "skipped", "failed"]


class Listener(Protocol):
    """Told what happens, from any thread."""

    def pixels(self, done: int) -> None: ...

    def finished(self, result: Result) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one file ended; `error` says why it failed."""

    source: Path
    target: Path
    state: State
    job: Job
    error: SrError | None = None

    @classmethod
    def of(cls, job: Job, state: State, error: SrError | None = None) -> Self:
        """How `job` ended."""
        return cls(source=job.source, target=job.target, state=state, job=job, error=error)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a batch is done.

    Attributes:
        enlarge: what happens to each file.
        settings: hash of all that decides an output.
        workers: images under way at once.
        memory_bytes: budget of all of them together.
        overwrite: replace outputs that are there and not ours.
    """

    enlarge: EnlargeOptions
    settings: str
    workers: int
    memory_bytes: int
    overwrite: bool = False


@dataclass
class _Shared:
    """What the workers share."""

    options: RunOptions
    open_upscaler: Callable[[], BandUpscaler]
    manifest: Manifest | None
    listener: Listener
    budget: MemoryBudget
    stop: threading.Event = field(default_factory=threading.Event)
    opening: threading.Lock = field(default_factory=threading.Lock)
    upscaler: BandUpscaler | None = None
    opening_error: Exception | None = None

    def engine(self) -> BandUpscaler:
        """The upscaler, opened when the first image needs it: a batch that is done opens none."""
        with self.opening:
            if self.opening_error is not None:
                raise Cancelled("the engine did not open")
            if self.upscaler is None:
                try:
                    self.upscaler = self.open_upscaler()
                except Exception as error:  # raised again by run_batch: no image can be done
                    self.opening_error = error
                    self.stop.set()
                    raise Cancelled("the engine did not open") from error
            return self.upscaler


def run_batch(
    jobs: tuple[Job, ...],
    open_upscaler: Callable[[], BandUpscaler],
    options: RunOptions,
    *,
    manifest: Manifest | None,
    listener: Listener,
) -> list[Result]:
    """Do all `jobs`; one that fails does not stop the others.

    Args:
        open_upscaler: called at most once; the caller closes what it returned.

    Raises:
        SrError: the engine cannot be opened, or the disk is full: nothing more could succeed.
        KeyboardInterrupt: after every worker has stopped and removed its temporary file.
    """
    shared = _Shared(options, open_upscaler, manifest, listener, MemoryBudget(options.memory_bytes))
    results: list[Result] = []
    full_disk: SrError | None = None
    with ThreadPoolExecutor(options.workers, thread_name_prefix="srbatch") as pool:
        waiting: set[Future[Result]] = {pool.submit(_one, job, shared) for job in jobs}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    if future.cancelled() or isinstance(future.exception(), Cancelled):
                        continue
                    result = future.result()
                    results.append(result)
                    listener.finished(result)
                    if is_full_disk(result.error):
                        full_disk = result.error
                        shared.stop.set()
        finally:
            shared.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    if shared.opening_error is not None:
        raise shared.opening_error
    if full_disk is not None and len(results) < len(jobs):
        raise stopped(full_disk, images_left=len(jobs) - len(results))
    return results


def stopped(full_disk: SrError, *, images_left: int) -> StorageError:
    """Nothing more can be written."""
    return StorageError(
        f"stopped with {counted(images_left, 'image')} left: {full_disk}",
        hint=full_disk.hint + "; run the same command again to finish the rest",
    )


def admitted(job: Job, options: RunOptions, manifest: Manifest | None) -> str | None:
    """The hash of the input where `job` is to be done ('' without a manifest); None: it is done already.

    Raises:
        OutputExists: something else has the output's name.
        OSError: the input cannot be read.
    """
    input_hash = hash_of_file(job.source) if manifest is not None else ""
    if manifest is not None and manifest.is_done(job.target, input_hash=input_hash, settings=options.settings):
        return None
    if (job.target.exists() or job.target.is_symlink()) and not options.overwrite:
        raise OutputExists(
            f"{job.target} is there already, and not from this input with these settings",
            hint="use --overwrite to replace it",
        )
    return input_hash


def noting(job: Job, options: RunOptions, manifest: Manifest | None, input_hash: str) -> Callable[[Path], None]:
    """Notes the finished file of `job` in the manifest, if there is one."""

    def note(made: Path) -> None:
        if manifest is not None:
            manifest.record(job.target, made, input_hash=input_hash, settings=options.settings)

    return note


def _one(job: Job, shared: _Shared) -> Result:
    def told(pixels: int) -> None:
        if shared.stop.is_set():
            raise Cancelled("stopped")
        shared.listener.pixels(pixels)

    told(0)
    try:
        with shared.budget.held(job.plan.memory_bytes):
            told(0)
            input_hash = admitted(job, shared.options, shared.manifest)
            if input_hash is None:
                return Result.of(job, "skipped")
            done = enlarge(
                job.source,
                job.target,
                shared.engine(),
                shared.options.enlarge,
                on_pixels=told,
                on_complete=noting(job, shared.options, shared.manifest, input_hash),
            )
            return Result.of(replace(job, plan=done), "done")
    except Cancelled:
        raise
    except Exception as error:
        return Result.of(job, "failed", failure_of(error))


def is_full_disk(error: SrError | None) -> bool:
    """Whether every image to come would fail like this one."""
    cause = error.__cause__ if error is not None else None
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)

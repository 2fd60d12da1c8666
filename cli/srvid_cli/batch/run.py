"""Doing a batch: which images are to be made, and what happens to each that was.

    jobs ─► asked for in order ─► Workers: here, in processes, or on a cluster ─► journal ─► OUT

What is asked before an image is made, and noted after it, is the same wherever it is made, so each
kind of run finishes what another began.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self

from sr_core.errors import EngineError, OutputExists, SrError, StorageError
from sr_core.file_stamp import stamp_of
from sr_core.wording import count_of
from sr_image.enlarge import EnlargeOptions
from sr_image.formats.writer import PART_PREFIX, PART_SUFFIX, complete_or_absent
from sr_work.here import Here
from sr_work.scheduler import Workers
from sr_work.work import Pool, Recipe, Work
from srvid_cli.batch.maker import ImageItem, ImageMaker, MadeImage, is_full_disk, versions_of
from srvid_cli.batch.manifest import Manifest, hash_of_file
from srvid_cli.batch.plan import Job, failure_of
from srvid_cli.outputs import refuse_irregular

if TYPE_CHECKING:
    from srvid.recipe import Engine

State = Literal["done", "skipped", "failed"]


class Listener(Protocol):
    """Told what happens."""

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
        jobs: images under way at once in one worker.
        memory_bytes: budget of all images of one worker together.
        pool: who makes the images.
        overwrite: replace outputs that are there and not ours.
    """

    enlarge: EnlargeOptions
    settings: str
    jobs: int
    memory_bytes: int
    pool: Pool = field(default_factory=Here)
    overwrite: bool = False


def run_batch(
    jobs: tuple[Job, ...],
    recipe: Recipe[Engine],
    scale: int,
    options: RunOptions,
    *,
    manifest: Manifest | None,
    listener: Listener,
) -> list[Result]:
    """Do all `jobs`; one that fails does not stop the others.

    Raises:
        SrError: the engine cannot be opened, or the disk is full: nothing more could succeed.
        KeyboardInterrupt: after every worker has stopped and removed its temporary file.
    """
    batch = _Batch(jobs, options, manifest, listener, versions_of(recipe))
    items = batch.items()
    first = next(items, None)
    if first is None:
        return batch.results  # all done already: no engine is needed
    work = _work(recipe, scale, options)
    with options.pool.open(work) as workers:
        if not isinstance(options.pool, Here):
            batch.engine = workers.identity()
            workers.bind(_work(recipe.like(batch.engine), scale, options))
        made = workers.results(
            chain((replace(first, engine=batch.engine),), items),
            batch.report,
            keep=partial(batch.keep, workers),
            give_up=batch.give_up,
        )
        try:
            with closing(made):
                for result in made:
                    batch.finish(result)
        except StorageError as error:
            if is_full_disk(error):
                raise _stop_error(error, images_left=len(jobs) - len(batch.results)) from error
            raise
        finally:
            workers.stop()
            batch.remove_unfinished()
    return batch.results


def _work(recipe: Recipe[Engine], scale: int, options: RunOptions) -> Work:
    return Work(
        open_maker=partial(ImageMaker.opened, recipe, scale, options.enlarge, options.memory_bytes),
        slots=options.jobs,
        gpus=recipe.gpus,
        takes_gpu=recipe.takes_gpu,
        noun="image",
    )


@dataclass
class _Batch:
    """The coordinator's side."""

    jobs: tuple[Job, ...]
    options: RunOptions
    manifest: Manifest | None
    listener: Listener
    versions: dict[str, str]
    engine: dict[str, str] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    hashes: dict[int, str] = field(default_factory=dict)  # of inputs that are to be made
    kept: set[int] = field(default_factory=set)
    pixels: Counter[int] = field(default_factory=Counter)  # that the listener was told of

    def items(self) -> Iterator[ImageItem]:
        """What is to be made; jobs that need nothing are finished on the way."""
        for number, job in enumerate(self.jobs):
            try:
                found = check_job(job, self.options, self.manifest)
                if found is None:
                    self.finish(Result.of(job, "skipped"))
                    continue
                source = str(job.source.absolute())
                stamp = stamp_of(source)
                job.target.parent.mkdir(parents=True, exist_ok=True)
            except (SrError, OSError) as error:
                self.finish(Result.of(job, "failed", failure_of(error)))
                continue
            self.hashes[number] = found
            yield ImageItem(
                number=number, source=source, made=str(_made_path(job, number)), stamp=stamp,
                plan=job.plan, versions=self.versions, engine=self.engine,
            )  # fmt: skip

    def finish(self, result: Result) -> None:
        """Remember and tell how a file ended."""
        self.results.append(result)
        self.listener.finished(result)

    def report(self, number: int, pixels: int) -> None:
        """`pixels` of an image are done, in all; fewer than before where it is made again."""
        more = pixels - self.pixels[number]
        if more > 0:
            self.pixels[number] = pixels
            self.listener.pixels(more)

    def remove_unfinished(self) -> None:
        """Delete what workers that were stopped, or died, have made; call it when none works any more."""
        for number in self.hashes.keys() - self.kept:
            made = _made_path(self.jobs[number], number)
            for part in made.parent.glob(f"*{glob.escape(made.name)}*"):
                part.unlink(missing_ok=True)

    def keep(self, workers: Workers, item: ImageItem, made: MadeImage | SrError) -> Result:
        """Put what a worker made under its final name."""
        job = self.jobs[item.number]
        if isinstance(made, SrError):
            return Result.of(job, "failed", made)
        try:
            note = recorder(job, self.options, self.manifest, self.hashes[item.number])
            with complete_or_absent(job.target, note) as part:
                workers.take(made.sent, part)
        except EngineError:
            raise  # it was lost on the way, and is made again
        except (SrError, OSError) as error:
            failure = failure_of(error)
            if is_full_disk(failure):
                raise failure from failure.__cause__
            return Result.of(job, "failed", failure)
        self.kept.add(item.number)
        self.report(item.number, job.plan.source.pixels)
        return Result.of(replace(job, plan=replace(job.plan, notes=made.notes)), "done")

    def give_up(self, item: ImageItem, error: EngineError) -> Result:
        """An image that costs every worker its life fails alone; an engine that does not open stops all."""
        if isinstance(error.__cause__, SrError):
            raise error.__cause__
        return Result.of(self.jobs[item.number], "failed", error)


def _made_path(job: Job, number: int) -> Path:
    return job.target.absolute().with_name(f"{PART_PREFIX}{os.getpid()}-{number}{PART_SUFFIX}")


def _stop_error(full_disk: SrError, *, images_left: int) -> StorageError:
    """Nothing more can be written."""
    return StorageError(
        f"stopped with {count_of(images_left, 'image')} left: {full_disk.message}",
        hint=full_disk.unspelled_hint + "; run the same command again to finish the rest",
    )


def check_job(job: Job, options: RunOptions, manifest: Manifest | None) -> str | None:
    """The hash of the input where `job` is to be done ('' without a manifest); None: it is done already.

    Raises:
        OutputExists: something else has the output's name.
        BadInput: what has it is no file.
        OSError: the input cannot be read.
    """
    input_hash = hash_of_file(job.source) if manifest is not None else ""
    if manifest is not None and manifest.is_done(job.target, input_hash=input_hash, settings=options.settings):
        return None
    refuse_irregular(job.target)
    if (job.target.exists() or job.target.is_symlink()) and not options.overwrite:
        raise OutputExists(
            f"{job.target} is there already, and not from this input with these settings",
            hint="use --overwrite to replace it"
            + ("; or was OUT forgotten, which comes last?" if manifest is None else ""),
        )
    return input_hash


def recorder(job: Job, options: RunOptions, manifest: Manifest | None, input_hash: str) -> Callable[[Path], None]:
    """Notes the finished file of `job` in the manifest, if there is one."""

    def note(made: Path) -> None:
        if manifest is not None:
            manifest.record(job.target, made, input_hash=input_hash, settings=options.settings)

    return note

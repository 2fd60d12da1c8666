"""A batch on the machines of a Ray cluster.

    this machine                         a node
    journal ──ImageTask──► actor: one engine, a few images at once ──parcel──► OUT

What is asked before an image is made, and noted after it, is the same as without a cluster, so
either finishes what the other began.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from sr_core.cluster.connect import connected, identity_on_a_node, refuse_other
from sr_core.cluster.files import BLOCK_BYTES, Parcel, packed, remote_reader, unpacked, worker_folder
from sr_core.cluster.team import Team
from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.errors import EngineError, SrError, StorageError
from sr_core.file_stamp import FileStamp, stamp_of
from sr_core.frame import PixelFormat, rgb
from sr_core.image.enlarge import EnlargeOptions, enlarge
from sr_core.image.writer import complete_or_absent
from sr_core.segments.crew import differences
from srvid.engine_choice import EngineChoice, installed
from srvid_cli.batch.manifest import Manifest
from srvid_cli.batch.memory import MemoryBudget, default_memory
from srvid_cli.batch.plan import Job, failure_of
from srvid_cli.batch.run import (
    Listener,
    Result,
    RunOptions,
    admitted,
    is_full_disk,
    noting,
    stopped,
)

_CODEC_PACKAGES = ("pillow", "openimageio", "zlib-ng", "pillow-heif")


@dataclass(frozen=True, kw_only=True)
class ImageTask:
    """One image; travels to a node."""

    number: int
    source: str
    stamp: FileStamp
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What all workers must know, and find where they are."""

    choice: EngineChoice
    scale: int
    options: EnlargeOptions
    versions: dict[str, str]
    engine: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class _Pictures:
    """What an engine is opened for: RGB of any size."""

    format: PixelFormat = field(default_factory=lambda: rgb(packed=True))
    color: ColorSpec = FULL_RANGE_RGB
    width: int = 1024
    height: int = 1024


def run_on_cluster(
    jobs: tuple[Job, ...],
    address: str,
    choice: EngineChoice,
    scale: int,
    options: RunOptions,
    *,
    manifest: Manifest | None,
    listener: Listener,
) -> list[Result]:
    """Do all `jobs` on the cluster at `address`; see `run_batch`."""
    batch = _Batch(jobs, options, manifest, listener)
    tasks = batch.tasks()
    first = next(tasks, None)
    if first is None:
        return batch.results  # all done already: no cluster is needed
    ray = connected(address)
    engine = identity_on_a_node(ray, choice, scale, _Pictures())
    order = _Order(
        choice=choice.like(engine), scale=scale, options=options.enlarge, versions=_versions(choice), engine=engine
    )
    team = Team(ray, _Maker, (order,), order.choice.gpus, lanes=options.workers, what="image")
    made = team.results(
        chain((first,), tasks),
        batch.report,
        keep=lambda task, answer: batch.kept(ray, task, answer),
        give_up=batch.given_up,
    )
    with closing(made):
        for result in made:
            batch.finish(result)
            images_left = len(jobs) - len(batch.results)
            if result.error is not None and is_full_disk(result.error) and images_left:
                raise stopped(result.error, images_left=images_left)
    return batch.results


def _versions(choice: EngineChoice) -> dict[str, str]:
    return choice.versions() | installed(_CODEC_PACKAGES)


@dataclass
class _Batch:
    """The coordinator's side."""

    jobs: tuple[Job, ...]
    options: RunOptions
    manifest: Manifest | None
    listener: Listener
    results: list[Result] = field(default_factory=list)
    hashes: dict[int, str] = field(default_factory=dict)  # of inputs
    pixels: Counter[int] = field(default_factory=Counter)  # that the listener was told of

    def tasks(self) -> Iterator[ImageTask]:
        """What is to be made; jobs that need nothing are finished on the way."""
        for number, job in enumerate(self.jobs):
            try:
                found = admitted(job, self.options, self.manifest)
                if found is None:
                    self.finish(Result.of(job, "skipped"))
                    continue
                source = str(job.source.absolute())
                stamp = stamp_of(source)
            except (SrError, OSError) as error:
                self.finish(Result.of(job, "failed", failure_of(error)))
                continue
            self.hashes[number] = found
            yield ImageTask(number=number, source=source, stamp=stamp, memory_bytes=job.plan.memory_bytes)

    def finish(self, result: Result) -> None:
        self.results.append(result)
        self.listener.finished(result)

    def report(self, number: int, pixels: int) -> None:
        """`pixels` of an image are done, in all; fewer than before where it is made again."""
        more = pixels - self.pixels[number]
        if more > 0:
            self.pixels[number] = pixels
            self.listener.pixels(more)

    def kept(self, ray: Any, task: ImageTask, answer: Parcel | SrError) -> Result:
        """Put what a worker made under its final name."""
        job = self.jobs[task.number]
        if isinstance(answer, SrError):
            return Result.of(job, "failed", answer)
        try:
            note = noting(job, self.options, self.manifest, self.hashes[task.number])
            with complete_or_absent(job.target, note) as part, part.open("wb") as file:
                file.writelines(unpacked(ray, answer))
        except (SrError, OSError) as error:
            return Result.of(job, "failed", failure_of(error))
        self.report(task.number, job.plan.source.pixels)
        return Result.of(job, "done")

    def given_up(self, task: ImageTask, error: EngineError) -> Result:
        """An image that costs every worker its life fails alone; an engine that does not open stops all."""
        if isinstance(error.__cause__, SrError):
            raise error.__cause__
        return Result.of(self.jobs[task.number], "failed", error)


class _Maker:
    """The actor: opens the engine once, makes images in a folder of its own."""

    def __init__(self, order: _Order, file_server: Any) -> None:
        self._order, self._file_server = order, file_server
        self._folder, self._opened = ExitStack(), ExitStack()
        self._refusal: SrError | None = None
        self._pixels: dict[int, int] = {}
        self._budget = MemoryBudget(min(order.options.memory_bytes, default_memory()))
        try:
            self._place = worker_folder(self._folder)
            found = order.choice.identity(order.scale, _Pictures())
            differing = differences(order.versions, _versions(order.choice)) + differences(order.engine, found)
            refuse_other(differing, makes="images")
            self._engine = self._opened.enter_context(order.choice(order.scale))
        except SrError as error:
            self._refusal = error  # Ray would wrap it beyond recognition if it left a constructor

    def make(self, task: ImageTask) -> Parcel | SrError:
        """The enlarged file, or why this image cannot be enlarged."""
        if self._refusal is not None:
            raise self._refusal
        folder = self._place / str(task.number)
        try:
            with self._budget.held(task.memory_bytes):
                folder.mkdir()
                return self._made(task, folder)
        except Exception as error:
            failure = failure_of(error)
            if is_full_disk(failure):
                raise StorageError(f"on node {os.uname().nodename}: {failure}", hint=failure.hint) from error
            return failure
        finally:
            self._pixels.pop(task.number, None)
            shutil.rmtree(folder, ignore_errors=True)

    def _made(self, task: ImageTask, folder: Path) -> Parcel:
        def told(pixels: int) -> None:
            self._pixels[task.number] = self._pixels.get(task.number, 0) + pixels

        target = folder / "large"
        enlarge(self._source(task, folder), target, self._engine, self._order.options, on_pixels=told)
        return packed(target)

    def _source(self, task: ImageTask, folder: Path) -> Path:
        """Where this node finds the image: where it lies, or in a copy."""
        read = remote_reader(task.source, task.stamp, self._file_server)
        if read is None:
            return Path(task.source)
        copy = folder / Path(task.source).name
        with copy.open("wb") as file:
            for offset in range(0, task.stamp.bytes, BLOCK_BYTES):
                file.write(read(offset, BLOCK_BYTES))
        return copy

    def progress(self) -> dict[int, int]:
        """Images under way → pixels of them that are done."""
        return dict(self._pixels)

    def leave(self) -> None:
        """Remove what lies on the node; the engine goes with the process."""
        self._folder.close()

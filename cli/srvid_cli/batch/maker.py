"""The maker of images: an engine, opened once where they are made, and a few images in it at once.

While one slot's image is in the engine (which waits inside the runtime), another decodes or
encodes; that is all the overlap there is to get, and it needs no queues. A memory budget decides
how many images are open at once.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.errors import Cancelled, SrError, StorageError
from sr_core.file_stamp import FileStamp
from sr_core.frame import PixelFormat, rgb
from sr_image.enlarge import EnlargeOptions, EnlargePlan, enlarge
from sr_work.files import BLOCK_BYTES
from sr_work.likeness import Likeness, installed_versions
from sr_work.work import Recipe, Site
from srvid_cli.batch.memory import MemoryBudget, default_memory
from srvid_cli.batch.plan import failure_of

if TYPE_CHECKING:
    from srvid.recipe import Engine

_CODEC_PACKAGES = ("pillow", "openimageio", "zlib-ng", "pillow-heif")


@dataclass(frozen=True, kw_only=True)
class ImageItem:
    """One image to make; travels to its worker.

    Attributes:
        made: where a maker that sees the coordinator's files puts the enlarged one, beside its final place.
        versions, engine: what the coordinator found, for workers that must be like it.
    """

    number: int
    source: str
    made: str
    stamp: FileStamp
    plan: EnlargePlan
    versions: dict[str, str]
    engine: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class MadeImage:
    """An enlarged file, for `Workers.take`, and what was noted while it was made."""

    sent: Any
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LargeImage:
    """RGB larger than any tile: an engine with shared tiles does the same for images of all sizes."""

    format: PixelFormat = field(default_factory=lambda: rgb(packed=True))
    color: ColorSpec = FULL_RANGE_RGB
    width: int = 1 << 14
    height: int = 1 << 14


def versions_of(recipe: Recipe[Engine]) -> dict[str, str]:
    """Of everything that decides the bytes of an output."""
    return recipe.versions() | installed_versions(_CODEC_PACKAGES)


class ImageMaker:
    """See `sr_work.work.Maker`."""

    def __init__(
        self, recipe: Recipe[Engine], engine: Engine, options: EnlargeOptions, memory_bytes: int, site: Site
    ) -> None:
        self._engine, self._options, self._site = engine, options, site
        self._likeness = Likeness(lambda: versions_of(recipe), self.identity, makes="images")
        self._budget = MemoryBudget(memory_bytes if site.is_here else min(memory_bytes, default_memory()))

    @classmethod
    @contextmanager
    def opened(
        cls, recipe: Recipe[Engine], scale: int, options: EnlargeOptions, memory_bytes: int, site: Site
    ) -> Iterator[Self]:
        """A maker at `site`, its engine open."""
        with recipe.open(scale) as engine:
            yield cls(recipe, engine, options, memory_bytes, site)

    def identity(self) -> dict[str, str]:
        """Of the engine, for images of all sizes."""
        return self._engine.identity(LargeImage())

    def make(self, item: ImageItem, report: Callable[[int], None]) -> MadeImage | SrError:
        """The enlarged file, or why this image cannot be enlarged.

        Raises:
            StorageError: the disk is full, and no other image would fare better.
            Cancelled: the work was stopped.
        """
        if not self._site.is_here:
            self._likeness.check(item.versions, item.engine)
        try:
            with self._budget.held(item.plan.memory_bytes), self._scratch(item) as (source, made):
                return self._made(item.plan, source, made, report)
        except Cancelled:
            raise
        except Exception as error:
            failure = failure_of(error)
            if not is_full_disk(failure):
                return failure
            where = "" if self._site.is_here else f"on node {os.uname().nodename}: "
            raise StorageError(f"{where}{failure.message}", hint=failure.unspelled_hint) from failure.__cause__

    def _made(self, plan: EnlargePlan, source: Path, made: Path, report: Callable[[int], None]) -> MadeImage:
        pixels_done = 0

        def count(pixels: int) -> None:
            nonlocal pixels_done
            pixels_done += pixels
            report(pixels_done)

        done = enlarge(source, made, self._engine, self._options, plan=plan, on_pixels=count)
        return MadeImage(sent=self._site.send(made), notes=done.notes)

    @contextmanager
    def _scratch(self, item: ImageItem) -> Iterator[tuple[Path, Path]]:
        """Where the image is read, and where the enlarged file is put: beside its place, or in a folder of ours."""
        if self._site.is_here:
            yield Path(item.source), Path(item.made)
            return
        folder = self._folder / str(item.number)
        folder.mkdir()
        try:
            yield self._source_here(item, folder), folder / "large"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _source_here(self, item: ImageItem, folder: Path) -> Path:
        """Where this node finds the image: where it lies, or in a copy."""
        read = self._site.reader(item.source, item.stamp)
        if read is None:
            return Path(item.source)
        copy = folder / Path(item.source).name
        with copy.open("wb") as file:
            for offset in range(0, item.stamp.bytes, BLOCK_BYTES):
                file.write(read(offset, BLOCK_BYTES))
        return copy

    @cached_property
    def _folder(self) -> Path:
        return self._site.folder()


def is_full_disk(error: BaseException | None) -> bool:
    """Whether every image to come would fail like this one."""
    cause = error.__cause__ if error is not None else None
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)

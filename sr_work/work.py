"""What is to be done, and by whom: items, and the maker that is opened once where they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sr_core.file_stamp import FileStamp

if TYPE_CHECKING:
    from sr_work.scheduler import Workers

Read = Callable[[int, int], bytes]  # (offset, size)
Report = Callable[[int, int], None]  # (an item's number, how much of it is done)


class Item(Protocol):
    """A piece of work; travels to its worker."""

    @property
    def number(self) -> int: ...


class Maker(Protocol):
    """Makes items, `Work.slots` of them at the same time."""

    def identity(self) -> dict[str, str]:
        """Everything about its open engine that decides the bytes it makes."""

    def make(self, item: Any, report: Callable[[int], None]) -> Any:
        """Make one item; the answer travels back.

        Args:
            report: told now and then how much is done; what it raises stops the work.
        """


class Site(Protocol):
    """Where a maker works, and how files get there and back."""

    @property
    def is_here(self) -> bool:
        """It sees the coordinator's files."""

    def folder(self) -> Path:
        """A folder of the maker's own, removed with it."""

    def reader(self, path: str, stamp: FileStamp) -> Read | None:
        """How to read the coordinator's file `path`; None: it is seen from here."""

    def send(self, path: Path) -> Any:
        """Hand over the file at `path`, for `Workers.take`."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a worker is told once; travels to it.

    Attributes:
        open_maker: opens the maker.
        slots: items under way at the same time in one worker.
        gpus: how many one worker needs.
        takes_gpu: it would use one if there is one.
        noun: one item, for people.
    """

    open_maker: Callable[[Site], AbstractContextManager[Maker]]
    slots: int = 1
    gpus: int = 0
    takes_gpu: bool = False
    noun: str = "segment"


class Pool(Protocol):
    """Who does the work: this process, processes, or a cluster."""

    def open(self, work: Work) -> AbstractContextManager[Workers]:
        """Workers for `work`; none is started before it is needed, and all end with the context."""


class Recipe[Engine](Protocol):
    """Which engine: a value that travels to other processes and opens the same one there."""

    @property
    def gpus(self) -> int:
        """How many one engine needs."""

    @property
    def takes_gpu(self) -> bool:
        """It would use one if there is one."""

    def open(self, scale: int) -> AbstractContextManager[Engine]:
        """Open it."""

    def like(self, identity: dict[str, str]) -> Recipe[Engine]:
        """The same, with what it leaves open bound to what an open engine's `identity` found."""

    def versions(self) -> dict[str, str]:
        """Of srvid and of every package that computes, as installed here."""


class SameMachine:
    """The site of makers that see the coordinator's files."""

    is_here = True

    def folder(self) -> Path:
        raise AssertionError("a maker that sees the coordinator's files puts its own beside them")

    def reader(self, path: str, stamp: FileStamp) -> Read | None:
        """None: the file is here."""
        return None

    def send(self, path: Path) -> Path:
        """The file itself."""
        return path


def blocks_of(path: Path, block_bytes: int) -> Iterator[bytes]:
    """The content of a file, a block at a time."""
    with path.open("rb") as file:
        yield from iter(lambda: file.read(block_bytes), b"")

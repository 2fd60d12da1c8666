"""A file that is somewhere else, read in blocks as FFmpeg asks for them."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable

BLOCK_BYTES = 4 << 20
_BLOCKS_KEPT = 8  # a demuxer jumps between a few places: index, video, sound


class RemoteFile(io.RawIOBase):
    """A seekable, read-only file of `size` bytes; `read` gets (offset, size)."""

    def __init__(self, read: Callable[[int, int], bytes], *, size: int, block_bytes: int = BLOCK_BYTES) -> None:
        self._fetch = read
        self._size = size
        self._at = 0
        self._block_bytes = block_bytes
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, from one block; empty at the end."""
        if self._at >= self._size:
            return b""
        number, skip = divmod(self._at, self._block_bytes)
        block = self._block(number)
        part = block[skip:] if size < 0 else block[skip : skip + size]
        self._at += len(part)
        return part

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._blocks[number] = self._fetch(number * self._block_bytes, self._block_bytes)
            while len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

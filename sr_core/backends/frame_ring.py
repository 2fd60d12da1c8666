"""Frames on a card that an encoder reads there: lent, and given back when it has read them.

    one allocation a frame      y  : height     rows of `pitch` bytes
                                uv : height / 2 rows of `pitch` bytes, right behind y

NVENC is told one address and one pitch, and looks for the chroma behind the luma. A frame is lent as two
planes; when both are gone, and every DLPack capsule made of them, it can be lent again. Frames keep their
addresses, because FFmpeg registers each new one with NVENC (64 at most) and looks it up from then on.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque

from sr_core.backends.cuda import Cuda
from sr_core.backends.dlpack import DevicePlane
from sr_core.errors import EngineError
from sr_core.frame import PixelFormat

log = logging.getLogger(__name__)
FRAMES = 16  # NVENC keeps 4 to 8 without lookahead, the pipeline as many; a lookahead makes the ring grow
PITCH_BYTES = 256  # what cudaMalloc aligns to: every row begins as a whole allocation would


class FrameRing:
    """Frames of one size on one card; grows where all of them are lent. Thread-safe.

    Args:
        fmt: NV12 or P010.
        width, height: even.

    Raises:
        OutOfMemory: the card has no memory for the first `FRAMES`; nothing is kept.
    """

    def __init__(self, cuda: Cuda, device_index: int, fmt: PixelFormat, width: int, height: int) -> None:
        self.format, self.width, self.height = fmt, width, height
        self.pitch = -(-width * fmt.dtype.itemsize // PITCH_BYTES) * PITCH_BYTES
        self._frames = _Frames(cuda, device_index, self.pitch * height * 3 // 2)
        self._finalizer = weakref.finalize(self, self._frames.close)
        try:
            for _ in range(FRAMES):
                self._frames.add()
        except EngineError:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Frames there are, lent or not."""
        return self._frames.count

    def lend(self) -> tuple[DevicePlane, DevicePlane]:
        """A frame nobody else has, its content undefined; it comes back when nobody holds its planes.

        Raises:
            OutOfMemory: all are lent, and the card has no memory for another.
        """
        frames, item = self._frames, self.format.dtype.itemsize
        start = frames.take()
        loan = _Loan(frames, start)
        device = (frames.cuda.device_kind, frames.device_index)
        y_shape, uv_shape = self.format.plane_shapes(self.width, self.height)
        return (
            DevicePlane(start, y_shape, self.format.dtype, strides=(self.pitch, item), device=device, owner=loan),
            DevicePlane(
                start + self.pitch * self.height,
                uv_shape,
                self.format.dtype,
                strides=(self.pitch, 2 * item, item),
                device=device,
                owner=loan,
            ),
        )

    def close(self) -> None:
        """Free every frame; those that are lent when they come back."""
        self._finalizer()


class _Loan:
    """One frame while it is lent."""

    def __init__(self, frames: _Frames, start: int) -> None:
        weakref.finalize(self, frames.give_back, start).atexit = False


class _Frames:
    """The memory; does not keep the ring alive."""

    def __init__(self, cuda: Cuda, device_index: int, frame_bytes: int) -> None:
        self.cuda, self.device_index, self._frame_bytes = cuda, device_index, frame_bytes
        self.count = 0
        self._free: deque[int] = deque()
        self._is_closed = False
        self._lock = threading.RLock()  # a collection may give one back in the middle of `take`

    def add(self) -> None:
        self.cuda.cudaSetDevice(self.device_index)
        start = int(self.cuda.cudaMalloc(self._frame_bytes))
        with self._lock:
            self.count += 1
            self._free.append(start)

    def take(self) -> int:
        with self._lock:
            if not self._free:
                self.add()
            return self._free.popleft()  # the one that has rested longest

    def give_back(self, start: int) -> None:
        """Called by whoever drops the last reference, which may be a thread of FFmpeg's."""
        with self._lock:
            if not self._is_closed:
                self._free.append(start)
                return
        self._drop([start])

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            unlent = list(self._free)
            self._free.clear()
        self._drop(unlent)

    def _drop(self, starts: list[int]) -> None:
        for start in starts:
            try:
                self.cuda.cudaSetDevice(self.device_index)
                self.cuda.cudaFree(start)
            except EngineError as error:  # nobody waits for it who could be told
                log.warning("freeing a frame on the card: %s", error)
            self.count -= 1

"""Every exception srvid raises on purpose.

    SrError                    what happened, and in `hint` the one thing to try next
    ├── BadInput               (ValueError)   what the user gave cannot be used
    │   ├── BadModel           a model file that is not what we can run
    │   └── DamagedMedia       a file that ends early or does not decode
    ├── NotAvailable           (RuntimeError) a backend, codec or package that is not here
    ├── OutputExists           (FileExistsError) the target is there and was not to be replaced
    ├── StorageError           (OSError)      disk full, folder not writable
    │   └── Locked             another srvid holds it
    ├── EngineError            (RuntimeError) a runtime failed while building or running
    │   └── OutOfMemory        a device has too little memory for it: smaller tiles may fit
    ├── VerificationError      (RuntimeError) the output is not what it must be
    └── Cancelled              (RuntimeError) the user or the host stopped the work

Only front ends catch `SrError`; nothing else in the code base defines exceptions.
"""

from __future__ import annotations

from sr_core.wording import Spelling, as_argument, printable, spell


class SrError(Exception):
    """What happened, and in `hint` the one thing to try next.

    Options inside both are written by `sr_core.wording.option`. `str(error)`, which a traceback ends with, is the
    message and below it the hint; it and `hint` spell options for Python, `as_told` for another front end.
    Control characters, which names from files may hold, are shown as `printable` does.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def message(self) -> str:
        """What happened, with options not yet spelled: to be put into another message."""
        return printable(str(self.args[0]), keep="\n") if self.args else ""

    @property
    def hint(self) -> str:
        """The one thing to try next; '' for none."""
        return spell(self._hint, as_argument)

    @hint.setter
    def hint(self, text: str) -> None:
        self._hint = printable(text, keep="\n")

    @property
    def unspelled_hint(self) -> str:
        """The hint with options not yet spelled: to be put into another hint."""
        return self._hint

    def as_told(self, spelling: Spelling) -> tuple[str, str]:
        """(message, hint) with options as a front end spells them."""
        return spell(self.message, spelling), spell(self._hint, spelling)

    def __str__(self) -> str:
        message, hint = self.as_told(as_argument)
        return f"{message}\nhint: {hint}" if hint else message


def message_of(error: BaseException) -> str:
    """What happened, without the hint: to be put into another message."""
    return error.message if isinstance(error, SrError) else str(error)


class BadInput(SrError, ValueError):
    """What the user gave cannot be used; also a ValueError, so callers need not know us."""


class BadModel(BadInput):
    """A model file that is broken, unsafe or of a shape the engine cannot run."""


class DamagedMedia(BadInput):
    """A media file that ends early or does not decode."""


class NotAvailable(SrError, RuntimeError):
    """A backend, codec, device or package that this machine does not have."""


class OutputExists(SrError, FileExistsError):
    """The output is already there and nobody said it may be replaced."""


class StorageError(SrError, OSError):
    """A file could not be written: disk full, folder read-only, a link in the way."""


class Locked(StorageError):
    """Another srvid holds the lock."""


class EngineError(SrError, RuntimeError):
    """A runtime refused to build or run a graph; carries the runtime's own text."""


class OutOfMemory(EngineError):
    """A device has too little memory for a graph of that size: smaller tiles may fit."""


_NO_MEMORY = (  # what runtimes and drivers say: CUDA and TensorRT, ONNX Runtime, OpenCL, Direct3D, Vulkan
    "out of memory", "outofmemory", "out_of_memory", "failed to allocate memory", "cudaerrormemoryallocation",
    "cl_mem_object_allocation_failure", "cl_out_of_resources", "8007000e", "out_of_device_memory",
)  # fmt: skip


def failure_of_engine(message: str, *, hint: str = "") -> EngineError:
    """The error of a runtime that refused or failed: OutOfMemory where its words in `message` say so."""
    kind = OutOfMemory if any(words in message.lower() for words in _NO_MEMORY) else EngineError
    return kind(message, hint=hint)


class VerificationError(SrError, RuntimeError):
    """The finished output differs from what the input demands."""


class Cancelled(SrError, RuntimeError):
    """The work was stopped on request; nothing was left behind."""

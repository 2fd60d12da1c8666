"""Every exception srvid raises on purpose.

    SrError                    what happened, and in `hint` the one thing to try next
    ├── BadInput               (ValueError)   what the user gave cannot be used
    │   ├── BadModel           a model file that is not what we can run
    │   └── DamagedMedia       a file that ends early or does not decode
    ├── NotAvailable           (RuntimeError) a backend, codec or package that is not here
    ├── OutputExists           (FileExistsError) the target is there and --overwrite is not
    ├── StorageError           (OSError)      disk full, folder not writable, lock held
    ├── EngineError            (RuntimeError) a runtime failed while building or running
    ├── VerificationError      (RuntimeError) the output is not what it must be
    └── Cancelled              (RuntimeError) the user or the host stopped the work

Only front ends catch `SrError`; nothing else in the code base defines exceptions.
"""


class SrError(Exception):
    """What happened, and in `hint` the one thing to try next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


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
    """A file could not be written: disk full, folder read-only, lock held by another."""


class EngineError(SrError, RuntimeError):
    """A runtime refused to build or run a graph; carries the runtime's own text."""


class VerificationError(SrError, RuntimeError):
    """The finished output differs from what the input demands."""


class Cancelled(SrError, RuntimeError):
    """The work was stopped on request; nothing was left behind."""

"""How srvid starts a Python of its own: nothing from the folder the user is in is ever imported.

`python -m` and `python -c`, which multiprocessing's spawn uses too, put the current folder first
in the search path: in a folder of downloads, a `pickle.py` would run. So children get `-P`, our own
search path without that folder, an absolute interpreter and a working folder that is not the user's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

SAFE_PATH = "PYTHONSAFEPATH"  # the variable that stands for -P
_PACKAGES = Path(__file__).resolve().parents[1]


def python_command(*arguments: str) -> list[str]:
    """The command line of this interpreter with `arguments`, safe in any folder."""
    return [os.path.abspath(sys.executable), "-P", *arguments]


def child_environment() -> dict[str, str]:
    """Our environment, and our search path less the folder that Python put first by itself."""
    return os.environ | {SAFE_PATH: "1", "PYTHONPATH": os.pathsep.join(_search_path())}


def working_folder() -> str:
    """Where a child stands: nobody downloads files into it."""
    return os.path.abspath(sys.prefix)


@contextmanager
def variable_set(name: str) -> Iterator[None]:
    """The environment's variable `name` is 1 in this block, and what it was after it."""
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def safe_spawning() -> AbstractContextManager[None]:
    """Children that multiprocessing starts in this block do not import from the current folder."""
    return variable_set(SAFE_PATH)


def _search_path() -> list[str]:
    first = 0 if sys.flags.safe_path else 1  # a script's folder, or the current one
    kept = [*(entry for entry in sys.path[:first] if Path(entry or ".").resolve() == _PACKAGES), *sys.path[first:]]
    return [os.path.abspath(entry) for entry in kept if entry]

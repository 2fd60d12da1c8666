"""The srbatch command as a program of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

PROJECT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """What `--json` printed."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ended]


def environment() -> dict[str, str]:
    """Where a child process finds the packages, installed or not."""
    paths = [str(PROJECT), str(PROJECT / "cli"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def command(*arguments: object) -> list[str]:
    """srbatch with the network that repeats pixels, unless another is named."""
    words = [str(argument) for argument in arguments]
    model = [] if "--model" in words else ["--model", "nearest", "--scale", "2"]
    return [sys.executable, "-m", "srvid_cli.srbatch", *words, *model]


@pytest.fixture
def srbatch(tmp_path: Path) -> Run:
    """Run srbatch in `tmp_path`."""

    def run(*arguments: object, stdin: str = "", prefix: tuple[str, ...] = ()) -> Ended:
        done = subprocess.run(
            [*prefix, *command(*arguments)],
            input=stdin, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=300,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


def picture(path: Path, size: tuple[int, int] = (24, 16), seed: int = 0) -> Path:
    """A random picture at `path`, in the format its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def tree(folder: Path) -> list[str]:
    """All files below `folder`, srbatch's own left out."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(
        path.relative_to(folder).as_posix() for path in files if path.name not in (".srbatch.jsonl", ".srbatch.lock")
    )

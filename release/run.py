"""A command that a release cannot do without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def run(*command: object, cwd: Path = PROJECT, **environment: str) -> str:
    """Run a command and return what it says; ends the release where it fails."""
    done = attempt(*command, cwd=cwd, **environment)
    if done.returncode:
        fail(done)
    return done.stdout


def attempt(*command: object, cwd: Path = PROJECT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail."""
    words = [str(word) for word in command]
    return subprocess.run(
        words, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def fail(done: subprocess.CompletedProcess[str]) -> None:
    """End the release with all that a command said."""
    sys.exit(f"$ {' '.join(done.args)}\n{done.stdout}{done.stderr}")

"""A real worker with real networks, for every test of this folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import av
import pytest

from sr_core.frame import Array
from sr_plugins.testing import RunningWorker

HOSTS = Path(__file__).parent / "hosts"
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def photo() -> Array:
    """134 x 240 RGB for the pictures of the documentation: the first frame of examples/flower.mp4."""
    with av.open(str(PROJECT / "examples/flower.mp4")) as file:
        image: Array = next(file.decode(video=0)).to_ndarray(format="rgb24")
    return image


@pytest.fixture
def worker_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private worker.json; clients of this process look there."""
    path = tmp_path / "worker.json"
    monkeypatch.setenv("SRVID_WORKER_FILE", str(path))
    return path


@pytest.fixture
def worker(worker_file: Path) -> Iterator[RunningWorker]:
    """A worker with the networks of sr_core.testing."""
    with RunningWorker(worker_file) as running:
        yield running


@dataclass(frozen=True)
class HostTree:
    """A Debian tree with the real GIMP and Krita, entered by chroot; paths in it are as seen from outside."""

    root: Path

    def inside(self, path: Path) -> str:
        """`path` as a program in the tree names it."""
        return f"/{path.relative_to(self.root)}"

    def command(self, *command: str, **environment: str) -> list[str]:
        """The command line that runs `command` in the tree."""
        variables = [f"{name}={value}" for name, value in environment.items()]
        return [str(HOSTS / "in_tree.sh"), str(self.root), *variables, *command]

    def run(self, *command: str, timeout: float = 240, binds: str = "", **environment: str) -> str:
        """Run a program to its end; return what it printed. Its exit code says nothing (facts, §3).

        Args:
            binds: folders of this machine that it sees too.
        """
        done = subprocess.run(
            self.command(*command, **environment),
            env={**os.environ, "BIND": binds},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        return done.stdout

    def binds_of(self, python: Path) -> str:
        """What must be seen in the tree for a virtual environment's Python to run srvid there.

        Without such a Python the test is skipped, or fails if hosts are required.
        """
        if not python.exists() or python.resolve().is_relative_to("/usr"):  # /usr is the tree's own inside
            skip_or_fail(f"needs a virtual environment of a Python outside /usr ({python}): make test-hosts")
        return f"{python.parent.parent} {python.resolve().parent.parent} {PROJECT}"


def skip_or_fail(message: str) -> NoReturn:
    """Skip on a user's machine, fail where the hosts are required."""
    if os.environ.get("SRVID_REQUIRE_HOSTS") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module")
def host_tree() -> Iterator[HostTree]:
    """The tree of `make test-hosts`; without it these tests are skipped, or fail if hosts are required.

    One module has it at a time: modules share the homes of GIMP and Krita in it, and install other plug-ins there.
    """
    root = Path(os.environ.get("SRVID_HOST_TREE") or Path.home() / ".cache/srvid-hosts/trixie")
    if not (root / "usr/bin/gimp-console").exists() or os.geteuid() != 0:
        skip_or_fail(f"needs the real GIMP and Krita in {root}, and root: make test-hosts")
    with (root / "tmp/srvid-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield HostTree(root)


@pytest.fixture(scope="module")
def host_folder(host_tree: HostTree) -> Iterator[Path]:
    """A folder inside the tree, seen from both sides."""
    folder = Path(tempfile.mkdtemp(prefix="srvid-test-", dir=host_tree.root / "tmp"))
    yield folder
    shutil.rmtree(folder)

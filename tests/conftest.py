"""Fixtures every test folder shares."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import pytest

PROJECT = Path(__file__).resolve().parent.parent
if find_spec("hypothesis") is not None:  # napari's own environment, where its tests run, lacks it
    from hypothesis import settings

    # its limit of 200 ms an example is one of the clock on the wall; under CI=true it has none either
    settings.register_profile("srvid", parent=settings.default, deadline=None)
    settings.load_profile("srvid")


def skip_or_fail(message: str) -> NoReturn:
    """Skip on a user's machine, fail in CI, which has everything."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how to run what was skipped."""
    if skipped := len(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(
            f"{skipped} skipped for what is not on this machine (above); on Debian, as root, .ci/run installs it all"
        )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The shared data folder beside the project; tests that need it skip without, except in CI."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        skip_or_fail(f"needs {folder}")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 60 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(autouse=True)
def _ffmpeg_stays_silent() -> Iterator[None]:
    """With PyAV's logger at work, decoders' threads wait for Python's lock, and a later test for them, for ever."""
    yield
    if "av.logging" in sys.modules:
        log = sys.modules["av.logging"]
        heard, _ = log.get_last_error()
        log.log(log.ERROR, "srvid", "a decoder's thread says so")
        assert log.get_last_error()[0] == heard


@pytest.fixture(autouse=True)
def _scheduling_stays_ordinary() -> Iterator[None]:
    """SVT-AV1, opened by root without `keep_scheduling`, makes all later work real-time: nothing else would run."""
    yield
    if hasattr(os, "sched_getscheduler"):
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test touches the user's cache."""
    os.environ["SRVID_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["SRVID_MODELS"] = str(tmp_path_factory.mktemp("models"))


def wait_for_nodes(nodes: Callable[[], Collection[str]], count: int) -> None:
    """Until `count` nodes are at work: how long one takes to begin depends on the machine's load."""
    deadline = time.monotonic() + 600
    while len(set(nodes())) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(set(nodes()))} of {count} nodes began to work")
        time.sleep(0.02)


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Any]:
    """A real Ray cluster of two nodes on loopback, with one CPU each."""
    if find_spec("ray") is None:
        skip_or_fail("needs Ray: pip install 'srvid[ray]'")
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    paths = [str(PROJECT), str(PROJECT / "cli"), before.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))  # inherited by the workers
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    node = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
    # at Ray's own niceness of 15, workers starve on a busy machine until tests time out
    head = node | {"_system_config": {"worker_niceness": 0}}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(**node)
    yield cluster
    cluster.shutdown()
    os.environ.clear()
    os.environ.update(before)

"""Fixtures every test folder shares."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The shared data folder beside the project; tests that need it skip without, except in CI."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{folder} must be there in CI")
        pytest.skip(f"needs {folder}")
    return folder


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test touches the user's cache."""
    os.environ["SRVID_CACHE"] = str(tmp_path_factory.mktemp("cache"))


def wait_for_nodes(nodes: Callable[[], Collection[str]], count: int) -> None:
    """Until `count` nodes are at work: how long one takes to begin depends on the machine's load."""
    deadline = time.monotonic() + 120
    while len(set(nodes())) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(set(nodes()))} of {count} nodes began to work")
        time.sleep(0.02)


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Any]:
    """A real Ray cluster of two nodes on loopback, with one CPU each."""
    if find_spec("ray") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Ray must be there in CI")
        pytest.skip("needs Ray: pip install 'srvid[ray]'")
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

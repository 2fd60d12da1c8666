"""A real worker with real networks, for every test of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sr_plugins.testing import RunningWorker


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

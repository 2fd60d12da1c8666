"""Fixtures every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

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

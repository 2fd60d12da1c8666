"""The queue itself, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr_core.errors import BadInput
from sr_ui.queue import Queue


def test_a_job_that_runs_is_not_let_write_over_anything(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "queue.json")
    job = queue.add("images", ["photos"], "large", {"model": "nearest", "scale": 2})
    job.state, job.can_replace = "running", True  # one of its images was there already, and others go on
    with pytest.raises(BadInput):
        queue.replace(job)
    assert "overwrite" not in job.options
    job.state = "failed"
    queue.replace(job)
    assert (job.state, job.options["overwrite"]) == ("waiting", True)

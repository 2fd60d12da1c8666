"""The lines of docs/ui.md that talk to the server, run by the real curl against a real one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail
from tests.ui.conftest import MakeClip, Ui

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ui.md"


def documented_lines() -> list[str]:
    """Every curl line of the page, continued lines joined."""
    text = PAGE.read_text().replace("\\\n", " ")
    return [line.strip().partition("  #")[0] for line in re.findall(r"^    curl .*$", text, re.MULTILINE)]


def as_here(line: str, server: Ui, film: Path, job: str) -> str:
    """The page's address, file and job are an example's."""
    return line.replace("http://127.0.0.1:8000", server.base).replace("/home/me/film.mp4", str(film)).replace("ID", job)


@pytest.fixture
def curl(ui: Callable[..., Ui], make_clip: MakeClip) -> tuple[Ui, Callable[..., subprocess.Popen[str]]]:
    if shutil.which("curl") is None:
        skip_or_fail("needs curl")
    film = make_clip("film.mp4", frames=400)
    server = ui(film)
    environment = os.environ | {"TOKEN": server.token}

    def start(line: str, job: str = "") -> subprocess.Popen[str]:
        command = as_here(line, server, film, job).replace("curl", "curl --silent --show-error", 1)
        return subprocess.Popen(["bash", "-c", f"exec {command}"], env=environment, stdout=subprocess.PIPE, text=True)

    return server, start


def test_the_documented_lines_queue_follow_and_pause_a_job(
    curl: tuple[Ui, Callable[..., subprocess.Popen[str]]],
) -> None:
    server, start = curl
    queue, follow, pause = documented_lines()
    answer = json.loads(start(queue).communicate()[0])
    job = answer["id"]
    events = start(follow)
    assert events.stdout is not None
    heard = next(line for line in events.stdout if line.startswith("data: "))
    assert [entry["id"] for entry in json.loads(heard[6:])["jobs"]] == [job]
    events.kill()
    events.communicate()
    told = start(pause, job).communicate()[0]
    assert json.loads(told)["state"] in ("pausing", "paused", "done"), told
    assert server.wait_for(job, "paused", "done")

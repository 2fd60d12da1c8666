"""How a server begins and ends, and what a script follows: events, the documented lines of curl."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sr_ui import server as server_module
from sr_ui.handlers import Handlers
from sr_ui.server import ServerOptions
from tests.conftest import skip_or_fail
from tests.ui.conftest import QUIET_SECONDS, MakeClip, Ui

Start = Callable[..., Ui]
PROJECT = Path(__file__).resolve().parents[2]
FAST = {"model": "nearest", "scale": 2}


def program(path: Path, target: Path) -> None:
    """A program that writes its arguments to `target`."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"""#!{sys.executable}
import os, sys
with open({str(target) + ".part"!r}, "w") as file:
    file.write(" ".join(sys.argv[1:]))
os.replace({str(target) + ".part"!r}, {str(target)!r})
""")
    path.chmod(0o755)


def content_of(path: Path) -> str:
    """Once it is there."""
    while not path.exists():
        time.sleep(0.05)
    return path.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="BROWSER and xdg-open are Linux's")
def test_the_browser_is_opened_and_the_folder_of_what_was_made(ui: Start, make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip("film.mp4")
    program(tmp_path / "bin" / "browser", tmp_path / "browsed")
    program(tmp_path / "bin" / "xdg-open", tmp_path / "revealed")
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    server = ui(options=(), BROWSER=str(tmp_path / "bin" / "browser"), PATH=path)
    assert content_of(tmp_path / "browsed") == server.address
    (tmp_path / "made").mkdir()
    body = {"sources": [str(clip)], "target": str(tmp_path / "made" / "large.mkv"), "options": FAST}
    job = server.ask("POST", "/api/jobs", body)[1]["id"]
    server.wait_for(job, "done")
    assert server.ask("POST", f"/api/jobs/{job}/reveal", {}) == (200, {"code": 0})
    assert content_of(tmp_path / "revealed") == str(tmp_path / "made")


def test_it_ends_when_no_page_is_open_and_nothing_runs_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    ended: list[str] = []
    fake = SimpleNamespace(should_exit=False)
    handlers = SimpleNamespace(
        listeners=1, queue=SimpleNamespace(is_busy=True), looks=SimpleNamespace(let_go=lambda: ended.append("let go"))
    )

    def look(seconds: float) -> None:
        nonlocal looks
        looks += 1
        assert not fake.should_exit
        if looks == 5:
            handlers.listeners = 0
        if looks == 10:
            handlers.queue.is_busy = False

    clock = SimpleNamespace(sleep=look, monotonic=lambda: float(looks))
    monkeypatch.setattr(server_module, "time", clock)
    server_module._end_when_idle(cast(Any, fake), cast(Handlers, handlers), ServerOptions(idle_seconds=4))
    assert (looks, fake.should_exit, ended) == (14, True, ["let go"])


def test_the_events_of_a_job_are_those_of_srvid_json(ui: Start, make_clip: MakeClip, tmp_path: Path) -> None:
    server = ui(make_clip("film.mp4"))
    body = {"sources": [str(tmp_path / "film.mp4")], "target": str(tmp_path / "large.mkv"), "options": FAST}
    job = server.ask("POST", "/api/jobs", body)[1]["id"]
    status, lines = server.ask("GET", f"/api/jobs/{job}/events")  # to its end
    assert status == 200
    found = [json.loads(line) for line in lines.splitlines()]
    command = [sys.executable, "-m", "srvid_cli.srvid", "--model", "nearest", "--scale", "2", "--json"]
    command += ["--segment", "2", str(tmp_path / "film.mp4"), str(tmp_path / "again.mkv")]
    said = subprocess.run(command, check=True, capture_output=True, timeout=QUIET_SECONDS).stdout.splitlines()
    expected = [json.loads(line) for line in said]

    def shape(events: list[dict[str, Any]]) -> list[tuple[str, ...]]:
        return [(event["event"], *event) for event in events if event["event"] != "progress"]

    assert shape(found) == shape(expected)
    assert found[-1]["output"] == str(tmp_path / "large.mkv")
    again = server.ask("GET", f"/api/jobs/{job}/events")[1].splitlines()  # also when it is over
    assert shape([json.loads(line) for line in again]) == shape(expected)

    (tmp_path / "there.mkv").write_bytes(b"mine")
    job = server.ask("POST", "/api/jobs", body | {"target": str(tmp_path / "there.mkv")})[1]["id"]
    error = json.loads(server.ask("GET", f"/api/jobs/{job}/events")[1].splitlines()[-1])
    assert (error["event"], "overwrite" in error["hint"]) == ("error", True)


def test_the_documented_lines_of_curl_queue_a_file_and_follow_it(
    ui: Start, make_clip: MakeClip, tmp_path: Path
) -> None:
    if shutil.which("curl") is None:
        skip_or_fail("needs curl")
    text = (PROJECT / "docs" / "ui.md").read_text().replace("\\\n", "")
    lines = [re.sub(r"\s+#.*", "", line.strip()) for line in text.splitlines() if line.strip().startswith("curl")]
    make_clip("film.mp4")
    server = ui()
    port = server.base.rpartition(":")[2]
    job, answers = "", {}
    for line in lines:
        command = line.replace("8000", port).replace("/home/me", str(tmp_path)).replace("jobs/ID", f"jobs/{job}")
        if "/api/events" in command:
            command = f"timeout 300 {command} | head -1"
        done = subprocess.run(
            ["bash", "-c", f"TOKEN={server.token}; {command.replace('curl', 'curl -sS', 1)}"],
            capture_output=True, text=True, check=True, timeout=QUIET_SECONDS,
        )  # fmt: skip
        answers[line] = done.stdout
        if not job:
            job = json.loads(done.stdout)["id"]
            server.wait_for(job, "done")
    queued, events, state, changed = answers.values()
    assert json.loads(queued)["options"]["model"] == "swift"
    assert json.loads(events.splitlines()[-1])["event"] == "done"
    assert state.startswith("data: {")
    assert json.loads(changed)["error"] == "the job is done"


def test_numbers_that_are_none_are_refused(ui: Start, make_clip: MakeClip) -> None:
    server = ui(make_clip("film.mp4"))
    file = server.ask("GET", "/api/state")[1]["files"][0]["id"]
    for query in ("seconds=nan", "scale=inf", "scale=1e999", "seconds=-1", "width=0", "strength=2", "model=a/b"):
        assert server.ask("GET", f"/api/files/{file}/frame?{query}")[0] == 400, query
    body = b'{"model": "swift", "scale": NaN}'
    assert server.ask("POST", f"/api/files/{file}/estimates", body)[0] == 400


def test_a_dropped_folder_is_found_by_what_it_holds(ui: Start, tmp_path: Path) -> None:
    for place in ("Downloads", "Pictures"):
        (tmp_path / place / "trip").mkdir(parents=True)
    (tmp_path / "Pictures" / "trip" / "a.png").write_bytes(b"a")
    server = ui()
    status, found = server.ask("POST", "/api/files/locate", {"name": "trip", "size": 0, "holds": ["a.png"]})
    assert (status, found["path"]) == (200, str(tmp_path / "Pictures" / "trip"))
    for body in (
        {"name": "trip", "holds": ["b.png"]},
        {"name": "../trip", "holds": ["a.png"]},
        {"name": "trip", "holds": ["../x"]},
    ):
        assert server.ask("POST", "/api/files/locate", {"size": 0} | body)[1]["path"] is None


def test_parts_of_what_is_open_are_not_among_the_open_files(ui: Start, make_clip: MakeClip, tmp_path: Path) -> None:
    server = ui(make_clip("film.mp4"))
    make_clip("part.mp4")
    part = server.ask("POST", "/api/files", {"path": str(tmp_path / "part.mp4"), "aside": True})[1]
    assert server.ask("GET", f"/api/files/{part['id']}")[0] == 200
    assert [file["name"] for file in server.ask("GET", "/api/state")[1]["files"]] == ["film.mp4"]


def test_an_estimate_is_finished_though_frames_come_between(ui: Start, make_clip: MakeClip) -> None:
    server = ui(make_clip("film.mp4", frames=500))
    file = server.ask("GET", "/api/state")[1]["files"][0]["id"]
    done: list[str] = []
    options = {"model": "nearest", "scale": 2}

    def estimate() -> None:
        assert server.ask("POST", f"/api/files/{file}/estimates", options)[1]["fps"] > 0
        done.append("estimate")

    thread = threading.Thread(target=estimate)
    thread.start()
    for number in range(4):
        status, _ = server.ask("GET", f"/api/files/{file}/frame?model=nearest&scale=2&seconds={number}")
        assert status == 200
    thread.join()
    assert done == ["estimate"]

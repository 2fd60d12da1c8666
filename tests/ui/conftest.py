"""A real server in a process of its own, a real Chromium, and a small video made by code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
MakeClip = Callable[..., Path]
QUIET_SECONDS = 300  # after so long without an answer something hangs; no test waits for it to pass


@dataclass
class Ui:
    """One server: `address` is what a browser opens, `errors` what it writes to stderr."""

    process: subprocess.Popen[str]
    address: str
    errors: Path

    @property
    def base(self) -> str:
        return self.address.partition("/?")[0]

    @property
    def token(self) -> str:
        return self.address.partition("token=")[2]

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """(status, what was answered: JSON, or bytes)."""
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {self.token}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        request = urllib.request.Request(self.base + path, content, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=QUIET_SECONDS) as response:
                status, kind, found = response.status, response.headers["content-type"], response.read()
        except urllib.error.HTTPError as error:
            status, kind, found = error.code, error.headers["content-type"], error.read()
        return status, json.loads(found) if kind == "application/json" else found

    def wait_for(self, job: str, *states: str) -> dict[str, Any]:
        """Follow the server's own events until the job is in one of `states`."""
        request = urllib.request.Request(f"{self.base}/api/events", headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=QUIET_SECONDS) as events:
            for line in events:
                if not line.startswith(b"data: "):
                    continue
                found = next(entry for entry in json.loads(line[6:])["jobs"] if entry["id"] == job)
                if found["state"] in states:
                    return dict(found)
                assert found["state"] != "failed" or "failed" in states, found
        raise AssertionError(f"the events ended before {job} was {states}")

    def wait_for_segment(self, job: str) -> None:
        """Until a segment of it can be watched.

        Raises:
            AssertionError: it ended before that.
        """
        while self.ask("GET", f"/api/jobs/{job}/segments")[1]["playable"] < 1:
            found = self.ask("GET", f"/api/jobs/{job}")[1]
            assert found["state"] in ("waiting", "running"), found
            time.sleep(0.05)  # the work needs the CPU more

    def kill(self, *, with_children: bool = False) -> list[int]:
        """SIGKILL, as when memory is short; `with_children`: as when the power goes. Returns the children's ids."""
        listed = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        children = [int(child) for path in listed for child in path.read_text().split()]
        self.process.kill()
        for child in children if with_children else ():
            os.kill(child, signal.SIGKILL)
        self.process.wait()
        return children

    def stop(self) -> int:
        """As Ctrl-C does.

        Raises:
            AssertionError: it does not end, and where each of its threads is. It is killed.
        """
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(QUIET_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # faulthandler writes the stacks, whoever holds Python's lock
            self.process.wait()
            raise AssertionError(f"the server did not end:\n{self.errors.read_text()}") from None


@pytest.fixture
def ui(tmp_path: Path) -> Iterator[Callable[..., Ui]]:
    """Start `python -m srvid FILES…`, as often as wanted, with one cache: a second one finds the first one's queue."""
    started: list[Ui] = []
    environment = os.environ | {"SRVID_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    environment["PYTHONFAULTHANDLER"] = "1"

    def start(
        *paths: Path,
        options: Sequence[str] = ("--no-browser",),
        through: Sequence[str] = (),
        **variables: str,
    ) -> Ui:
        command = [*through, sys.executable, "-m", "srvid", *options, "--", *map(str, paths)]
        errors = tmp_path / f"server-{len(started)}.log"
        with errors.open("w") as log:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=tmp_path,
                env=environment | variables,
            )
        assert process.stdout is not None
        started.append(Ui(process, "", errors))
        line = process.stdout.readline()
        assert line.startswith("open http://127.0.0.1:"), f"{line}{errors.read_text()}"
        started[-1].address = line.removeprefix("open ").strip()
        return started[-1]

    yield start
    with ExitStack() as ending:  # every one of them, whatever becomes of the others
        for server in started:
            assert server.process.stdout is not None
            ending.callback(server.process.stdout.close)
            if server.process.poll() is None:
                ending.callback(server.stop)
    for server in started:
        said = server.errors.read_text()
        print(said, end="")  # pytest shows it with a failure
        assert "Traceback" not in said, said


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """A moving pattern: `make_clip("a.mp4", frames=50)`."""

    def make(name: str, *, frames: int = 25, width: int = 96, height: int = 64) -> Path:
        path = tmp_path / name
        rows, columns = np.mgrid[:height, :width]
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": "14", "g": "10"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for number in range(frames):
                wave = 128 + 90 * np.sin((columns + 3 * number) / 5) * np.cos(rows / 7)
                picture = np.stack([wave, np.roll(wave, 9, 1), 255 - wave], axis=-1).astype(np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        return path

    return make


class Windows:
    """Pages of one browser, each with cookies of its own; what is waited for may take minutes beside other work."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self.faults: list[str] = []

    def new_page(self, **options: Any) -> Any:
        """A page; what its scripts throw is in `faults`."""
        context = self._browser.new_context(**options)
        context.set_default_timeout(QUIET_SECONDS * 1000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def chromium(browser: Any) -> Iterator[Windows]:
    """Pages of a real Chromium; no script of ours may have failed in one."""
    windows = Windows(browser)
    yield windows
    windows.close()
    assert windows.faults == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium; where there is none the tests skip, except in CI."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium must be there in CI")
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()

"""The node in the real ComfyUI, by its HTTP API, where COMFYUI_DIR names a checkout of it.

The checkout is only read: ComfyUI keeps everything, our node pack too, in a temporary base directory.
It runs on COMFYUI_PYTHON, or on the checkout's own virtual environment, or on this Python. The worker
is real, with the small networks of `sr_core.testing`.
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr_core.frame import Array
from sr_core.image.array import upscale_image
from sr_plugins.install import install
from sr_plugins.places import Place
from sr_plugins.testing import CANCEL_LIMIT_SECONDS, RunningWorker, open_test_model

NODE = "SrvidUpscale"
START_SECONDS = 300  # importing torch on a busy machine
PROMPT_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class ComfyUI:
    """A running ComfyUI, the worker its node talks to, and the file with what ComfyUI prints."""

    url: str
    worker: RunningWorker
    log: Path

    def ask(self, path: str, body: bytes | None = None, content_type: str = "application/json") -> bytes:
        """GET, or POST where there is a body."""
        request = urllib.request.Request(self.url + path, body, {"Content-Type": content_type})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                said: bytes = answer.read()
        except urllib.error.HTTPError as error:  # /prompt says in the body what is wrong with a prompt
            with error:
                pytest.fail(f"{path}: {error.code} {error.read().decode(errors='replace')}\n{self.last_words()}")
        return said

    def upload(self, image: Array) -> str:
        """POST /upload/image: the name by which LoadImage finds it."""
        png, boundary = io.BytesIO(), uuid.uuid4().hex
        Image.fromarray(image).save(png, "PNG")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{boundary}.png"\r\n'
        body = f"{head}Content-Type: image/png\r\n\r\n".encode() + png.getvalue() + f"\r\n--{boundary}--\r\n".encode()
        name: str = json.loads(self.ask("/upload/image", body, f"multipart/form-data; boundary={boundary}"))["name"]
        return name

    def submit(self, image: Array, **inputs: Any) -> str:
        """POST /prompt with LoadImage ─► our node ─► SaveImage: the prompt's id."""
        prompt = {
            "1": {"class_type": "LoadImage", "inputs": {"image": self.upload(image)}},
            "2": {"class_type": NODE, "inputs": {"image": ["1", 0], **inputs}},
            "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "srvid"}},
        }
        prompt_id: str = json.loads(self.ask("/prompt", json.dumps({"prompt": prompt}).encode()))["prompt_id"]
        return prompt_id

    def result(self, prompt_id: str) -> dict[str, Any]:
        """GET /history/ID until it is there: it is written when the prompt has ended, well or not."""
        found: dict[str, Any] = {}

        def ended() -> bool:
            found.update(json.loads(self.ask(f"/history/{prompt_id}")))
            return prompt_id in found

        wait_until(ended, PROMPT_SECONDS, f"the prompt to end; {self.log}")
        entry: dict[str, Any] = found[prompt_id]
        return entry

    def picture(self, result: dict[str, Any]) -> Array:
        """GET /view of the one image that SaveImage wrote."""
        assert result["status"]["completed"], f"{result['status']}\n{self.last_words()}"
        (saved,) = result["outputs"]["3"]["images"]
        with Image.open(io.BytesIO(self.ask(f"/view?{urllib.parse.urlencode(saved)}"))) as picture:
            return np.asarray(picture)

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyUI]:
    """ComfyUI on a free port of this machine, on the CPU, with our node pack as its only one."""
    if "COMFYUI_DIR" not in os.environ:
        pytest.skip("needs the real ComfyUI: set COMFYUI_DIR to its checkout")
    checkout, base = Path(os.environ["COMFYUI_DIR"]).resolve(), tmp_path_factory.mktemp("comfyui")
    assert (checkout / "main.py").exists(), f"COMFYUI_DIR: no main.py in {checkout}"
    install(Place(host="comfyui", root=base), models=("nearest", "random"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        python_of(checkout), "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(port),
        "--base-directory", str(base), "--database-url", f"sqlite:///{(base / 'comfyui.db').as_posix()}",
        "--disable-auto-launch", "--disable-api-nodes",
    ]  # fmt: skip
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"SRVID_WORKER_FILE": str(base / "worker.json"), "PYTHONDONTWRITEBYTECODE": "1"}
    log = base / "comfyui.log"
    with (
        RunningWorker(base / "worker.json") as worker,
        log.open("wb") as said,
        subprocess.Popen(command, cwd=checkout, env=env, stdout=said, stderr=subprocess.STDOUT) as process,
    ):
        server = ComfyUI(url=f"http://127.0.0.1:{port}", worker=worker, log=log)
        try:
            wait_until(lambda: answers(server, process), START_SECONDS, f"ComfyUI to start; {log}")
            yield server
        finally:
            process.kill()


def python_of(checkout: Path) -> str:
    """The Python that has ComfyUI's packages."""
    own = [checkout / folder / "bin/python" for folder in (".venv", "venv")]
    found = [os.environ.get("COMFYUI_PYTHON"), *(str(path) for path in own if path.exists()), sys.executable]
    return next(path for path in found if path)


def answers(server: ComfyUI, process: subprocess.Popen[bytes]) -> bool:
    """Whether ComfyUI takes requests; it has loaded its nodes by then."""
    assert process.poll() is None, f"ComfyUI ended:\n{server.last_words()}"
    try:
        server.ask("/system_stats")
    except urllib.error.URLError:
        return False
    return True


def wait_until(ready: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.02)


def noise(height: int, width: int, seed: int) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def assert_saved_as_by_the_api(saved: Array, image: Array, model: str, scale: int) -> None:
    """ComfyUI's images are float; SaveImage cuts them to 8 bits, at most one code value off."""
    with open_test_model(
        model, scale=scale, backend="auto", tile=None, shared_tiles=False, reuse=False, progress=None
    ) as upscaler:
        exact = upscale_image(upscaler, image.astype(np.float32) / np.float32(255)).clip(0, 1) * 255
    assert saved.shape == exact.shape
    assert np.abs(saved - exact).max() < 1.001


def test_the_server_lists_the_node_with_its_models(comfyui: ComfyUI) -> None:
    info = json.loads(comfyui.ask(f"/object_info/{NODE}"))
    assert NODE in info, comfyui.last_words()
    assert info[NODE]["category"] == "image/upscaling"
    assert info[NODE]["display_name"] == "Upscale (srvid)"
    assert info[NODE]["input"]["required"]["model"][0] == ["nearest", "random"]


@pytest.mark.parametrize(("model", "scale", "options"), [("nearest", 3, {}), ("random", 2, {"tile": 64})])
def test_a_prompt_saves_the_pixels_of_the_python_api(
    comfyui: ComfyUI, model: str, scale: int, options: dict[str, Any]
) -> None:
    image = noise(70, 90, seed=scale)
    saved = comfyui.picture(comfyui.result(comfyui.submit(image, model=model, scale=scale, **options)))
    assert_saved_as_by_the_api(saved, image, model, scale)


def test_interrupt_drops_the_worker_s_job_and_the_next_prompt_runs(comfyui: ComfyUI) -> None:
    worker = comfyui.worker
    begun, dropped = len(worker.begun), len(worker.drops)
    prompt_id = comfyui.submit(noise(3000, 4000, seed=0), model="random", scale=4)
    wait_until(lambda: len(worker.begun) > begun, PROMPT_SECONDS, "the worker to begin")
    time.sleep(0.3)  # into the computing
    assert len(worker.begun) == begun + 1
    interrupted_at = time.time()
    comfyui.ask("/interrupt", b"{}")
    wait_until(lambda: len(worker.drops) > dropped, 10, "the worker to drop the job")
    assert worker.drops[-1].at - interrupted_at < CANCEL_LIMIT_SECONDS
    result = comfyui.result(prompt_id)
    assert not result["status"]["completed"]
    assert "execution_interrupted" in [event for event, _ in result["status"]["messages"]]
    assert not result["outputs"]

    image = noise(30, 40, seed=1)
    saved = comfyui.picture(comfyui.result(comfyui.submit(image, model="nearest", scale=2)))
    assert_saved_as_by_the_api(saved, image, "nearest", 2)


def test_what_the_worker_refuses_is_the_error_that_comfyui_shows(comfyui: ComfyUI) -> None:
    image = noise(20, 20, seed=2)
    result = comfyui.result(comfyui.submit(image, model="nearest", scale=2, model_file="none.onnx"))
    (error,) = [facts for event, facts in result["status"]["messages"] if event == "execution_error"]
    assert error["node_type"] == NODE
    assert "no model 'none.onnx'" in error["exception_message"]
    assert "choose one of" in error["exception_message"], "the hint is lost"

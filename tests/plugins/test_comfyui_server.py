"""The node in the real ComfyUI, by its HTTP API, where COMFYUI_DIR names a checkout of it.

The checkout is only read: ComfyUI keeps everything, our node pack too, in a temporary base directory; one
too old for that runs from a copy of its code. It runs on COMFYUI_PYTHON, or on the checkout's own virtual
environment, or on this Python. The worker is real, with the small networks of `sr_core.testing`.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image

from sr_core.array import upscale_image
from sr_core.frame import Array
from sr_plugins.install import install
from sr_plugins.places import Place
from sr_plugins.testing import CANCEL_DEADLINE_SECONDS, RunningWorker, open_test_model

NODE = "SrvidUpscale"
USERS = (  # what is in a checkout beside the code
    "models custom_nodes input output temp user extra_model_paths.yaml venv .venv .git".split()
)
START_SECONDS = 600  # importing torch on a busy machine
PROMPT_SECONDS = 600


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
            with urllib.request.urlopen(request, timeout=600) as answer:
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

    def submit(self, *images: Array, client_id: str = "", **inputs: Any) -> str:
        """POST /prompt with LoadImage, a batch of them if more ─► our node ─► SaveImage: the prompt's id."""
        prompt: dict[str, Any] = {}
        batch = ""
        for index, image in enumerate(images):
            prompt[f"load {index}"] = {"class_type": "LoadImage", "inputs": {"image": self.upload(image)}}
            pair = {"image1": [batch, 0], "image2": [f"load {index}", 0]}
            if batch:
                prompt[f"batch {index}"] = {"class_type": "ImageBatch", "inputs": pair}
            batch = f"batch {index}" if batch else f"load {index}"
        prompt["node"] = {"class_type": NODE, "inputs": {"image": [batch, 0], **inputs}}
        prompt["save"] = {"class_type": "SaveImage", "inputs": {"images": ["node", 0], "filename_prefix": "srvid"}}
        body = json.dumps({"prompt": prompt, "client_id": client_id}).encode()
        prompt_id: str = json.loads(self.ask("/prompt", body))["prompt_id"]
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

    def pictures(self, result: dict[str, Any]) -> list[Array]:
        """GET /view of the images that SaveImage wrote."""
        assert result["status"]["completed"], f"{result['status']}\n{self.last_words()}"
        found = []
        for saved in result["outputs"]["save"]["images"]:
            with Image.open(io.BytesIO(self.ask(f"/view?{urllib.parse.urlencode(saved)}"))) as picture:
                found.append(np.asarray(picture))
        return found

    @contextmanager
    def listen(self, client_id: str) -> Iterator[Iterator[dict[str, Any]]]:
        """GET /ws: what ComfyUI tells its page while the prompts of `client_id` run."""
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PROMPT_SECONDS) as link, link.makefile("rb") as file:
            link.sendall(
                f"GET /ws?clientId={client_id} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: MDEyMzQ1Njc4OUFCQ0RFRg==\r\n\r\n".encode()
            )
            assert b" 101 " in file.readline()
            while file.readline() != b"\r\n":
                pass
            yield messages(file)

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyUI]:
    """ComfyUI on a free port of this machine, on the CPU, with our node pack as its only one."""
    if "COMFYUI_DIR" not in os.environ:
        pytest.skip("needs the real ComfyUI: set COMFYUI_DIR to its checkout")
    checkout, base = Path(os.environ["COMFYUI_DIR"]).resolve(), tmp_path_factory.mktemp("comfyui")
    assert (checkout / "main.py").exists(), f"COMFYUI_DIR: no main.py in {checkout}"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"SRVID_WORKER_FILE": str(base / "worker.json"), "PYTHONDONTWRITEBYTECODE": "1"}
    python = python_of(checkout)
    code, options = laid_out(checkout, base, options_of(checkout, python, env))
    install(Place(host="comfyui", root=base), models=("nearest", "random"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [python, "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(port), *options]
    log = base / "comfyui.log"
    with (
        RunningWorker(base / "worker.json") as worker,
        log.open("wb") as said,
        subprocess.Popen(command, cwd=code, env=env, stdout=said, stderr=subprocess.STDOUT) as process,
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


def options_of(checkout: Path, python: str, env: dict[str, str]) -> set[str]:
    """The options that this version of ComfyUI has."""
    done = subprocess.run(
        [python, "main.py", "--help"], cwd=checkout, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert "--port" in done.stdout, f"{python} main.py --help:\n{done.stdout}{done.stderr}"
    return set(re.findall(r"--[a-z][a-z0-9-]+", done.stdout))


def laid_out(checkout: Path, base: Path, offered: set[str]) -> tuple[Path, list[str]]:
    """The folder of the main.py to run, and the options with which it writes into `base` only."""
    database = f"sqlite:///{(base / 'comfyui.db').as_posix()}"
    wanted = {
        "--disable-auto-launch": [],
        "--disable-api-nodes": [],
        "--database-url": [database],
        "--base-directory": [str(base)],
    }
    options = [word for option, values in wanted.items() if option in offered for word in (option, *values)]
    if "--base-directory" in offered:
        return checkout, options
    shutil.copytree(
        checkout, base, dirs_exist_ok=True, ignore=lambda folder, _: USERS if folder == str(checkout) else ()
    )
    return base, options


def messages(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """The JSON messages of a WebSocket's server (RFC 6455: unmasked frames), other frames left out."""
    while head := file.read(2):
        length = head[1]
        if length >= 126:
            length = int.from_bytes(file.read(2 if length == 126 else 8), "big")
        payload = file.read(length)
        if head[0] == 0x81:  # a whole message of text
            yield json.loads(payload)


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
    (saved,) = comfyui.pictures(comfyui.result(comfyui.submit(image, model=model, scale=scale, **options)))
    assert_saved_as_by_the_api(saved, image, model, scale)


def test_a_batch_is_enlarged_image_by_image_with_one_progress_bar(comfyui: ComfyUI) -> None:
    batch = [noise(40, 60, seed=seed) for seed in range(3)]
    with comfyui.listen("batch") as said:
        prompt_id = comfyui.submit(*batch, client_id="batch", model="random", scale=2)
        steps = []
        for message in said:
            facts = message["data"]
            if message["type"] == "progress" and facts["node"] == "node":
                steps.append(facts["value"])
                assert facts["max"] == len(batch) * 100
            if message["type"] == "executing" and facts["node"] is None:
                break
    assert steps == sorted(steps)
    assert {100, 200, 300} <= set(steps)
    for saved, image in zip(comfyui.pictures(comfyui.result(prompt_id)), batch, strict=True):
        assert_saved_as_by_the_api(saved, image, "random", 2)


def test_interrupt_drops_the_worker_s_job_and_the_next_prompt_runs(comfyui: ComfyUI) -> None:
    worker = comfyui.worker
    begun, dropped = len(worker.begun), len(worker.drops)
    prompt_id = comfyui.submit(noise(3000, 4000, seed=0), model="random", scale=4)
    wait_until(lambda: len(worker.begun) > begun, PROMPT_SECONDS, "the worker to begin")
    time.sleep(0.3)  # into the computing
    assert len(worker.begun) == begun + 1
    interrupted_at = time.time()
    comfyui.ask("/interrupt", b"{}")
    wait_until(lambda: len(worker.drops) > dropped, PROMPT_SECONDS, "the worker to drop the job")
    assert worker.drops[-1].at - interrupted_at < CANCEL_DEADLINE_SECONDS
    result = comfyui.result(prompt_id)
    assert not result["status"]["completed"]
    assert "execution_interrupted" in [event for event, _ in result["status"]["messages"]]
    assert not result["outputs"]

    image = noise(30, 40, seed=1)
    (saved,) = comfyui.pictures(comfyui.result(comfyui.submit(image, model="nearest", scale=2)))
    assert_saved_as_by_the_api(saved, image, "nearest", 2)


def test_what_the_worker_refuses_is_the_error_that_comfyui_shows(comfyui: ComfyUI) -> None:
    image = noise(20, 20, seed=2)
    result = comfyui.result(comfyui.submit(image, model="nearest", scale=2, model_file="none.onnx"))
    (error,) = [facts for event, facts in result["status"]["messages"] if event == "execution_error"]
    assert error["node_type"] == NODE
    assert "no model 'none.onnx'" in error["exception_message"]
    assert "choose one of" in error["exception_message"], "the hint is lost"

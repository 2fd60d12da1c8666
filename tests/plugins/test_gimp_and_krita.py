"""The real `srkit serve` inside the tree: started by GIMP, killed in a job, started again, shared with Krita.

GIMP   starts a worker ─ kills it in the middle of a job ─ next run starts another ─┬─ a job ─ waits for Krita
Krita                                                         finds GIMP's worker ──┴─ a job at the same time
"""

from __future__ import annotations

import json
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from sr_core.array import upscale_image
from sr_core.frame import Array
from sr_core.testing import random_model
from sr_plugins import client
from sr_plugins.install import install, uninstall
from sr_plugins.places import Place
from sr_plugins.testing import open_test_model

HOSTS = Path(__file__).parent / "hosts"
PROJECT = Path(__file__).resolve().parents[2]
SERVE = "from srvid_cli.srkit import main; sys.argv = ['srkit', 'serve']; main()"
random = np.random.default_rng(11)


def noise(width: int, height: int, channels: int) -> Array:
    image = random.integers(0, 256, (height, width, channels), np.uint8)
    if channels == 4:
        image[..., 3] = 255
    return image


LARGE, SMALL = noise(2000, 1500, 3), noise(64, 48, 3)
OF_GIMP, OF_KRITA = noise(2400, 2000, 3), noise(2200, 2000, 4)
BGRA = [2, 1, 0, 3]  # Krita's order of 8-bit channels, and its own inverse


def by_the_api(image: Array) -> Array:
    with open_test_model(
        "random", scale=2, backend="auto", tile=None, shared_tiles=True, reuse=False, progress=None
    ) as up:
        return upscale_image(up, image)


@dataclass
class Played:
    """What the two hosts wrote, and the log of their workers."""

    folder: Path
    printed: dict[str, str]
    log: str

    def facts(self, host: str, name: str) -> dict[str, Any]:
        path = self.folder / f"{name}.json"
        assert path.exists(), f"{host} did not get as far as {name!r}; it printed:\n{self.printed[host][-3000:]}"
        facts: dict[str, Any] = json.loads(path.read_text())
        return facts

    def pixels(self, name: str, like: Array, factor: int = 1) -> Array:
        height, width, channels = like.shape
        raw = (self.folder / name).read_bytes()
        return np.frombuffer(raw, np.uint8).reshape(height * factor, width * factor, channels)


def gimp_scenario(folder: Path, name: str, image: Array, scale: int, **fields: Any) -> dict[str, Any]:
    (folder / f"{name}.in").write_bytes(image.tobytes())
    height, width = image.shape[:2]
    layer = {"name": "layer", "pixels": f"{name}.in", "babl": "R'G'B' u8", "width": width, "height": height}
    scenario = {"name": name, "width": width, "height": height, "base": "RGB", "precision": "u8-non-linear"}
    return scenario | {"layers": [layer], "scale": scale, "scope": "image"} | fields


@pytest.fixture(scope="module")
def played(host_tree: Any, host_folder: Path) -> Played:
    """GIMP and Krita, started together."""
    binds = host_tree.binds_of(Path(sys.executable))
    inside = host_tree.inside(host_folder)
    for scale in (2, 4):
        onnx.save(random_model(scale), str(host_folder / f"random{scale}.onnx"))
    of_two = {"model_file": f"{inside}/random2.onnx"}
    scenarios = [
        gimp_scenario(host_folder, "killed", LARGE, 4, model_file=f"{inside}/random4.onnx", damage="kill worker"),
        gimp_scenario(host_folder, "after", SMALL, 2, **of_two),
        gimp_scenario(
            host_folder, "gimp's", OF_GIMP, 2, **of_two,
            meets=["gimp is ready", "krita/is ready"], stays_until="krita is done"
        ),
    ]  # fmt: skip
    (host_folder / "scenarios.json").write_text(json.dumps(scenarios))
    (host_folder / "krita").mkdir()
    height, width = OF_KRITA.shape[:2]
    (host_folder / "krita" / "krita.in").write_bytes(np.ascontiguousarray(OF_KRITA[..., BGRA]).tobytes())
    layer = {"name": "layer0", "pixels": "krita.in", "width": width, "height": height}
    scenario = {"name": "krita's", "width": width, "height": height, "model_name": "RGBA", "depth": "U8"}
    scenario |= {"profile": "sRGB-elle-V2-srgbtrc.icc", "layers": [layer], "model": f"{inside}/random2.onnx"}
    (host_folder / "krita" / "scenarios.json").write_text(
        json.dumps([scenario | {"meets": ["is ready", "../gimp is ready"]}])
    )
    printed: dict[str, str] = {}

    def krita() -> None:
        home = host_tree.root / "tmp/srvid-krita-home"
        place = Place(host="krita", root=home / ".local/share/krita", kritarc=home / ".config/kritarc")
        uninstall(place)
        install(place, models=("clear",))
        modules = home / ".local/share/krita/pykrita"
        (modules / "krita_driver.py").write_bytes((HOSTS / "krita_driver.py").read_bytes())
        try:
            printed["Krita"] = host_tree.run(
                "kritarunner", "-s", "krita_driver", "-f", "main",
                HOME=host_tree.inside(home), QT_QPA_PLATFORM="offscreen", PYTHONPATH=host_tree.inside(modules),
                SRVID_TEST_FOLDER=f"{inside}/krita", SRVID_WORKER_FILE=f"{inside}/worker.json",
            )  # fmt: skip
        finally:
            (host_folder / "krita is done").touch()

    (host_folder / "driver.py").write_bytes((HOSTS / "gimp_driver.py").read_bytes())
    home = host_tree.root / "tmp/srvid-gimp-home"
    place = Place(host="gimp", root=home / ".config/GIMP/3.0")
    uninstall(place)
    with pytest.MonkeyPatch.context() as patch:
        # srvid need not be installed in this Python, and the client lets no PYTHONPATH through
        path = [str(PROJECT), str(PROJECT / "cli")]
        command = [sys.executable, "-c", f"import sys; sys.path[:0] = {path}; {SERVE}"]
        facts = {"command": command, "worker_file": client.default_worker_file(), "models": ["clear"]}
        patch.setattr("sr_plugins.install.launch_content", lambda models: json.dumps(facts).encode())
        install(place, models=("clear",))
    thread = threading.Thread(target=krita)
    thread.start()
    try:
        printed["GIMP"] = host_tree.run(
            "gimp-console", "-i", "-d", "-f", "--batch-interpreter=python-fu-eval",
            "-b", f"exec(open('{inside}/driver.py').read())", "--quit", binds=binds,
            HOME=host_tree.inside(home), SRVID_TEST_FOLDER=inside, SRVID_WORKER_FILE=f"{inside}/worker.json",
        )  # fmt: skip
    finally:
        (host_folder / "gimp is ready").touch()
        thread.join()
        uninstall(place)
    log = host_folder / "worker.log"
    return Played(host_folder, printed, log.read_text() if log.exists() else "")


def test_a_worker_killed_in_the_middle_is_told_and_leaves_the_image_alone(played: Played) -> None:
    facts = played.facts("GIMP", "killed")
    assert facts["status"] == "execution-error"
    assert re.search(r"the srvid worker stopped in the middle of the job\n\nits log is .*/worker\.log", facts["error"])
    assert facts["size"] == [2000, 1500]
    np.testing.assert_array_equal(played.pixels("killed.0.raw", LARGE), LARGE)


def test_the_next_run_starts_another_worker(played: Played) -> None:
    facts = played.facts("GIMP", "after")
    assert facts["status"] == "success", facts["error"]
    assert facts["worker"] != played.facts("GIMP", "killed")["killed_worker"]
    np.testing.assert_array_equal(played.pixels("after.0.raw", SMALL, 2), by_the_api(SMALL))


def test_gimp_and_krita_share_one_worker_at_the_same_time(played: Played) -> None:
    of_gimp, of_krita = played.facts("GIMP", "gimp's"), played.facts("Krita", "krita/krita's")
    assert of_gimp["status"] == "success", of_gimp["error"]
    assert of_krita["error"] == ""
    assert of_gimp["worker"] == played.facts("GIMP", "after")["worker"]
    jobs = re.findall(r" (2[24]00)x2000 .*: (begun|done)", played.log)
    assert {size for size, _ in jobs} == {"2400", "2200"}, played.log
    assert [what for _, what in jobs] == ["begun", "begun", "done", "done"], played.log
    np.testing.assert_array_equal(played.pixels("gimp's.0.raw", OF_GIMP, 2), by_the_api(OF_GIMP))
    result = played.pixels("krita/krita's.layer0.raw", OF_KRITA, 2)
    np.testing.assert_array_equal(result[..., BGRA], by_the_api(OF_KRITA))

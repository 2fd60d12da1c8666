"""The plug-in inside the real GIMP 3, headless: every scenario in one session, one test a promise."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr_core.array import upscale_image
from sr_core.frame import Array
from sr_plugins.install import install, uninstall
from sr_plugins.places import Place
from sr_plugins.testing import CANCEL_DEADLINE_SECONDS, Drop, RunningWorker, SocketWatch, open_test_model

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
WIDTH, HEIGHT = 64, 48
LINEAR_FLOAT_ATOL = 2e-6  # float32 through GIMP's curve and back; measured 7e-7
ADOBE_ATOL = 1e-3  # babl's fast conversions, a quarter of an 8-bit step; measured 6.5e-4, u16 and float
random = np.random.default_rng(3)


def noise(channels: int, dtype: str = "uint8", width: int = WIDTH, height: int = HEIGHT) -> Array:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return random.random((height, width, channels)).astype(kind)
    return random.integers(0, np.iinfo(kind).max, (height, width, channels), kind, endpoint=True)


def by_the_api(image: Array, model: str = "random", scale: int = 2) -> Array:
    with open_test_model(
        model, scale=scale, backend="auto", tile=None, shared_tiles=False, reuse=False, progress=None
    ) as up:
        return upscale_image(up, image)


KINDS = {
    "rgb8": (3, "uint8"),
    "rgb8 alpha": (4, "uint8"),
    "rgb16": (3, "uint16"),
    "rgb16 alpha": (4, "uint16"),
    "float": (3, "float32"),
    "float alpha": (4, "float32"),
    "gray8": (1, "uint8"),
    "gray8 alpha": (2, "uint8"),
    "gray16": (1, "uint16"),
}
BABL = {
    (1, "uint8"): "Y' u8",
    (2, "uint8"): "Y'A u8",
    (3, "uint8"): "R'G'B' u8",
    (4, "uint8"): "R'G'B'A u8",
    (3, "uint16"): "R'G'B' u16",
    (4, "uint16"): "R'G'B'A u16",
    (1, "uint16"): "Y' u16",
    (3, "float32"): "R'G'B' float",
    (4, "float32"): "R'G'B'A float",
}


@dataclass
class Scenario:
    """One call of the procedure in GIMP, and what came of it."""

    folder: Path
    images: list[Array]
    fields: dict[str, Any]
    facts: dict[str, Any]
    before: list[Array]
    results: list[Array]
    masks: list[Array | None]


class Script:
    """Collects scenarios, plays them in one GIMP, and reads what it dumped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scenarios: dict[str, Scenario] = {}
        self.list: list[dict[str, Any]] = []

    def add(self, name: str, images: list[Array], layers: list[dict[str, Any]] | None = None, **fields: Any) -> None:
        entries = []
        for index, image in enumerate(images):
            raw = f"{name}.{index}.in"
            (self.folder / raw).write_bytes(image.tobytes())
            babl = BABL[image.shape[2], image.dtype.name]
            entry = {"name": f"layer {index}", "pixels": raw, "babl": babl}
            entry |= {"width": image.shape[1], "height": image.shape[0]}
            entry |= (layers or [{}] * len(images))[index]
            entries.append(entry)
        scenario = {
            "name": name,
            "width": max(image.shape[1] for image in images),
            "height": max(image.shape[0] for image in images),
            "base": "RGB" if images[0].shape[2] > 2 else "GRAY",
            "precision": {
                "uint8": "u8-non-linear",
                "uint16": "u16-non-linear",
                "float32": "float-non-linear",
            }[images[0].dtype.name],
            "layers": entries,
            "model": "clear",
            "scale": 2,
            "scope": "image",
            **fields,
        }
        self.list.append(scenario)
        self.scenarios[name] = Scenario(self.folder, images, scenario, {}, [], [], [])

    def collect(self) -> None:
        for name, scenario in self.scenarios.items():
            path = self.folder / f"{name}.json"
            if not path.exists():
                continue
            scenario.facts = json.loads(path.read_text())
            for index, (width, height) in enumerate(scenario.facts["sizes"]):
                image = scenario.images[index]
                raw = (self.folder / f"{name}.{index}.before.raw").read_bytes()
                scenario.before.append(np.frombuffer(raw, image.dtype).reshape(image.shape))
                raw = (self.folder / f"{name}.{index}.raw").read_bytes()
                scenario.results.append(np.frombuffer(raw, image.dtype).reshape(height, width, image.shape[2]))
                mask = self.folder / f"{name}.{index}.mask.raw"
                scenario.masks.append(
                    np.frombuffer(mask.read_bytes(), np.uint8).reshape(height, width) if mask.exists() else None
                )


@dataclass
class Played:
    """One GIMP session: its scenarios, what it printed, what the worker dropped, and what the kernel saw."""

    scenarios: dict[str, Scenario]
    printed: str
    drops: list[Drop]
    sockets: SocketWatch

    def __getitem__(self, name: str) -> Scenario:
        scenario = self.scenarios[name]
        assert scenario.facts, f"GIMP did not get as far as {name!r}; it printed:\n{self.printed[-3000:]}"
        return scenario


def script_for(folder: Path) -> Script:
    script = Script(folder)
    for name, (channels, dtype) in KINDS.items():
        script.add(name, [noise(channels, dtype)], model="random")
    translucent = noise(4)
    translucent[10:30, 20:40, 3] = 0
    script.add("transparent hole", [translucent], model="random")
    script.add("linear float", [noise(3, "float32")], precision="float-linear", model="random")
    script.add("32-bit integers", [noise(3, "float32")], precision="u32-linear", model="nearest")
    wide = noise(3, "float32") * 1.2 - 0.1  # outside sRGB, inside AdobeRGB in part
    script.add("adobe", [wide], precision="u16-non-linear", profile="adobe", model="nearest")
    script.add("adobe float", [wide], precision="float-non-linear", profile="adobe", model="nearest")
    places = [{}, {"x": 7, "y": 5}, {"x": 3, "y": 2, "in_group": True}]
    several = [noise(4), noise(4, width=30, height=20), noise(4, width=16, height=16)]
    script.add("layers", [several[0], several[2], several[1]], [places[0], places[2], places[1]], model="random")
    (folder / "mask.in").write_bytes(noise(1).tobytes())
    script.add("mask", [noise(3)], [{"mask": "mask.in"}])
    two = [noise(3, "uint16"), noise(3, "uint16", 20, 10)]
    script.add("layer to new image", two, [{}, {"x": 4}], scope="layer", model="random")
    script.add("selection", [noise(3)], scope="selection", selection=[20, 10, 16, 12], model="random")
    moved, area = [{"x": 10, "y": 6}], [30, 20, 8, 8]
    script.add("selection, layer moved", [noise(3)], moved, scope="selection", selection=area, model="random")
    small = [noise(3, width=10, height=10), noise(3)]
    script.add("selection outside", small, scope="selection", selection=[40, 30, 8, 8])
    script.add("image with a selection", [noise(3)], selection=[20, 10, 16, 12], model="random")
    script.add("large", [noise(3, width=1000, height=800)], model="nearest", scale=4)
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    script.add("the page's lines", [noise(3)], code=snippet)
    script.add("one and a half", [noise(3, width=63, height=47)], model="random", scale=1.5)
    script.add("layers, one and a half", [several[0], several[2]], [{}, {"x": 3, "y": 5}], model="random", scale=1.5)
    script.add("several models", [noise(3)], models=" own.onnx,nearest ")
    script.add("no worker", [noise(3)], damage="no worker")
    script.add("wrong token", [noise(3)], damage="token")
    script.add("missing model", [noise(3)], model="missing")
    script.add("killed's model", [noise(3)], model="random", scale=4)  # so that the kill meets the computing
    script.add("killed", [noise(3, width=2500, height=2000)], model="random", scale=4, damage="kill")
    script.add("after all that", [noise(3)], model="random")
    return script


@pytest.fixture(scope="module")
def played(host_tree: Any, host_folder: Path) -> Played:
    """GIMP, started once, with the plug-in as `srkit plug install gimp` puts it."""
    script = script_for(host_folder)
    (host_folder / "scenarios.json").write_text(json.dumps(script.list))
    driver = Path(__file__).parent / "hosts" / "gimp_driver.py"
    (host_folder / "driver.py").write_bytes(driver.read_bytes())
    home = host_tree.root / "tmp/srvid-gimp-home"  # stays: GIMP's first start there asks every plug-in
    place = Place(host="gimp", root=home / ".config/GIMP/3.0")
    uninstall(place)
    install(place, models=("clear", "random", "nearest", "missing"))
    inside = host_tree.inside(host_folder)
    file = host_folder / "worker.json"
    with RunningWorker(file) as running, SocketWatch(json.loads(file.read_text())["port"]) as sockets:
        watcher = tell_when_begun(running, host_folder)
        printed = host_tree.run(
            "gimp-console", "-i", "-d", "-f", "--batch-interpreter=python-fu-eval",
            "-b", f"exec(open('{inside}/driver.py').read())", "--quit",
            HOME=host_tree.inside(home), SRVID_TEST_FOLDER=inside, SRVID_WORKER_FILE=f"{inside}/worker.json",
        )  # fmt: skip
    watcher.join()
    script.collect()
    return Played(script.scenarios, printed, running.drops, sockets)


def tell_when_begun(running: RunningWorker, folder: Path) -> threading.Thread:
    """The driver waits for the file `computing` before it kills the plug-in."""

    def watch() -> None:
        while running.thread.is_alive():
            if any(said.startswith("2500x2000") for said in running.begun):
                (folder / "computing").touch()
                return
            time.sleep(0.02)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


# ---- pixels, against srvid's own API


@pytest.mark.parametrize("name", [*KINDS, "transparent hole"])
def test_every_depth_and_transparency_equals_the_python_api(played: Played, name: str) -> None:
    scenario = played[name]
    assert scenario.facts["status"] == "success"
    assert scenario.facts["precision"] == scenario.fields["precision"]
    np.testing.assert_array_equal(scenario.results[0], by_the_api(scenario.images[0]))


def test_linear_light_reaches_the_network_gamma_encoded(played: Played) -> None:
    scenario = played["linear float"]
    expected = by_the_api(scenario.before[0])
    np.testing.assert_allclose(scenario.results[0], expected, atol=LINEAR_FLOAT_ATOL)
    assert scenario.facts["precision"] == "float-linear"


def test_32_bit_integers_lose_nothing(played: Played) -> None:
    scenario = played["32-bit integers"]
    expected = scenario.before[0].repeat(2, 0).repeat(2, 1)
    np.testing.assert_allclose(scenario.results[0], expected, atol=LINEAR_FLOAT_ATOL)


@pytest.mark.parametrize("name", ["adobe", "adobe float"])
def test_colours_outside_srgb_survive_and_the_profile_stays(played: Played, name: str) -> None:
    scenario = played[name]
    assert scenario.facts["profile"] == "Compatible with Adobe RGB (1998)"
    assert scenario.before[0].min() < -0.01, "the image has colors outside sRGB, or this proves nothing"
    expected = scenario.before[0].repeat(2, 0).repeat(2, 1)
    np.testing.assert_allclose(scenario.results[0], expected, atol=ADOBE_ATOL)


def test_a_large_image_is_enlarged_exactly(played: Played) -> None:
    scenario = played["large"]
    np.testing.assert_array_equal(scenario.results[0], scenario.images[0].repeat(4, 0).repeat(4, 1))


def test_the_documented_lines_enlarge_an_image(played: Played) -> None:
    scenario = played["the page's lines"]
    np.testing.assert_array_equal(scenario.results[0], scenario.images[0].repeat(4, 0).repeat(4, 1))


# ---- structure


def test_every_layer_is_enlarged_on_its_own_and_keeps_place_name_and_group(played: Played) -> None:
    scenario = played["layers"]
    assert scenario.facts["groups"] == 1
    assert scenario.facts["opacities"] == [80.0] * 3
    assert scenario.facts["offsets"] == [
        [2 * layer.get("x", 0), 2 * layer.get("y", 0)] for layer in scenario.fields["layers"]
    ]
    for image, result in zip(scenario.images, scenario.results, strict=True):
        np.testing.assert_array_equal(result, by_the_api(image))


def test_a_layer_mask_is_enlarged_too(played: Played) -> None:
    scenario = played["mask"]
    mask = np.frombuffer((scenario.folder / "mask.in").read_bytes(), np.uint8).reshape(HEIGHT, WIDTH)
    assert scenario.masks[0] is not None
    np.testing.assert_array_equal(scenario.masks[0], mask.repeat(2, 0).repeat(2, 1))


def test_a_layer_becomes_a_new_image_in_the_same_precision(played: Played) -> None:
    scenario = played["layer to new image"]
    assert not scenario.facts["is_same_image"]
    assert scenario.facts["precision"] == "u16-non-linear"
    assert scenario.facts["names"] == ["layer 0"]
    np.testing.assert_array_equal(scenario.results[0], by_the_api(scenario.images[0]))


@pytest.mark.parametrize("name", ["selection", "selection, layer moved"])
def test_only_the_selected_pixels_are_enhanced(played: Played, name: str) -> None:
    scenario = played[name]
    image, result = scenario.images[0], scenario.results[0]
    left, top, width, height = scenario.fields["selection"]
    place = scenario.fields["layers"][0]
    left, top = left - place.get("x", 0), top - place.get("y", 0)
    large = by_the_api(image).astype(np.float64)
    expected = image.copy()
    small = large.reshape(HEIGHT, 2, WIDTH, 2, 3).mean((1, 3))
    inside = np.s_[top : top + height, left : left + width]
    expected[inside] = np.rint(small[inside])
    assert (expected != image).any()
    np.testing.assert_array_equal(result, expected)


def test_a_selection_does_not_limit_what_is_written_to_the_whole_image(played: Played) -> None:
    scenario = played["image with a selection"]
    np.testing.assert_array_equal(scenario.results[0], by_the_api(scenario.images[0]))


def test_a_factor_between_two_is_made_by_the_larger_and_a_resize_down(played: Played) -> None:
    scenario = played["one and a half"]
    channels = by_the_api(scenario.images[0]).astype(np.float32).transpose(2, 0, 1)  # of bytes, PIL rounds twice
    wanted = [Image.fromarray(channel).resize((95, 71), Image.Resampling.LANCZOS) for channel in channels]
    whole = np.stack([np.asarray(channel) for channel in wanted], axis=-1).clip(0, 255)
    assert scenario.facts["size"] == [95, 71]
    assert np.abs(scenario.results[0].astype(int) - whole).max() <= 1
    several = played["layers, one and a half"].facts
    assert several["size"] == [96, 72]
    assert several["sizes"] == [[96, 72], [24, 24]]
    assert several["offsets"][0] == [0, 0]
    assert all(abs(got - wanted) <= 0.5 for got, wanted in zip(several["offsets"][1], (4.5, 7.5), strict=True))


# ---- when it does not work


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("selection outside", "the selection lies outside the layer"),
        ("no worker", "srkit plug install"),  # launch.json names a Python that the tree does not have
        ("wrong token", "wrong token"),
        ("missing model", "no model 'missing'"),
        ("several models", "no model 'own.onnx,nearest'"),  # the worker of these tests runs no chains
    ],
)
def test_a_failure_says_what_to_do_and_leaves_the_image_alone(played: Played, name: str, message: str) -> None:
    scenario = played[name]
    assert scenario.facts["status"] == "execution-error"
    assert message in scenario.facts["error"]
    for image, result in zip(scenario.images, scenario.results, strict=True):
        np.testing.assert_array_equal(result, image)


def test_a_killed_plug_in_drops_its_job_and_leaves_the_image_alone(played: Played) -> None:
    scenario = played["killed"]
    assert scenario.facts["status"] != "success"
    (drop,) = played.drops
    # not from the kill: the kernel takes its time to tear down a GIMP process before it closes its sockets
    closed_at = played.sockets.end_of_the_one_open_at(scenario.facts["killed_at"])
    assert drop.at - closed_at < CANCEL_DEADLINE_SECONDS
    assert drop.tiles_before > 0, "the kill did not meet the computing"
    assert not drop.has_begun_more()
    np.testing.assert_array_equal(scenario.results[0], scenario.images[0])


def test_the_next_job_works_after_all_that(played: Played) -> None:
    scenario = played["after all that"]
    np.testing.assert_array_equal(scenario.results[0], by_the_api(scenario.images[0]))

"""The plug-in inside the real Krita 5.2: documents by kritarunner, the action in the full program."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr_core.array import upscale_image
from sr_core.frame import Array
from sr_image.color.curve import Curve, samples_from_unit
from sr_plugins.install import install, uninstall
from sr_plugins.places import Place
from sr_plugins.testing import CANCEL_DEADLINE_SECONDS, Drop, RunningWorker, open_shown_model, open_test_model

WIDTH, HEIGHT = 64, 48
DTYPES = {"U8": "uint8", "U16": "uint16", "F16": "float16", "F32": "float32"}
SRGB = "sRGB-elle-V2-srgbtrc.icc"
LINEAR = "sRGB-elle-V2-g10.icc"
random = np.random.default_rng(5)


def noise(channels: int, depth: str = "U8", width: int = WIDTH, height: int = HEIGHT) -> Array:
    kind = np.dtype(DTYPES[depth])
    if kind.kind == "f":
        return random.random((height, width, channels)).astype(kind)
    return random.integers(0, np.iinfo(kind).max, (height, width, channels), kind, endpoint=True)


def opaque(image: Array) -> Array:
    image[..., -1] = 1 if image.dtype.kind == "f" else np.iinfo(image.dtype).max
    return image


def by_the_api(image: Array, model: str = "random", scale: int = 2) -> Array:
    with open_test_model(
        model, scale=scale, backend="auto", tile=None, shared_tiles=False, reuse=False, progress=None
    ) as up:
        return upscale_image(up, image)


def in_order(image: Array) -> Array:
    """Krita's own order of channels: integers are BGRA, floats RGBA. Its own inverse."""
    if image.shape[2] == 4 and image.dtype.kind == "u":
        return np.ascontiguousarray(image[..., [2, 1, 0, 3]])
    return image


class Script:
    """Scenarios for krita_driver.py, and what it dumped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.list: list[dict[str, Any]] = []
        self.images: dict[str, dict[str, Array]] = {}
        self.printed = ""

    def add(self, name: str, images: list[Array], places: list[dict[str, Any]] | None = None, **fields: Any) -> None:
        layers = []
        self.images[name] = {}
        for index, image in enumerate(images):
            layer = {"name": f"layer{index}", "pixels": f"{name}.{index}.in"}
            layer |= {"width": image.shape[1], "height": image.shape[0]} | (places or [{}] * 9)[index]
            (self.folder / str(layer["pixels"])).write_bytes(in_order(image).tobytes())
            self.images[name][str(layer["name"])] = image
            layers.append(layer)
        depth = next(key for key, value in DTYPES.items() if value == images[0].dtype.name)
        scenario = {
            "name": name,
            "width": WIDTH,
            "height": HEIGHT,
            "model_name": "RGBA" if images[0].shape[2] == 4 else "GRAYA",
            "depth": depth,
            "profile": SRGB if images[0].shape[2] == 4 else "",
            "layers": layers,
            "model": "random",
            "scale": 2,
        }
        self.list.append(scenario | fields)

    def facts(self, name: str) -> dict[str, Any]:
        path = self.folder / f"{name}.json"
        assert path.exists(), f"Krita did not get as far as {name!r}; it printed:\n{self.printed[-3000:]}"
        facts: dict[str, Any] = json.loads(path.read_text())
        return facts

    def result(self, name: str, layer: str = "layer0", factor: int = 2) -> Array:
        facts = self.facts(name)
        assert facts["error"] == "" or factor == 1, facts["error"]
        image = self.images[name][layer]
        raw = (self.folder / f"{name}.{layer}.raw").read_bytes()
        height, width, channels = image.shape
        return in_order(np.frombuffer(raw, image.dtype).reshape(height * factor, width * factor, channels))


KINDS = {
    "rgb8": (4, "U8"),
    "rgb16": (4, "U16"),
    "half": (4, "F16"),
    "float": (4, "F32"),
    "gray8": (2, "U8"),
    "gray16": (2, "U16"),
}


@pytest.fixture(scope="module")
def krita_home(host_tree: Any) -> Path:
    """A home folder with the plug-in as `srkit plug install krita` puts it.

    It stays in the tree from one run to the next: Krita's first start there takes 15 s.
    """
    home: Path = host_tree.root / "tmp/srvid-krita-home"
    place = Place(host="krita", root=home / ".local/share/krita", kritarc=home / ".config/kritarc")
    uninstall(place)
    install(place, models=("clear", "random", "nearest"))
    return home


@pytest.fixture(scope="module")
def played(host_tree: Any, host_folder: Path, krita_home: Path) -> Script:
    """kritarunner, started once."""
    script = Script(host_folder)
    for name, (channels, depth) in KINDS.items():
        script.add(name, [opaque(noise(channels, depth))])
        script.add(f"{name} alpha", [noise(channels, depth)])
    script.add("linear", [opaque(noise(4, "F32"))], profile=LINEAR)
    places = [{}, {"x": 7, "y": 5}, {"x": 3, "y": 2, "in_group": True}]
    small = [opaque(noise(4)), opaque(noise(4, width=30, height=20)), opaque(noise(4, width=16, height=16))]
    script.add("layers", small, places, model="nearest")
    script.add("layer", [opaque(noise(4, "U16")), opaque(noise(4, "U16"))], scope="layer")
    script.add("selection", [opaque(noise(4))], scope="selection", selection=[20, 10, 16, 12, 255])
    script.add("soft selection", [opaque(noise(4, "U16"))], scope="selection", selection=[20, 10, 16, 12, 100])
    script.add("small layer", [opaque(noise(4, width=20, height=12))], [{"x": 5, "y": 30}], model="nearest")
    script.add("nothing selected", [opaque(noise(4))], scope="selection")
    script.add("cmyk", [opaque(noise(4))], model_name="CMYKA", profile="")
    script.list[-1]["layers"][0] |= {"width": 1, "height": 1}
    script.add("cancelled", [opaque(noise(4))], cancel_after=3)
    script.add("large", [opaque(noise(4, width=1200, height=800))], width=1200, height=800, model="nearest")
    (host_folder / "scenarios.json").write_text(json.dumps(script.list))
    module = krita_home / ".local/share/krita/pykrita/krita_driver.py"
    module.write_bytes((Path(__file__).parent / "hosts" / "krita_driver.py").read_bytes())
    inside, home = host_tree.inside(host_folder), host_tree.inside(krita_home)
    with RunningWorker(host_folder / "worker.json"):
        script.printed = host_tree.run(
            "kritarunner",
            "-s",
            "krita_driver",
            "-f",
            "main",
            HOME=home,
            QT_QPA_PLATFORM="offscreen",
            SRVID_TEST_FOLDER=inside,
            PYTHONPATH=f"{home}/.local/share/krita/pykrita",
            SRVID_WORKER_FILE=f"{inside}/worker.json",
        )
    return script


# ---- pixels, against srvid's own API


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", ["", " alpha"])
def test_every_depth_and_transparency_equals_the_python_api(played: Script, kind: str, alpha: str) -> None:
    image = played.images[kind + alpha]["layer0"]
    if kind == "gray16":  # a document without a profile is linear beyond 8 bits
        assert "-g10" in played.facts(kind + alpha)["profile"]
        expected = through_the_curve(image)
    else:
        expected = by_the_api(image)
    np.testing.assert_array_equal(played.result(kind + alpha), expected)
    assert played.facts(kind + alpha)["opacities"] == [200]


def through_the_curve(image: Array) -> Array:
    """Linear light, encoded for the network and decoded after, alpha as it is."""
    curve = Curve(is_linear=True)
    peak = 1 if image.dtype.kind == "f" else np.iinfo(image.dtype).max
    coded = np.concatenate([curve.encode(image[..., :-1]), image[..., -1:] / np.float32(peak)], axis=-1)
    large = by_the_api(coded)
    result = np.empty(large.shape, image.dtype)
    result[..., :-1] = curve.decode(large[..., :-1], image.dtype, is_linear_out=True)
    result[..., -1:] = samples_from_unit(large[..., -1:], image.dtype)
    return result


def test_a_linear_profile_is_encoded_for_the_network_and_kept(played: Script) -> None:
    image = played.images["linear"]["layer0"]
    np.testing.assert_array_equal(played.result("linear"), through_the_curve(image))
    assert played.facts("linear")["profile"] == LINEAR


def test_a_large_document_is_enlarged_exactly(played: Script) -> None:
    image = played.images["large"]["layer0"]
    np.testing.assert_array_equal(played.result("large"), image.repeat(2, 0).repeat(2, 1))


# ---- structure


def test_a_small_layer_leaves_nothing_where_it_was(played: Script) -> None:
    image = played.images["small layer"]["layer0"]
    np.testing.assert_array_equal(played.result("small layer"), image.repeat(2, 0).repeat(2, 1))
    assert played.facts("small layer")["bounds"] == [[10, 60, 40, 24]]


@pytest.mark.parametrize("layer", ["layer0", "layer1", "layer2"])
def test_every_layer_keeps_its_place_its_group_and_its_opacity(played: Script, layer: str) -> None:
    image = played.images["layers"][layer]
    np.testing.assert_array_equal(played.result("layers", layer), image.repeat(2, 0).repeat(2, 1))
    assert played.facts("layers")["groups"] == 1
    assert played.facts("layers")["opacities"] == [200] * 3


def test_a_layer_becomes_a_new_document_in_the_same_depth_and_profile(played: Script) -> None:
    facts = played.facts("layer")
    assert not facts["is_same_document"]
    assert (facts["depth"], facts["profile"]) == ("U16", SRGB)
    np.testing.assert_array_equal(played.result("layer"), by_the_api(played.images["layer"]["layer0"]))


@pytest.mark.parametrize(("name", "share"), [("selection", 1.0), ("soft selection", 100 / 255)])
def test_only_the_selected_pixels_are_enhanced_by_the_selection_s_strength(
    played: Script, name: str, share: float
) -> None:
    image = played.images[name]["layer0"]
    small = by_the_api(image).astype(np.float64).reshape(HEIGHT, 2, WIDTH, 2, 4).mean((1, 3))
    inside, expected = np.s_[10:22, 20:36], image.astype(np.float64)
    expected[inside] += (np.rint(small[inside]) - expected[inside]) * share
    result = played.result(name, factor=1)
    assert (result[inside] != image[inside]).mean() > 0.3
    assert np.abs(result - expected).max() <= 0.5001


# ---- when it does not work


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing selected", "nothing is selected"),
        ("cmyk", "only RGB and grayscale can be enlarged"),
        ("cancelled", "cancelled"),
    ],
)
def test_a_refusal_or_a_cancel_leaves_the_document_alone(played: Script, name: str, message: str) -> None:
    facts = played.facts(name)
    assert message in facts["error"]
    assert facts["size"] == [WIDTH, HEIGHT]
    if name != "cmyk":
        np.testing.assert_array_equal(played.result(name, factor=1), played.images[name]["layer0"])


# ---- the action, in the full program


@dataclass
class Gui:
    """What the test-only plug-in saw and did."""

    facts: dict[str, Any]
    folder: Path
    small: Array
    drops: list[Drop]


@pytest.fixture(scope="module")
def gui(host_tree: Any, host_folder: Path, krita_home: Path, photo: Array) -> Gui:
    """Krita under Xvfb, started once, worked by krita_gui_driver.py."""
    data = krita_home / ".local/share/krita/pykrita"
    driver = Path(__file__).parent / "hosts" / "krita_gui_driver.py"
    (data / "srvid_test").mkdir(exist_ok=True)
    (data / "srvid_test" / "__init__.py").write_bytes(driver.read_bytes())
    desktop = "[Desktop Entry]\nType=Service\nServiceTypes=Krita/PythonPlugin\nX-KDE-Library=srvid_test\n"
    (data / "srvid_test.desktop").write_text(desktop + "X-Python-2-Compatible=false\nName=test\nComment=test\n")
    kritarc = krita_home / ".config/kritarc"
    before = kritarc.read_text()
    kritarc.write_text(before.replace("[python]\n", "[python]\nenable_srvid_test=true\n"))
    small = opaque(noise(4))
    for name, image in (
        ("small", small),
        ("large", opaque(noise(4, width=2500, height=2000))),
        ("photo", np.asarray(Image.fromarray(photo).resize((600, 335)).convert("RGBA"))),
    ):
        (host_folder / f"{name}.in").write_bytes(in_order(image).tobytes())
    inside, home = host_tree.inside(host_folder), host_tree.inside(krita_home)
    with RunningWorker(host_folder / "worker.json", opener=open_shown_model) as running:
        printed = host_tree.run(
            "xvfb-run", "-a", "-s", "-screen 0 1280x800x24", "krita", "--nosplash",
            HOME=home, SRVID_TEST_FOLDER=inside, SRVID_WORKER_FILE=f"{inside}/worker.json",
        )  # fmt: skip
        drops = list(running.drops)
    kritarc.write_text(before)
    assert (host_folder / "gui.json").exists(), printed[-3000:]
    facts = json.loads((host_folder / "gui.json").read_text())
    assert "failed" not in facts, facts["failed"]
    keep_pictures(host_folder)
    return Gui(facts, host_folder, small, drops)


def keep_pictures(folder: Path) -> None:
    """Copy the pictures made on the way to $SRVID_PICTURES, for the documentation."""
    if target := os.environ.get("SRVID_PICTURES"):
        for path in (*folder.glob("*.png"), *folder.glob("*.jpg")):
            shutil.copy(path, target)


def test_the_action_enlarges_the_open_document(gui: Gui) -> None:
    assert gui.facts["size"] == [128, 96]
    result = np.frombuffer((gui.folder / "gui.raw").read_bytes(), np.uint8).reshape(96, 128, 4)
    np.testing.assert_array_equal(in_order(result), by_the_api(gui.small))


def test_undo_brings_the_document_back(gui: Gui) -> None:
    assert gui.facts["undone"]
    assert gui.facts["undo_steps"] == 3  # canvas, layer added, layer removed: Krita's API has no groups


def test_cancel_in_the_progress_dialog_takes_half_a_second_and_changes_nothing(gui: Gui) -> None:
    assert gui.facts["cancelled_at"] is not None, "the progress dialog never showed"
    assert gui.facts["cancel_seconds"] < CANCEL_DEADLINE_SECONDS
    assert gui.facts["untouched"]
    assert len(gui.drops) == 1
    assert gui.drops[0].at - gui.facts["cancelled_at"] < CANCEL_DEADLINE_SECONDS


def test_several_models_can_be_typed_and_a_factor_between_two_chosen(gui: Gui) -> None:
    ((text, _),) = gui.facts["asked_for"]
    assert "own.onnx,nearest" in text  # the worker of these tests runs no chains
    assert gui.facts["size_of_one_and_a_half"] == [96, 72]


def test_without_a_worker_a_box_says_what_to_run(gui: Gui) -> None:
    ((text, hint),) = gui.facts["errors"]
    assert "worker" in text
    assert "srkit plug install" in hint  # launch.json names a Python that the tree does not have

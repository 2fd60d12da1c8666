"""The widget in the real napari, run by pytest inside the host tree, under Xvfb (see test_napari.py)."""

import itertools
import os
import time

import av
import npe2
import numpy as np
import pytest
from PIL import Image

import srvid
from sr_core.array import upscale_image
from sr_plugins.testing import CANCEL_DEADLINE_SECONDS

random = np.random.default_rng(4)


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


@pytest.fixture
def widget(viewer):
    from sr_plugins.hosts.napari.widget import make_widget

    made = make_widget()
    viewer.window.add_dock_widget(made, name="Upscale")
    return made


def play(qtbot, viewer, widget, data, name="in", **layer):
    viewer.add_image(data, name=name, **layer)
    widget.layer.reset_choices()
    widget.layer.value = viewer.layers[name]
    widget.run.native.click()
    qtbot.waitUntil(lambda: f"{name} x2" in viewer.layers, timeout=600_000)
    qtbot.waitUntil(lambda: widget.worker is None, timeout=600_000)
    return viewer.layers[f"{name} x2"]


def by_the_api(image):
    with srvid.open_upscaler("clear", scale=2) as upscaler:
        return upscale_image(upscaler, image)


def test_npe2_accepts_the_manifest():
    manifest = npe2.PluginManifest.from_file(os.environ["SRVID_NAPARI_YAML"])
    assert manifest.contributions.widgets[0].display_name == "Upscale"
    assert callable(manifest.contributions.commands[0].python_name and manifest.contributions.commands[0].exec)


def test_rgb_becomes_a_layer_over_the_old_one(qtbot, viewer, widget):
    data = random.integers(0, 256, (48, 64, 3), np.uint8)
    layer = play(qtbot, viewer, widget, data, rgb=True, scale=(3.0, 2.0), translate=(10.0, 20.0))
    np.testing.assert_array_equal(layer.data, by_the_api(data))
    assert tuple(layer.scale) == (1.5, 1.0)
    before, after = viewer.layers["in"], layer
    for corner, finer in (((-0.5, -0.5), (-0.5, -0.5)), ((47.5, 63.5), (95.5, 127.5))):
        np.testing.assert_allclose(before.data_to_world(corner), after.data_to_world(finer))


def test_a_rotated_stack_of_16_bits_stays_in_place(qtbot, viewer, widget):
    data = random.integers(0, 4000, (3, 24, 32), np.uint16)
    layer = play(
        qtbot, viewer, widget, data, rotate=30, shear=[0.1, 0.2, 0.0], scale=(5, 2, 2), affine=np.diag([1, 2, 3, 1])
    )
    for plane, source in zip(layer.data, data, strict=True):
        np.testing.assert_array_equal(plane, by_the_api(source))
    before = viewer.layers["in"].data_to_world((1, 23.5, -0.5))
    np.testing.assert_allclose(before, layer.data_to_world((1, 47.5, -0.5)))


def test_a_time_series_in_colour_is_enlarged_frame_by_frame(qtbot, viewer, widget):
    with av.open(os.environ["SRVID_CLIP"]) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in itertools.islice(file.decode(video=0), 2)]
    layer = play(qtbot, viewer, widget, np.stack(frames), name="flower", rgb=True)
    for frame, source in zip(layer.data, frames, strict=True):
        np.testing.assert_array_equal(frame, by_the_api(source))
    if target := os.environ.get("SRVID_PICTURES"):
        photograph(qtbot, viewer, os.path.join(target, "napari.png"))


def photograph(qtbot, viewer, path):
    """The window with both layers, one above the other, near enough to see the pixels."""
    viewer.grid.enabled, viewer.grid.shape = True, (2, 1)
    viewer.window.resize(1280, 760)
    qtbot.wait(200)
    viewer.reset_view()
    viewer.camera.zoom *= 1.6
    qtbot.wait(200)
    viewer.screenshot(path, canvas_only=False)


def test_several_models_are_typed_and_a_factor_between_two_lies_over_the_layer(qtbot, viewer, widget):
    data = random.integers(0, 256, (21, 31), np.uint8)
    widget.models.value, widget.scale.value = " clear-x2,clear-x2 ", 1.5
    viewer.add_image(data, name="in")
    widget.layer.reset_choices()
    widget.run.native.click()
    qtbot.waitUntil(lambda: "in x1.5" in viewer.layers, timeout=600_000)
    before, after = viewer.layers["in"], viewer.layers["in x1.5"]
    assert after.data.shape == (32, 47)
    for corner, finer in (((-0.5, -0.5), (-0.5, -0.5)), ((20.5, 30.5), (31.5, 46.5))):
        np.testing.assert_allclose(before.data_to_world(corner), after.data_to_world(finer))
    with srvid.open_upscaler("clear-x2,clear-x2", scale=4) as upscaler:
        large = Image.fromarray(upscale_image(upscaler, data).astype(np.float32))
    whole = np.asarray(large.resize((47, 32), Image.Resampling.LANCZOS)).clip(0, 255)
    assert np.abs(after.data - whole).max() <= 1


def test_cancel_ends_within_half_a_second_and_adds_nothing(qtbot, viewer, widget):
    viewer.add_image(random.integers(0, 256, (2, 1500, 1500), np.uint8), name="in")
    widget.layer.reset_choices()
    widget.run.native.click()
    qtbot.wait(1500)
    worker = widget.worker
    assert worker is not None, "it was done before it could be cancelled"
    started = time.monotonic()
    widget.cancel.native.click()
    assert widget.run.enabled
    assert time.monotonic() - started < CANCEL_DEADLINE_SECONDS
    qtbot.waitUntil(lambda: not worker.is_running, timeout=600_000)
    assert time.monotonic() - started < 10 * CANCEL_DEADLINE_SECONDS, "tiles that had not begun were computed"
    assert [layer.name for layer in viewer.layers] == ["in"]


def test_an_error_is_shown_with_its_hint(qtbot, viewer, widget):
    from napari.utils.notifications import notification_manager

    viewer.add_image(np.full((8, 8), np.nan, np.float32), name="in")
    widget.layer.reset_choices()
    widget.run.native.click()
    qtbot.waitUntil(lambda: widget.worker is None, timeout=600_000)
    said = [str(record.message) for record in notification_manager.records]
    assert any("NaN" in text and "replace these pixels" in text for text in said), said
    assert len(viewer.layers) == 1

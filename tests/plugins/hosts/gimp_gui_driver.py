"""Runs inside GIMP's Python console with its windows open: calls the procedure as the menu does.

Waits for files that test_gimp_gui.py makes after it has pressed keys; writes gui.json.
"""

import json
import os
import time

from gi.repository import Gegl, Gimp

FOLDER = os.environ["SRVID_TEST_FOLDER"]


def path(name):
    return os.path.join(FOLDER, name)


def say(name):
    with open(path(name) + ".part", "w") as file:
        file.write(os.environ["DISPLAY"])
    os.rename(path(name) + ".part", path(name))


def wait_for(name, seconds=600):
    deadline = time.time() + seconds
    while not os.path.exists(path(name)):
        assert time.time() < deadline, "nobody made " + name
        time.sleep(0.05)


def pixels(image):
    layer = image.get_layers()[0]
    extent = Gegl.Rectangle.new(0, 0, layer.get_width(), layer.get_height())
    return layer.get_buffer().get(extent, 1.0, "R'G'B' u8", Gegl.AbyssPolicy.CLAMP)


def shown(name, width, height):
    """(an image with these pixels in a window, its display)."""
    image = Gimp.Image.new(width, height, Gimp.ImageBaseType.RGB)
    layer = Gimp.Layer.new(image, "photo", width, height, Gimp.ImageType.RGB_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(layer, None, 0)
    with open(path(name), "rb") as file:
        buffer = layer.get_buffer()
        buffer.set(Gegl.Rectangle.new(0, 0, width, height), "R'G'B' u8", file.read())
        buffer.flush()
    layer.update(0, 0, width, height)
    display = Gimp.Display.new(image)
    Gimp.displays_flush()
    time.sleep(2)
    return image, display


def upscale(image, run_mode, **options):
    """The status of the procedure."""
    procedure = Gimp.get_pdb().lookup_procedure("srvid-upscale")
    config = procedure.create_config()
    config.set_property("run-mode", run_mode)
    config.set_property("image", image)
    config.set_core_object_array("drawables", image.get_layers())
    for name, value in options.items():
        config.set_property(name, value)
    return procedure.run(config).index(0).value_nick


Gegl.init(None)
facts = {}
image, display = shown("photo.in", 240, 134)
before = pixels(image)
say("asking")  # the dialog opens now; the test takes a picture and presses Return
facts["status"] = upscale(image, Gimp.RunMode.INTERACTIVE)
facts["size"] = [image.get_width(), image.get_height()]
with open(path("gui.raw"), "wb") as file:
    file.write(pixels(image))
time.sleep(1)
say("done")  # the test presses Ctrl+Z once
wait_for("undone")
deadline = time.time() + 600
while image.get_width() != 240 and time.time() < deadline:
    time.sleep(0.1)
facts["size_after_undo"] = [image.get_width(), image.get_height()]
facts["is_undone"] = pixels(image) == before
display.delete()
image, _ = shown("large.in", 3000, 1675)
before = pixels(image)
say("computing")  # the test clicks Cancel
facts["status_of_cancelled"] = upscale(image, Gimp.RunMode.NONINTERACTIVE, model="random", scale=4)
facts["size_after_cancel"] = [image.get_width(), image.get_height()]
facts["is_untouched"] = pixels(image) == before
with open(path("gui.json"), "w") as file:
    json.dump(facts, file)

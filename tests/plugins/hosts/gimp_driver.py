"""Runs inside GIMP's Python console: builds images, calls the procedure, dumps what became of them.

The folder in $SRVID_TEST_FOLDER holds scenarios.json (a list, see test_gimp.py) and one raw file a
layer; for each scenario NAME this writes NAME.json (facts) and NAME.N.raw (pixels of layer N).
"""

import json
import os
import signal
import threading
import time

from gi.repository import Gegl, Gimp, Gio

FOLDER = os.environ["SRVID_TEST_FOLDER"]
PRECISIONS = {value.value_nick: value for value in Gimp.Precision.__enum_values__.values()}
TYPES = {
    ("GRAY", False): Gimp.ImageType.GRAY_IMAGE,
    ("GRAY", True): Gimp.ImageType.GRAYA_IMAGE,
    ("RGB", False): Gimp.ImageType.RGB_IMAGE,
    ("RGB", True): Gimp.ImageType.RGBA_IMAGE,
}


def path(name):
    return os.path.join(FOLDER, name)


def fill(drawable, name, babl):
    with open(path(name), "rb") as file:
        data = file.read()
    buffer = drawable.get_buffer()
    buffer.set(Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height()), babl, data)
    buffer.flush()
    drawable.update(0, 0, drawable.get_width(), drawable.get_height())


def dump(drawable, name, babl):
    extent = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    with open(path(name), "wb") as file:
        file.write(drawable.get_buffer().get(extent, 1.0, babl, Gegl.AbyssPolicy.CLAMP))


def build(scenario):
    base = scenario["base"]
    image = Gimp.Image.new_with_precision(
        scenario["width"],
        scenario["height"],
        getattr(Gimp.ImageBaseType, base),
        PRECISIONS[scenario["precision"]],
    )
    if scenario.get("profile") == "adobe":
        image.set_color_profile(Gimp.ColorProfile.new_rgb_adobe())
    group = None
    for index, layer in enumerate(scenario["layers"]):
        kind = TYPES[base, layer["babl"].split()[0].endswith("A")]
        new = Gimp.Layer.new(image, layer["name"], layer["width"], layer["height"], kind, 80.0, Gimp.LayerMode.NORMAL)
        if layer.get("in_group"):
            if group is None:
                group = Gimp.GroupLayer.new(image, "group")
                image.insert_layer(group, None, len(image.get_layers()))
            image.insert_layer(new, group, -1)
        else:
            image.insert_layer(new, None, -1 if index == 0 else len(image.get_layers()))
        new.set_offsets(layer.get("x", 0), layer.get("y", 0))
        if "pixels" in layer:
            fill(new, layer["pixels"], layer["babl"])
        if "mask" in layer:
            mask = new.create_mask(Gimp.AddMaskType.WHITE)
            new.add_mask(mask)
            fill(mask, layer["mask"], "Y u8")
    if scenario.get("selection"):
        image.select_rectangle(Gimp.ChannelOps.REPLACE, *scenario["selection"])
    return image


def paint_layers(layers):
    for layer in layers:
        if layer.is_group():
            yield from paint_layers(layer.get_children())
        else:
            yield layer


def kill_plugin(facts):
    """What GIMP's Cancel does: kill the plug-in's process, once it has begun to wait for rows.

    This GIMP's own: other tests may run another one at the same time.
    """
    ours = os.fsencode("SRVID_WORKER_FILE=" + os.environ["SRVID_WORKER_FILE"])
    deadline = time.time() + 600
    while time.time() < deadline:
        for name in os.listdir("/proc"):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read()
                with open(f"/proc/{name}/environ", "rb") as file:
                    is_ours = ours in file.read().split(b"\0")
            except OSError:
                continue
            if is_ours and b"srvid_upscale.py" in words and b"-run" in words and os.path.exists(path("computing")):
                time.sleep(0.3)  # into the middle of it
                facts["killed_at"] = time.time()
                os.kill(int(name), signal.SIGKILL)
                return
        time.sleep(0.02)


def kill_worker(facts):
    """Kill the worker, once it has begun with the image."""
    log = os.path.splitext(os.environ["SRVID_WORKER_FILE"])[0] + ".log"
    deadline = time.time() + 600
    while time.time() < deadline:
        if os.path.exists(log):
            with open(log) as file:
                if ": begun" in file.read():
                    time.sleep(0.5)  # into the middle of it
                    facts["killed_worker"] = worker_pid()
                    os.kill(facts["killed_worker"], signal.SIGKILL)
                    return
        time.sleep(0.02)


def worker_pid():
    with open(os.environ["SRVID_WORKER_FILE"]) as file:
        return json.load(file)["pid"]


def wait_for(name):
    """Wait for a file that the test, or a driver in another host, makes."""
    deadline = time.time() + 600
    while not os.path.exists(path(name)):
        assert time.time() < deadline, "nobody made " + name
        time.sleep(0.01)


KILLERS = {"kill": kill_plugin, "kill worker": kill_worker}


def damage(how):
    """Break the way to the worker; return what mends it."""
    file = os.environ["SRVID_WORKER_FILE"]
    with open(file) as opened:
        before = opened.read()
    if how == "no worker":
        os.rename(file, file + ".away")
        return lambda: os.rename(file + ".away", file)
    with open(file, "w") as opened:
        json.dump(dict(json.loads(before), token="wrong"), opened)

    def mend():
        with open(file, "w") as opened:
            opened.write(before)

    return mend


def play(scenario):
    image, facts = build(scenario), {}
    before = image.get_layers()
    for index, layer in enumerate(paint_layers(before)):
        dump(layer, f"{scenario['name']}.{index}.before.raw", scenario["layers"][index]["babl"])
    procedure = Gimp.get_pdb().lookup_procedure("srvid-upscale")
    assert procedure is not None, "GIMP did not find the plug-in"
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", image)
    config.set_core_object_array("drawables", [next(paint_layers(before))])
    for name in ("scale", "scope", "model", "models", "strength", "sharpen", "grain"):
        if name in scenario:
            config.set_property(name, scenario[name])
    if "model_file" in scenario:
        config.set_property("model-file", Gio.File.new_for_path(scenario["model_file"]))
    mend = damage(scenario["damage"]) if scenario.get("damage") in ("no worker", "token") else None
    killer = KILLERS.get(scenario.get("damage"))
    if killer:
        thread = threading.Thread(target=killer, args=(facts,))
        thread.start()
    if "meets" in scenario:
        mine, theirs = scenario["meets"]
        open(path(mine), "w").close()
        wait_for(theirs)
    started = time.time()
    result = procedure.run(config)
    facts["seconds"] = time.time() - started
    if mend:
        mend()
    if killer:
        thread.join()
    facts["status"] = result.index(0).value_nick
    facts["error"] = Gimp.get_pdb().get_last_error()
    if os.path.exists(os.environ["SRVID_WORKER_FILE"]):
        facts["worker"] = worker_pid()
    shown = result.index(1) if facts["status"] == "success" else image
    layers = list(paint_layers(shown.get_layers()))
    facts.update(
        is_same_image=shown == image,
        size=[shown.get_width(), shown.get_height()],
        precision=shown.get_precision().value_nick,
        profile=shown.get_color_profile().get_description() if shown.get_color_profile() else None,
        names=[layer.get_name() for layer in layers],
        opacities=[round(layer.get_opacity(), 1) for layer in layers],
        offsets=[list(layer.get_offsets()[1:]) for layer in layers],
        sizes=[[layer.get_width(), layer.get_height()] for layer in layers],
        masks=[layer.get_mask() is not None for layer in layers],
        groups=sum(layer.is_group() for layer in shown.get_layers()),
    )
    for index, layer in enumerate(layers):
        dump(layer, f"{scenario['name']}.{index}.raw", scenario["layers"][index]["babl"])
        if layer.get_mask():
            dump(layer.get_mask(), f"{scenario['name']}.{index}.mask.raw", "Y u8")
    with open(path(scenario["name"] + ".json"), "w") as file:
        json.dump(facts, file)
    if "stays_until" in scenario:
        wait_for(scenario["stays_until"])
    image.delete()
    if shown != image:
        shown.delete()


def play_code(scenario):
    """Run lines of the documents as they stand: they find `image`, and leave the enlarged one in `result`."""
    name, babl = scenario["name"], scenario["layers"][0]["babl"]
    names = {"Gimp": Gimp, "image": build(scenario)}
    dump(names["image"].get_layers()[0], f"{name}.0.before.raw", babl)
    exec(scenario["code"], names)
    (layer,) = names["result"].get_layers()
    dump(layer, f"{name}.0.raw", babl)
    with open(path(name + ".json"), "w") as file:
        json.dump({"sizes": [[layer.get_width(), layer.get_height()]]}, file)


Gegl.init(None)
with open(path("scenarios.json")) as opened:
    for scenario in json.load(opened):
        (play_code if "code" in scenario else play)(scenario)

"""Runs inside kritarunner: builds documents, upscales them, dumps what became of them.

As gimp_driver.py: scenarios.json and raw files in $SRVID_TEST_FOLDER; NAME.json and NAME.N.raw out.
kritarunner exits 0 whatever happens, so the files are the result.
"""

import json
import os
import time
import traceback

from krita import Krita, Selection
from PyQt5.QtCore import QByteArray
from srvid_upscale import document as plugin
from srvid_upscale import srvid_client as client

FOLDER = os.environ["SRVID_TEST_FOLDER"]


def path(name):
    return os.path.join(FOLDER, name)


def build(scenario):
    document = Krita.instance().createDocument(
        scenario["width"], scenario["height"], "test", scenario["model_name"], scenario["depth"],
        scenario.get("profile", ""), 72.0,
    )  # fmt: skip
    document.setBatchmode(True)
    for node in document.topLevelNodes():
        node.remove()
    root = document.rootNode()
    for layer in scenario["layers"]:
        node = document.createNode(layer["name"], "paintlayer")
        if layer.get("in_group"):
            group = document.createGroupLayer("group")
            root.addChildNode(group, None)
            group.addChildNode(node, None)
        else:
            root.addChildNode(node, None)
        with open(path(layer["pixels"]), "rb") as file:
            data = QByteArray(file.read())
        node.setPixelData(data, layer.get("x", 0), layer.get("y", 0), layer["width"], layer["height"])
        node.setOpacity(200)
    if scenario.get("selection"):
        x, y, width, height, value = scenario["selection"]
        selection = Selection()
        selection.select(x, y, width, height, value)
        document.setSelection(selection)
    document.refreshProjection()
    document.waitForDone()
    return document


def play(scenario):
    document, facts = build(scenario), {"error": ""}
    nodes = list(plugin.paint_layers(document.topLevelNodes()))
    by_name = {node.name(): node for node in nodes}
    options = plugin.Options(scenario.get("model", "clear"), scenario.get("scale", 2), scenario.get("scope", "image"))
    polls = []

    def cancelled():
        polls.append(1)
        return scenario.get("cancel_after", 1 << 30) < len(polls)

    if "meets" in scenario:
        mine, theirs = scenario["meets"]
        open(path(mine), "w").close()
        deadline = time.time() + 600
        while not os.path.exists(path(theirs)) and time.time() < deadline:
            time.sleep(0.01)
    shown = document
    try:
        parts = plugin.read_parts(document, by_name[scenario["layers"][0]["name"]], options)
        plugin.enlarge(parts, options, lambda phase, share: None, cancelled)
        shown = plugin.apply(document, parts, options)
    except client.WorkerError as error:
        facts["error"] = str(error)
    except client.JobCancelled:
        facts["error"] = "cancelled"
    nodes = {node.name(): node for node in plugin.paint_layers(shown.topLevelNodes())}
    facts.update(
        is_same_document=shown is document,
        size=[shown.width(), shown.height()],
        model=shown.colorModel(),
        depth=shown.colorDepth(),
        profile=shown.colorProfile(),
        profile_before=document.colorProfile(),
        names=sorted(nodes),
        groups=sum(node.type() == "grouplayer" for node in shown.topLevelNodes()),
        bounds=[[n.bounds().x(), n.bounds().y(), n.bounds().width(), n.bounds().height()] for n in nodes.values()],
        opacities=sorted(node.opacity() for node in nodes.values()),
    )
    factor = shown.width() // scenario["width"] if shown is document else scenario["scale"]
    for layer in scenario["layers"]:
        if layer["name"] not in nodes:
            continue
        rect = [layer.get(side, 0) * factor for side in ("x", "y", "width", "height")]
        if shown is not document:
            rect[:2] = 0, 0
        with open(path(f"{scenario['name']}.{layer['name']}.raw"), "wb") as file:
            file.write(bytes(nodes[layer["name"]].pixelData(*rect)))
    with open(path(scenario["name"] + ".json"), "w") as file:
        json.dump(facts, file)
    document.setModified(False)
    document.close()


def main(_arguments=None):
    Krita.instance().setBatchmode(True)
    try:
        with open(path("scenarios.json")) as file:
            for scenario in json.load(file):
                play(scenario)
    except BaseException:
        traceback.print_exc()
        os._exit(3)
    print("ALL PLAYED", flush=True)
    os._exit(0)

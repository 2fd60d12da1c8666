"""A 24-megapixel image x2 in the real GIMP: the plug-in against exporting, a command and importing.

    plug-in   GIMP ─► rows over a socket ─► worker ─► rows ─► GIMP
    files     GIMP ─► PNG ─► srbatch ─► PNG ─► GIMP                 (what a user does without it)

Both with the same stand-in network (nearest) on OpenVINO, so what differs is the way. Needs the host
tree of `make test-hosts` and root. Prints seconds and their ratio, and the latency of a cancel.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import onnx

from sr_core.testing import nearest_model, picture
from sr_plugins import client
from sr_plugins.install import install, uninstall
from sr_plugins.places import Place
from sr_plugins.testing import RunningWorker, job_of

PROJECT = Path(__file__).resolve().parent.parent
HOSTS = PROJECT / "tests" / "plugins" / "hosts"
WIDTH, HEIGHT = 6000, 4000
DRIVER = """
import json, os, time
from gi.repository import Gegl, Gimp, Gio
F, W, H = os.environ["FOLDER"], {width}, {height}
Gegl.init(None)
image = Gimp.Image.new(W, H, Gimp.ImageBaseType.RGB)
layer = Gimp.Layer.new(image, "photo", W, H, Gimp.ImageType.RGB_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
image.insert_layer(layer, None, 0)
buffer = layer.get_buffer()
buffer.set(Gegl.Rectangle.new(0, 0, W, H), "R'G'B' u8", open(F + "/photo.raw", "rb").read())
buffer.flush()
image.undo_disable()
took = {{}}

def clock(name, work):
    started = time.time()
    work()
    took[name] = time.time() - started

def wait_for(name):
    while not os.path.exists(F + "/" + name):
        time.sleep(0.01)

def plugin(scale_of=image):
    procedure = Gimp.get_pdb().lookup_procedure("srvid-upscale")
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", scale_of)
    config.set_core_object_array("drawables", scale_of.get_layers())
    config.set_property("model", "nearest")
    result = procedure.run(config)
    assert result.index(0).value_nick == "success", Gimp.get_pdb().get_last_error()

small = Gimp.Image.new(64, 64, Gimp.ImageBaseType.RGB)
dot = Gimp.Layer.new(small, "x", 64, 64, Gimp.ImageType.RGB_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
small.insert_layer(dot, None, 0)
plugin(small)  # the model is loaded in both ways: srbatch's loading is counted apart
out = Gio.File.new_for_path(F + "/export.png")
clock("export", lambda: Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, out, None))
open(F + "/exported", "w").close()
wait_for("upscaled")
clock("import", lambda: Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(F + "/large.png")))
clock("plug-in", plugin)
assert (image.get_width(), image.get_height()) == (2 * W, 2 * H)
json.dump(took, open(F + "/took.json", "w"))
"""


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    tree = Path(os.environ.get("SRVID_HOST_TREE") or Path.home() / ".cache/srvid-hosts/trixie")
    if not (tree / "usr/bin/gimp-console").exists():
        sys.exit(f"no GIMP in {tree}: make test-hosts, or set SRVID_HOST_TREE")
    folder = Path(tempfile.mkdtemp(prefix="srvid-bench-", dir=tree / "tmp"))
    try:
        took = in_gimp(tree, folder)
    finally:
        shutil.rmtree(folder)
    steps = [took[name] for name in ("export", "command", "import")]
    ratio = sum(steps) / took["plug-in"]
    print(f"GIMP 3, {WIDTH}x{HEIGHT} RGB8 x2, nearest on OpenVINO, seconds")
    print(f"  plug-in                        {took['plug-in']:6.1f}")
    print(f"  PNG export + srbatch + import  {sum(steps):6.1f}   ({' + '.join(f'{step:.1f}' for step in steps)})")
    print(f"  files / plug-in                {ratio:6.1f}   (target: at least 5)")
    client_ms, worker_ms = took["cancel client"] * 1000, took["cancel worker"] * 1000
    print(f"cancel: client back after {client_ms:.0f} ms, worker free after {worker_ms:.0f} ms (target: 500)")


def in_gimp(tree: Path, folder: Path) -> dict[str, float]:
    """Seconds of each step, in one GIMP session."""
    tile = picture(600, 400)
    photo = np.tile(tile, (HEIGHT // 400, WIDTH // 600, 1)) + np.random.default_rng(0).normal(
        0, 0.01, (HEIGHT, WIDTH, 1)
    )
    (folder / "photo.raw").write_bytes(np.rint(photo.clip(0, 1) * 255).astype(np.uint8).tobytes())
    (folder / "driver.py").write_text(DRIVER.format(width=WIDTH, height=HEIGHT))
    onnx.save(nearest_model(2), str(folder / "nearest.onnx"))
    home = tree / "tmp/srvid-gimp-home"
    place = Place(host="gimp", root=home / ".config/GIMP/3.0")
    uninstall(place)
    install(place, models=("nearest",))
    inside = f"/{folder.relative_to(tree)}"
    command = [
        str(HOSTS / "in_tree.sh"), str(tree), f"HOME=/{home.relative_to(tree)}", f"FOLDER={inside}",
        f"SRVID_WORKER_FILE={inside}/worker.json", "gimp-console", "-i", "-d", "-f",
        "--batch-interpreter=python-fu-eval", "-b", f"exec(open('{inside}/driver.py').read())", "--quit",
    ]  # fmt: skip
    with RunningWorker(folder / "worker.json") as running:
        gimp = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        seconds = by_command(folder, gimp)
        said, _ = gimp.communicate()
        if not (folder / "took.json").exists():
            sys.exit(said)
        took: dict[str, float] = json.loads((folder / "took.json").read_text())
        took["command"] = seconds
        took["cancel client"], took["cancel worker"] = cancel_latency(running)
    return took


def by_command(folder: Path, gimp: subprocess.Popen[str]) -> float:
    """Wait for the export, upscale it as a user would, and return the seconds."""
    while not (folder / "exported").exists():
        if gimp.poll() is not None:
            sys.exit(gimp.communicate()[0])
        time.sleep(0.01)
    started = time.time()
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cli")])
    subprocess.run(
        [
            sys.executable, "-c", "from srvid_cli.srbatch import main; main()", str(folder / "export.png"),
            str(folder / "large.png"), "--scale", "2", "--model", str(folder / "nearest.onnx"),
        ],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        check=True,
    )  # fmt: skip
    seconds = time.time() - started
    (folder / "upscaled").touch()
    return seconds


def cancel_latency(running: RunningWorker) -> tuple[float, float]:
    """Seconds from a cancel in the middle of a job until client and worker are free."""
    os.environ["SRVID_WORKER_FILE"] = str(running.path)
    image, flag = np.zeros((2000, 2500, 3), np.uint8), threading.Event()
    cancelled_at: list[float] = []

    def cancel() -> None:
        cancelled_at.append(time.time())
        flag.set()

    timer = threading.Timer(1.0, cancel)
    timer.start()
    job = job_of(image, model="random", scale=4)
    try:
        client.upscale(job, [image.tobytes()], lambda y, count, rows: None, cancelled=flag.is_set)
    except client.JobCancelled:
        back = time.time()
    else:
        sys.exit("the job was done before it could be cancelled")
    while not running.drops:
        time.sleep(0.005)
    return back - cancelled_at[0], running.drops[-1].at - cancelled_at[0]


if __name__ == "__main__":
    main()

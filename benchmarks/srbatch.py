"""srbatch beside a plain loop and PyTorch, on one folder of mixed images. Ratios of one run.

    python benchmarks/srbatch.py [--images 200] [--scale 2] [--rounds 2] [--ways srbatch plain torch]

plain   for each file: Pillow opens it, the same engine upscales it, Pillow saves it as PNG or JPEG
torch   the same loop with the same weights in PyTorch, whole image at once (what spandrel does)

Each way runs in a process of its own, in turn; the least wall and CPU seconds of the rounds count.
Start-up, compiling and tile tuning are left out: two images go through before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sr_core.testing import picture

ENDINGS = (".png", ".jpg", ".png", ".webp", ".tif", ".jpg")
WARM_UP = 2


def make_images(folder: Path, count: int) -> None:
    """Pictures of mixed sizes, kinds and formats; one in ten has alpha, one in ten is gray."""
    random = np.random.default_rng(0)
    for index in range(count):
        width, height = (int(side) for side in np.exp(random.uniform(np.log(90), np.log(520), 2)))
        values = picture(width, height, seed=index) + random.normal(0, 0.02, (height, width, 3))
        pixels = np.clip(values * 255, 0, 255).astype(np.uint8)
        image = Image.fromarray(pixels)
        ending = ENDINGS[index % len(ENDINGS)]
        if index % 10 == 3:
            image = image.convert("L")
        elif index % 10 == 7 and ending != ".jpg":
            image.putalpha(Image.fromarray((255 * (pixels[..., 0] > 90)).astype(np.uint8)))
        path = folder / f"{index % 5}" / f"{index:04}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)


def by_plain_loop(files: list[Path], out: Path, upscale: Callable[[np.ndarray], np.ndarray]) -> None:
    """What most people write."""
    for path in files:
        with Image.open(path) as image:
            mode = {"L": "L", "RGBA": "RGBA"}.get(image.mode, "RGB")
            large = upscale(np.asarray(image.convert(mode)))
        target = out / f"{path.parent.name}-{path.name}"
        options: dict[str, Any] = {".jpg": {"quality": 92, "subsampling": 0}, ".webp": {"quality": 90}}.get(
            path.suffix, {}
        )
        Image.fromarray(large).save(target, **options)


def plain(scale: int) -> Callable[[np.ndarray], np.ndarray]:
    import srvid

    upscaler = srvid.open_upscaler("clear", scale=scale, backend="openvino", shared_tiles=True)
    return upscaler.image


def by_torch(scale: int) -> Callable[[np.ndarray], np.ndarray]:
    import torch
    from onnx import numpy_helper

    from sr_zoo.archs.house import House
    from srvid import resolve_model

    model, _ = resolve_model("clear", scale=scale)
    network = House(scale)
    stored = {entry.name: torch.from_numpy(numpy_helper.to_array(entry).copy()) for entry in model.graph.initializer}
    network.load_state_dict({name: stored[name] for name in network.state_dict() if name in stored}, strict=False)
    network.eval()

    def upscale(pixels: np.ndarray) -> np.ndarray:
        color = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
        layers = [color[..., :3]] + ([np.repeat(color[..., 3:], 3, axis=2)] if color.shape[2] == 4 else [])
        with torch.inference_mode():
            large = [
                network(torch.from_numpy(layer).permute(2, 0, 1)[None].float() / 255)[0].clamp(0, 1).mul(255).round()
                for layer in layers
            ]
        result = [layer.byte().permute(1, 2, 0).numpy() for layer in large]
        if pixels.ndim == 2:
            return np.ascontiguousarray(result[0][..., 0])
        return np.concatenate([result[0], *(layer[..., :1] for layer in result[1:])], axis=2)

    return upscale


def by_srbatch(files: list[Path], out: Path, scale: int) -> Callable[[list[Path]], None]:
    """srbatch's own parts, with the engine opened beforehand as for the other ways."""
    import srvid
    from sr_image.enlarge import EnlargeOptions
    from srvid.recipe import EngineRecipe
    from srvid_cli.batch.collect import collect
    from srvid_cli.batch.manifest import Manifest
    from srvid_cli.batch.plan import Naming, plan_batch
    from srvid_cli.batch.run import Result, RunOptions, run_batch

    upscaler = srvid.open_upscaler("clear", scale=scale, backend="openvino", shared_tiles=True)

    class Opened(EngineRecipe):
        """The engine that is open already."""

        def open(self, scale: int) -> Any:
            return nullcontext(upscaler)

    class Silent:
        def pixels(self, done: int) -> None: ...

        def finished(self, result: Result) -> None:
            if result.error is not None:
                raise result.error

    def work(batch: list[Path]) -> None:
        folder = out / str(len(batch))
        folder.mkdir()
        enlarging = EnlargeOptions()
        collection = collect([str(path) for path in batch], folder)
        plan = plan_batch(collection, folder, enlarging, Naming(scale=scale))
        options = RunOptions(enlarge=enlarging, settings="bench", jobs=2, memory_bytes=2 << 30)
        run_batch(plan.jobs, Opened(), scale, options, manifest=Manifest(folder), listener=Silent())

    return work


def child(way: str, folder: Path, scale: int) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        if way == "srbatch":
            work = by_srbatch(files, out, scale)
        else:
            upscale = (plain if way == "plain" else by_torch)(scale)

            def work(batch: list[Path]) -> None:
                by_plain_loop(batch, out, upscale)

        work(files[:WARM_UP])
        wall, cpu = time.perf_counter(), time.process_time()
        work(files[WARM_UP:])
        print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]), flush=True)
        os._exit(0)  # runtimes take their time to unload; nothing is left to save


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ways", nargs="+", default=["srbatch", "plain", "torch"])
    parser.add_argument("--child", nargs=2, metavar=("WAY", "FOLDER"))
    args = parser.parse_args()
    if args.child:
        child(args.child[0], Path(args.child[1]), args.scale)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_images(folder, args.images)
        best: dict[str, list[float]] = {}
        for _ in range(args.rounds):
            for way in args.ways:
                words = [sys.executable, __file__, "--scale", str(args.scale), "--child", way, name]
                seconds = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
                known = best.setdefault(way, seconds)
                best[way] = [min(pair) for pair in zip(known, seconds, strict=True)]
        print(f"{args.images} images, x{args.scale}, {os.cpu_count()} cores; wall and CPU seconds, and ÷ srbatch's")
        for way, (wall, cpu) in best.items():
            ratios = [wall / best["srbatch"][0], cpu / best["srbatch"][1]] if "srbatch" in best else [0, 0]
            print(f"  {way:8} {wall:7.2f} s wall ({ratios[0]:.2f})   {cpu:7.2f} s CPU ({ratios[1]:.2f})")


if __name__ == "__main__":
    main()

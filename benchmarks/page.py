"""How long a person waits for the page: from the command to the first view, and from a move of the scrubber to a frame.

    python benchmarks/page.py [--runs 5] [--model swift] [--scales 2 4] [--json page.json]

The clip is examples/flower.mp4, enlarged to 960x540. Chromium runs already, as people's browsers do; the server
starts with an empty cache the first time ("cold") and with what that one left afterwards ("warm"). `CPU` counts the
server with all its threads. A scrubbed frame is timed in the page, from the slider's event to the model's picture on
the screen; `engine` is what the network took of it. Medians; wall seconds need an idle machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.video.stream
from results import Cell, this_machine, write_result

PROJECT = Path(__file__).resolve().parents[1]
SIZE = (960, 540)
# Moves the scrubber, and resolves when the model's picture of another moment is on the screen.
SCRUB = """async ([model, seconds]) => {
  const now = () => document.querySelector(`.viewer img.layer[alt="${model}"]`)?.src;
  const range = document.querySelector('.strip input'), before = now(), began = performance.now();
  range.value = String(seconds);
  range.dispatchEvent(new Event('input'));
  while (now() === before || now() === undefined) await new Promise(requestAnimationFrame);
  return (performance.now() - began) / 1000;
}"""


def make_clip(path: Path) -> None:
    """The example of the repository at 540p."""
    with av.open(str(PROJECT / "examples" / "flower.mp4")) as source, av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"crf": "18", "g": "60"})
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            large = frame.reformat(*SIZE, format="yuv420p")
            large.pts, large.time_base, large.pict_type = number, Fraction(1, 30), 0
            out.mux(stream.encode(large))
        out.mux(stream.encode(None))


@contextmanager
def serve(clip: Path, cache: Path) -> Iterator[tuple[subprocess.Popen[str], str, float]]:
    """(the process, the page's address, wall seconds until it was told)."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "srvid", "--no-browser", *([] if clip == Path() else [str(clip)])],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"SRVID_CACHE": str(cache), "PYTHONUNBUFFERED": "1"},
        cwd=cache,
    )  # fmt: skip
    assert process.stdout is not None
    address = process.stdout.readline().removeprefix("open ").strip()
    try:
        yield process, address, time.perf_counter() - began
    finally:
        process.terminate()
        process.communicate()


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    """Of all its threads so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_once(browser: Any, cache: Path) -> list[float]:
    """Seconds until the server answers, until the page is drawn, of CPU."""
    began = time.perf_counter()
    with serve(Path(), cache) as (process, address, answers):
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector(".empty")
        drawn = time.perf_counter() - began
        cpu = cpu_seconds(process)
        page.close()
    return [answers, drawn, cpu]


def scrub(browser: Any, clip: Path, cache: Path, model: str, scale: int, runs: int) -> list[list[float]]:
    """For each move: seconds to the picture, of CPU, in the engine."""
    found = []
    with serve(clip, cache) as (process, address, _):
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.route("**/estimates", lambda route: route.abort())  # else the engines are measured at the same time
        page.goto(address)
        page.check(f"#run-{model}", timeout=120_000)
        page.locator(
            ".choice", has_text=f"×{scale}"
        ).click()  # the page draws it anew: `check` would look at the old one
        shown = page.locator(".model input[type=checkbox]:checked").evaluate_all("boxes => boxes.map(box => box.id)")
        for box in shown:
            if box != f"show-{model}":
                page.uncheck(f"#{box}")
        page.locator(f".viewer img.layer[alt='{model}']").wait_for(timeout=120_000, state="attached")
        engine: list[float] = []
        page.on("response", lambda answer: engine.append(float(answer.headers.get("x-engine-seconds", 0))))
        for number in range(runs + 1):
            engine.clear()
            before = cpu_seconds(process)
            seconds = page.evaluate(SCRUB, [model, 0.1 + number * 0.17])
            page.wait_for_timeout(50)
            found.append([seconds, cpu_seconds(process) - before, max(engine)])
        page.close()
    return found[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model", default="swift")
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    rows: list[list[Cell]] = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        cache, clip = Path(folder, "cache"), Path(folder, "flower.mp4")
        cache.mkdir()
        make_clip(clip)
        starts = [start_once(browser, cache) for _ in range(args.runs + 1)]
        warm = [statistics.median(values) for values in zip(*starts[1:], strict=True)]
        for name, (answers, drawn, cpu) in (("cold", starts[0]), ("warm", warm)):
            rows.append([f"start, {name}: the page is drawn", drawn, cpu, answers, None])
        for scale in args.scales:
            moves = scrub(browser, clip, cache, args.model, scale, args.runs)
            seconds, cpu, engine = (statistics.median(values) for values in zip(*moves, strict=True))
            rows.append([f"scrub, {args.model} ×{scale}: the frame is shown", seconds, cpu, engine, seconds / engine])
        version = browser.version
        browser.close()
    columns = ["", "seconds", "CPU seconds", "of them server or engine", "ratio"]
    print(this_machine())
    for row in rows:
        print("  " + "  ".join(f"{cell:.2f}" if isinstance(cell, float) else str(cell or "") for cell in row))
    if args.json:
        write_result(
            args.json,
            title="The page of srkit ui",
            command="python benchmarks/page.py --json page.json",
            about="From the command to a page in a Chromium that runs already; from a move of the scrubber to the "
            "frame on the screen, beside the network's own time. 960x540. Wall seconds beside other work: the load of "
            f"these CPUs was {os.getloadavg()[0]:.0f}; CPU seconds are those of the server.",
            columns=columns,
            rows=rows,
            packages=["starlette", "uvicorn", "av", "openvino"],
            peers={"Chromium": version},
        )


if __name__ == "__main__":
    main()

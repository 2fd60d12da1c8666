"""Several videos of one process at once: FFmpeg's threads, its log and Python's lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np

# faulthandler needs no lock of Python's, so it ends even a process in which all wait for each other, and says where
CHILD = """
import faulthandler, sys, threading
from sr_video.read.source import Source

faulthandler.dump_traceback_later(120, exit=True)

def open_and_close():
    for _ in range(30):
        with Source(sys.argv[1]):
            pass

threads = [threading.Thread(target=open_and_close) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_a_video_is_closed_amid_its_frames_while_others_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    noise = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(30):
            picture = noise.integers(0, 256, (240, 320, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr

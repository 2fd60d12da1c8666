"""The script for mpv, in a real mpv that has VapourSynth: `bash tests/vapoursynth/make_mpv.sh TREE` builds one."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace, VideoReformatter
from PIL import Image

pytest.importorskip("vapoursynth_filter", reason="pip install 'srvid[vapoursynth]'")

import srvid

PROJECT = Path(__file__).resolve().parents[2]
CLIP = PROJECT / "examples" / "flower.mp4"
PAGE = (PROJECT / "docs" / "mpv.md").read_text()
FRAMES = 5
# mpv makes RGB of the frames by a filter of its own, so edges of colour differ; another frame differs by 2.2 or more
SAME_PICTURE = 2.0  # mean difference, in codes


def play(place: Path, line: str) -> str:
    """Run mpv's `line` in `place`, inside the tree, with this Python; what it says."""
    tree = os.environ.get("SRVID_MPV_TREE")
    if tree is None:
        pytest.skip("needs SRVID_MPV_TREE, a tree made by make_mpv.sh")
    programs = Path(sys.executable).parent
    settings = [
        f"HOME={place}", f"XDG_CONFIG_HOME={place}", f"SRVID_CACHE={place / 'cache'}",
        f"PATH={programs}:/usr/local/bin:/usr/bin:/bin", f"PYTHONPATH={PROJECT}",
    ]  # fmt: skip
    done = subprocess.run(
        ["bash", str(PROJECT / "tests/plugins/hosts/in_tree.sh"), tree, *settings,
         "bash", "-c", f"cd {shlex.quote(str(place))} && vapoursynth config && {line}"],
        env=os.environ | {"BIND": f"{PROJECT} {sys.base_prefix} {place}"},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_documented_line_upscales_what_mpv_plays(tmp_path: Path) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (line,) = re.findall(r"^mpv --vf=vapoursynth.*$", PAGE, re.MULTILINE)
    (tmp_path / "srvid.vpy").write_text(script)
    (tmp_path / "in.mp4").write_bytes(CLIP.read_bytes())
    shown = f"--no-config --ao=null --vo=image --vo-image-format=png --frames={FRAMES}"
    said = play(tmp_path, f"{line} {shown}")
    assert "VO: [image] 480x268" in said
    pictures = [np.asarray(Image.open(path).convert("RGB"), float) for path in sorted(tmp_path.glob("*.png"))]
    assert len(pictures) == FRAMES
    with av.open(str(CLIP)) as source, srvid.open_upscaler("swift-x2") as upscaler:
        for number, frame in zip(range(FRAMES), upscaler.frames(source.decode(video=0)), strict=False):
            rgb = VideoReformatter().reformat(frame, format="rgb24", src_colorspace=Colorspace.ITU709).to_ndarray()
            apart = [np.abs(rgb - picture).mean() for picture in pictures]
            assert apart[number] < SAME_PICTURE
            assert min(apart) == apart[number]

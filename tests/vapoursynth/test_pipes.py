"""The pipes of the documents, played to the end: what comes out has the colours that went in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

pytest.importorskip("vapoursynth_filter", reason="pip install 'srvid[vapoursynth]'")

import vapoursynth as vs

from vapoursynth_filter import upscale

DOCS = Path(__file__).resolve().parents[2] / "docs"
COLORS = [(230, 30, 40), (20, 200, 60), (40, 60, 220), (240, 220, 30), (128, 128, 128), (250, 120, 10)]
# what 8-bit YUV, an encoder at crf 16 and two roundings do to a flat colour; a wrong matrix does up to 18
LARGEST_SHIFT = 4
SCRIPT = """
import sys
import vapoursynth as vs
from vapoursynth_filter import upscale

core = vs.core
bars = [core.std.BlankClip(format=vs.RGB24, width=16, height=32, length=3, color=list(c)) for c in {colors}]
clip = core.resize.Bicubic(core.std.StackHorizontal(bars), format=vs.YUV420P8, matrix_s="709", range_s="limited")
clip = upscale(clip, model={model!r}, backend="openvino")
{output}
"""


def needs(program: str) -> None:
    if shutil.which(program) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{program} must be there in CI")
        pytest.skip(f"needs {program}")


def documented_pipes(page: str, program: str) -> list[str]:
    lines = re.findall(r"^vspipe -c y4m script\.vpy - \| (.*)$", (DOCS / page).read_text(), re.MULTILINE)
    return [line for line in lines if line.startswith(program)]


def play(consumer: str, tmp_path: Path, model: Path, environment: dict[str, str]) -> None:
    """Run the line with what vspipe writes; Python's own `output` writes the same where vspipe cannot run."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(colors=COLORS, model=str(model), output="clip.output(sys.stdout.buffer, y4m=True)"))
    with subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.PIPE) as producer:
        done = subprocess.run(
            consumer, shell=True, cwd=tmp_path, stdin=producer.stdout, capture_output=True, timeout=600, check=False
        )
    assert done.returncode == 0, done.stderr.decode()
    assert producer.returncode == 0


def shown(path: Path) -> np.ndarray:
    """The last frame's bars in RGB, as a player shows them: by the tags of the file."""
    with av.open(str(path)) as container:
        *_, frame = container.decode(video=0)
    assert int(frame.colorspace) == 1  # H.273: BT.709, stated
    assert (int(frame.color_primaries), int(frame.color_trc)) == (1, 1)
    rgb = VideoReformatter().reformat(
        frame, format="rgb24", src_colorspace=Colorspace.ITU709, src_color_range=ColorRange(int(frame.color_range))
    )
    pixels = rgb.to_ndarray()
    width = pixels.shape[1] // len(COLORS)
    return np.array([pixels[20:44, n * width + 8 : (n + 1) * width - 8].mean((0, 1)) for n in range(len(COLORS))])


@pytest.mark.parametrize("program", ["x264", "ffmpeg"])
def test_a_documented_pipe_keeps_the_colours(
    program: str, tmp_path: Path, nearest: Path, environment: dict[str, str]
) -> None:
    needs(program)
    (line,) = documented_pipes("vapoursynth.md", program)
    play(line, tmp_path, nearest, environment)
    assert np.abs(shown(tmp_path / "out.mkv") - COLORS).max() <= LARGEST_SHIFT


def test_mpv_plays_the_documented_pipe(tmp_path: Path, nearest: Path, environment: dict[str, str]) -> None:
    needs("mpv")
    (line,) = documented_pipes("mpv.md", "mpv")
    written = line.replace("--audio-file=in.mp4", "--no-config --vo=image --vo-image-format=png --ao=null")
    assert written != line
    play(written, tmp_path, nearest, environment)
    (*_, last) = sorted(tmp_path.glob("*.png"))
    from PIL import Image

    pixels = np.asarray(Image.open(last).convert("RGB"))
    width = pixels.shape[1] // len(COLORS)
    bars = np.array([pixels[20:44, n * width + 8 : (n + 1) * width - 8].mean((0, 1)) for n in range(len(COLORS))])
    assert np.abs(bars - COLORS).max() <= LARGEST_SHIFT


def test_the_first_script_of_the_page_reads_a_file_and_upscales_it(tmp_path: Path, environment: dict[str, str]) -> None:
    if not hasattr(vs.core, "bs"):
        pytest.skip("needs vapoursynth-bestsource")
    script, *_ = re.findall(r"```python\n(.*?)```", (DOCS / "vapoursynth.md").read_text(), re.DOTALL)
    (tmp_path / "in.mp4").write_bytes((DOCS.parent / "examples" / "flower.mp4").read_bytes())
    shown = "frame = vs.get_output(0).clip.get_frame(0)\nprint(frame.width, frame.height)"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\n{shown}"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["960", "536"]


def test_the_script_for_mpv_asks_for_no_frame_while_it_loads(nearest: Path) -> None:
    """mpv lends none then: the script would wait for ever."""
    (script,) = re.findall(r"```python\n(.*?)```", (DOCS / "mpv.md").read_text(), re.DOTALL)
    asked: list[int] = []

    def lend(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        asked.append(n)
        return f

    blank = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=(1 << 31) // 16)
    video_in = blank.std.ModifyFrame(blank, lend)
    names = {"video_in": video_in}
    exec(script.replace('model="swift"', f"model={str(nearest)!r}"), names)
    assert asked == []
    clip = names["clip"]
    assert isinstance(clip, vs.VideoNode)
    assert clip.get_frame(3).width == 128
    assert 3 in asked
    vs.clear_outputs()


# ---- width and height


def test_width_and_height_give_that_size_with_all_properties(nearest: Path) -> None:
    clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=2, color=[90, 100, 150])
    clip = clip.std.SetFrameProps(_Matrix=1, _Range=0, Mine="kept")
    for options, size in (
        ({"width": 100}, (100, 76)),  # 75, which 4:2:0 cannot have
        ({"height": 76}, (102, 76)),
        ({"width": 100, "height": 70}, (100, 70)),
    ):
        large = upscale(clip, model=str(nearest), **options)
        assert (large.width, large.height) == size
        props = dict(large.get_frame(0).props)
        assert {key: props[key] for key in ("_Matrix", "_Range", "Mine")} == {"_Matrix": 1, "_Range": 0, "Mine": "kept"}
        assert np.abs(np.asarray(large.get_frame(0)[0]).astype(int) - 90).max() <= 1


def test_a_shipped_model_takes_the_smallest_scale_that_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    from vapoursynth_filter.sizing import scale_for

    clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=48)
    assert [scale_for(clip, size, "clear") for size in ((100, 48), (129, 48), (64, 150), (256, 192))] == [2, 3, 4, 4]
    assert scale_for(clip, (300, 48), "clear") == 6
    assert scale_for(clip, (100, 48), "clear-x4") == 4
    with pytest.raises(vs.Error, match="enlarges 4 times at most"):
        upscale(clip, width=300, model="clear-x4")


def test_size_errors_are_in_script_words() -> None:
    clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=48)
    with pytest.raises(vs.Error, match="leave scale out"):
        upscale(clip, 2, width=100)
    with pytest.raises(vs.Error, match="multiples of 2 across"):
        upscale(clip, width=101, height=76)
    with pytest.raises(vs.Error) as caught:
        upscale(clip, tile=8)
    assert "tile=" in str(caught.value)
    assert "--" not in str(caught.value)


def test_alpha_is_resized_with_its_frame(nearest: Path) -> None:
    alpha = vs.core.std.BlankClip(format=vs.GRAY8, width=64, height=48, length=1, color=200)
    clip = vs.core.std.BlankClip(format=vs.RGB24, width=64, height=48, length=1).std.ClipToProp(alpha)
    frame = upscale(clip, model=str(nearest), width=100, height=75).get_frame(0)
    lent = frame.props["_Alpha"]
    assert isinstance(lent, vs.VideoFrame)
    assert (lent.width, lent.height) == (100, 75)


def test_the_jetpack_scaler_scales_to_a_size_and_shifts(nearest: Path) -> None:
    vskernels = pytest.importorskip("vskernels", reason="pip install vsjetpack")
    from vapoursynth_filter.jetpack import Srvid

    assert issubclass(Srvid, vskernels.Scaler)
    clip = vs.core.std.BlankClip(format=vs.GRAY8, width=64, height=48, length=1, color=10)
    right = vs.core.std.BlankClip(format=vs.GRAY8, width=32, height=48, length=1, color=200)
    clip = vs.core.std.StackHorizontal([clip.std.Crop(right=32), right])
    scaler = vskernels.Scaler.ensure_obj(Srvid(model=str(nearest)))
    large = scaler.scale(clip, 96, 72)
    assert (large.width, large.height) == (96, 72)
    assert np.asarray(large.get_frame(0)[0])[36, 40] < 60
    moved = np.asarray(scaler.scale(clip, 96, 72, shift=(0, 8)).get_frame(0)[0])
    assert moved[36, 40] > 150  # 8 pixels of the source are 12 here

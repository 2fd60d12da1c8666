"""Scripts through the real vspipe: outputs, exit codes, messages, and being killed."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("vapoursynth_filter", reason="pip install 'srvid[vapoursynth]'")

import vapoursynth as vs

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NATIVE_VSPIPE = Path(vs.__file__).parent / "vspipe"
Vspipe = Callable[..., subprocess.CompletedProcess[bytes]]

pytestmark = pytest.mark.skipif(
    os.name == "posix" and not sysconfig.get_config_var("Py_ENABLE_SHARED"),
    reason="vspipe needs a Python with a shared libpython",
)


@pytest.fixture(scope="session")
def vspipe(environment: dict[str, str]) -> Vspipe:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        program = str(Path(sys.executable).parent / "vspipe")
        return subprocess.run([program, *map(str, arguments)], env=environment, capture_output=True, timeout=600)

    return run


@pytest.fixture
def script(tmp_path: Path, nearest: Path) -> Callable[[str], Path]:
    """Write a script that has `clip`, `core`, `upscale` and MODEL, and outputs `clip` at its end."""

    def write(body: str) -> Path:
        path = tmp_path / "script.vpy"
        path.write_text(
            "import vapoursynth as vs\nfrom vapoursynth_filter import upscale\ncore = vs.core\n"
            f"MODEL = {str(nearest)!r}\n"
            "clip = core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=8, color=[90, 100, 150])\n"
            "clip = clip.std.SetFrameProps(_Matrix=1, _Range=0, _ChromaLocation=0)\n"
            f"{body}\nclip.set_output()\n"
        )
        return path

    return write


def decoded(y4m: bytes) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(y4m), format="yuv4mpegpipe") as container:
        return list(container.decode(video=0))


def failure(result: subprocess.CompletedProcess[bytes]) -> str:
    assert result.returncode == 1, result
    return result.stderr.decode()


def test_both_names_pipe_the_same_y4m(vspipe: Vspipe, script: Callable[[str], Path]) -> None:
    options = "2, MODEL, 'openvino', tile=64"
    one = vspipe("-c", "y4m", script(f"clip = upscale(clip, {options})"), "-")
    other = vspipe("-c", "y4m", script("clip = clip.srvid.Upscale(2, MODEL, 'openvino', tile=64)"), "-")
    assert one.returncode == 0, one.stderr
    frames = decoded(one.stdout)
    assert [(frame.width, frame.height) for frame in frames] == [(128, 96)] * 8
    assert one.stdout == other.stdout


def test_a_bad_option_is_one_sentence_with_advice(vspipe: Vspipe, script: Callable[[str], Path]) -> None:
    message = failure(vspipe(script("clip = upscale(clip, 3, MODEL)"), "--"))
    assert "upscale: " in message
    assert "enlarges 2 times at most, not 3; hint: " in message
    native = failure(vspipe(script("clip = clip.srvid.Upscale(3, MODEL)"), "--"))
    assert message.splitlines()[-1] == native.splitlines()[-1]


def test_a_bad_frame_fails_with_its_number(vspipe: Vspipe, script: Callable[[str], Path]) -> None:
    body = (
        "clip = clip[:5] + clip[5:6].std.SetFieldBased(1) + clip[6:]\n"
        "clip = upscale(clip, 2, MODEL, 'openvino', tile=64)"
    )
    message = failure(vspipe(script(body), "--"))
    assert "upscale: frame 5: the frame is interlaced" in message


def test_it_says_which_backend_it_took_and_what_it_measures(vspipe: Vspipe, script: Callable[[str], Path]) -> None:
    result = vspipe(script("clip = upscale(clip + clip, 2, MODEL, 'openvino')"), "--")
    told = [line for line in result.stderr.decode().splitlines() if line.startswith("Information: upscale: ")]
    assert len(told) == len(set(told)), "each line once"
    assert told[0].startswith("Information: upscale: OpenVINO on the CPU")


def test_properties_arrive_in_the_pipes_json(vspipe: Vspipe, script: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "props.json"
    body = "clip = upscale(clip.std.RemoveFrameProps('_Matrix'), 2, MODEL, 'openvino', tile=64)"
    assert vspipe("-j", path, script(body), "--").returncode == 0
    frames = json.loads(path.read_text())
    assert [frame["SrvidGuessed"] for frame in frames] == ["matrix=bt601"] * 8


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("kill", "codes"), [(signal.SIGINT, {1}), (signal.SIGTERM, {-15}), (signal.SIGPIPE, {-13})])
def test_being_killed_ends_at_once_and_leaves_no_broken_cache_file(
    kill: signal.Signals,
    codes: set[int],
    vspipe: Vspipe,
    script: Callable[[str], Path],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    body = "clip = upscale(clip * 100000, 2, MODEL, 'openvino', reuse=False)"
    path = script(body)
    assert vspipe("--info", path).returncode == 0  # writes vspipe's configuration
    cache = tmp_path / "cache"
    process = subprocess.Popen(
        [NATIVE_VSPIPE, "-c", "y4m", path, "-"],
        env=environment | {"SRVID_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.read(9) == b"YUV4MPEG2"
    assert len(process.stdout.read(20000)) == 20000  # frames are flowing
    if kill == signal.SIGPIPE:
        process.stdout.close()
    else:
        process.send_signal(kill)
        process.stdout.close()
    assert process.wait(timeout=600) in codes | {-13}
    for file in cache.rglob("*.json"):
        json.loads(file.read_text())
    assert not list(cache.rglob(".*")), "unfinished files"


def test_a_scripts_end_leaves_no_process_behind(vspipe: Vspipe, script: Callable[[str], Path]) -> None:
    """Reading three frames of many, so that others are in flight when vspipe frees its nodes."""
    body = "clip = upscale(clip * 1000, 2, MODEL, 'openvino', tile=64)"
    assert vspipe("-e", "2", "-c", "y4m", script(body), "-").returncode == 0


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The first frames of a real clip, because every example is run whole."""
    path = tmp_path / "source.mp4"
    with av.open(str(EXAMPLES / "flower.mp4")) as clip, av.open(str(path), "w") as short:
        stream = short.add_stream_from_template(clip.streams.video[0])
        for number, packet in enumerate(clip.demux(video=0)):
            if number < 12 and packet.dts is not None:
                packet.stream = stream
                short.mux(packet)
    return path


def example(vspipe: Vspipe, name: str, source: Path, model: Path, *more: str) -> list[av.VideoFrame]:
    if not hasattr(vs.core, "bs"):
        pytest.skip("needs vapoursynth-bestsource")
    result = vspipe(
        "-c", "y4m", "-a", f"source={source}", "-a", f"model={model}", "-a", "scale=2", *more, EXAMPLES / name, "-"
    )
    assert result.returncode == 0, result.stderr.decode()
    return decoded(result.stdout)


def test_example_film_encodes_with_x264(vspipe: Vspipe, source: Path, nearest: Path) -> None:
    frames = example(vspipe, "film.vpy", source, nearest)
    assert {(frame.width, frame.height) for frame in frames} == {(480, 268)}
    encoded = io.BytesIO()
    with av.open(encoded, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "16", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 480, 268, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    encoded.seek(0)
    with av.open(encoded) as container:
        assert len(list(container.decode(video=0))) == len(frames) == 12


@pytest.mark.parametrize("steady", [False, True])
def test_the_srvid_command_and_the_filter_give_the_same_frames(
    steady: bool, vspipe: Vspipe, source: Path, model: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """One model, two front ends, two decoders: no bit differs."""
    if not hasattr(vs.core, "bs"):
        pytest.skip("needs vapoursynth-bestsource")
    large = tmp_path / "large.mkv"
    options = ["--scale", "2", "--model", str(model), "--backend", "openvino", "--tile", "64", "--codec", "ffv1"]
    options += ["--steady"] if steady else []
    code = f"import sys; sys.argv = ['srvid', *{[str(source), str(large), *options]!r}]\n"
    command = [sys.executable, "-c", code + "from srvid_cli.srvid import main; main()"]
    paths = os.pathsep.join([environment["PYTHONPATH"], str(EXAMPLES.parent / "cli")])
    done = subprocess.run(command, env=environment | {"PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    script = tmp_path / "same.vpy"
    script.write_text(
        "import vapoursynth as vs\n"
        f"clip = vs.core.bs.VideoSource({str(source)!r})\n"
        f"clip.srvid.Upscale(2, {str(model)!r}, 'openvino', tile=64, steady={int(steady)}).set_output()\n"
    )
    filtered = decoded(vspipe("-c", "y4m", script, "-").stdout)
    with av.open(str(large)) as container:
        commanded = list(container.decode(video=0))
    assert len(commanded) == len(filtered) == 12
    for one, other in zip(commanded, filtered, strict=True):
        np.testing.assert_array_equal(one.to_ndarray(), other.to_ndarray())


def test_example_anime_descales_first(vspipe: Vspipe, source: Path, nearest: Path) -> None:
    frames = example(vspipe, "anime.vpy", source, nearest, "-a", "native_height=68")
    assert {(frame.width, frame.height) for frame in frames} == {(244, 136)}


def test_example_mask_merge_differs_from_both_only_by_place(vspipe: Vspipe, source: Path, nearest: Path) -> None:
    merged = example(vspipe, "mask_merge.vpy", source, nearest)[0].to_ndarray()
    sharp = example(vspipe, "film.vpy", source, nearest)[0].to_ndarray()
    luma_rows = 268
    same = (merged == sharp)[:luma_rows].mean()
    assert 0.05 < same < 0.95, f"{same:.2f} of the samples are the network's"


def test_example_part_of_a_clip_upscales_that_part(vspipe: Vspipe, source: Path, nearest: Path) -> None:
    part = example(vspipe, "part_of_a_clip.vpy", source, nearest, "-a", "first=4", "-a", "last=7")
    whole = example(vspipe, "film.vpy", source, nearest)
    same = [np.array_equal(one.to_ndarray(), other.to_ndarray()) for one, other in zip(part, whole, strict=True)]
    assert same == [4 <= n <= 7 for n in range(12)]


def test_example_preview_tells_its_size_and_shows_both(vspipe: Vspipe, source: Path, nearest: Path) -> None:
    if not hasattr(vs.core, "bs"):
        pytest.skip("needs vapoursynth-bestsource")
    arguments = ["-a", f"source={source}", "-a", f"model={nearest}", "-a", "scale=2", EXAMPLES / "preview.vpy"]
    info = vspipe("--info", *arguments)
    assert info.returncode == 0, info.stderr.decode()
    text = info.stdout.decode()
    assert text.count("Width: 480") == 2
    assert text.count("Frames: 12") == 2
    plain = vspipe("-o", "1", "-e", "0", "-c", "y4m", *arguments, "-")
    assert len(decoded(plain.stdout)) == 1


def test_every_example_is_run_by_a_test() -> None:
    tests = Path(__file__).read_text()
    assert [path.name for path in sorted(EXAMPLES.glob("*.vpy")) if f'"{path.name}"' not in tests] == []

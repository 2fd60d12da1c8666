"""core.srvid: the stub refuses what it did not start, and the wheel carries it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("vapoursynth_filter", reason="pip install 'srvid[vapoursynth]'")

import vapoursynth

PROJECT = Path(__file__).resolve().parents[2]
RunPython = Callable[[str], "subprocess.CompletedProcess[str]"]


def test_nothing_but_what_a_script_calls_is_in_the_namespace(run_python: RunPython) -> None:
    result = run_python(
        "import vapoursynth as vs\n"
        "for function in vs.core.srvid.functions():\n"
        "    print(function.name, function.return_signature)\n"
    )
    assert sorted(result.stdout.splitlines()) == ["Upscale clip:vnode;", "Version version:data;"], result


def test_the_plugin_says_its_version(run_python: RunPython) -> None:
    result = run_python(
        "import srvid, vapoursynth as vs\n"
        "assert vs.core.srvid.Version() in (srvid.__version__, srvid.__version__.encode())\n"
    )
    assert result.returncode == 0, result.stderr


def test_it_takes_every_option_of_the_python_function(run_python: RunPython) -> None:
    result = run_python(
        "import inspect, vapoursynth as vs\n"
        "from vapoursynth_filter import upscale\n"
        "native = [part.split(':')[0] for part in vs.core.srvid.Upscale.signature.split(';') if part]\n"
        "assert native == list(inspect.signature(upscale).parameters), native\n"
    )
    assert result.returncode == 0, result.stderr


def test_it_gives_what_the_python_function_gives(run_python: RunPython, nearest: Path) -> None:
    result = run_python(
        "import numpy as np, vapoursynth as vs\n"
        "from vapoursynth_filter import upscale\n"
        "clip = vs.core.std.BlankClip(format=vs.RGB24, width=40, height=30, length=3, color=[10, 20, 30])\n"
        f"options = dict(scale=4, model={f'{nearest},{nearest}'!r}, backend='openvino')\n"
        "options |= dict(tile=64, precision='exact', threads=1)\n"
        "native = clip.srvid.Upscale(**options, reuse=0)\n"
        "for one, other in zip(native.frames(), upscale(clip, **options).frames(), strict=True):\n"
        "    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))\n"
        "    assert dict(one.props) == dict(other.props)\n"
        "print(native.width, native.height, native.num_frames)\n"
    )
    assert result.stdout == "160 120 3\n", result.stderr


def test_a_chain_gives_what_two_calls_after_each_other_give(run_python: RunPython, model: Path, nearest: Path) -> None:
    """Floats in between, clipped as pictures are; the other order is far from it."""
    result = run_python(
        "import numpy as np, vapoursynth as vs\n"
        "noise = np.random.default_rng(6).random((3, 24, 30)).astype(np.float32)\n"
        "def fill(n, f):\n"
        "    copy = f.copy()\n"
        "    for plane in range(3): np.copyto(np.asarray(copy[plane]), noise[plane])\n"
        "    return copy\n"
        "blank = vs.core.std.BlankClip(format=vs.RGBS, width=30, height=24, length=2)\n"
        "clip = vs.core.std.ModifyFrame(blank, blank, fill)\n"
        f"one, two = {str(model)!r}, {str(nearest)!r}\n"
        "options = dict(backend='openvino', precision='exact', threads=1)\n"
        "def planes(clip): return np.stack([np.asarray(plane) for plane in clip.get_frame(1)])\n"
        "between = clip.srvid.Upscale(model=one, **options).std.Expr('x 0 max 1 min')\n"
        "expected = planes(between.srvid.Upscale(model=two, **options))\n"
        "made = planes(clip.srvid.Upscale(model=f'{one},{two}', **options))\n"
        "turned = planes(clip.srvid.Upscale(model=f'{two},{one}', **options))\n"
        "print(made.shape, np.abs(made - expected).max() < 1e-4, np.abs(turned - expected).max() > 1e-2)\n"
    )
    assert result.stdout == "(3, 96, 120) True True\n", result.stderr


def test_a_factor_that_the_model_does_not_give_is_a_size(run_python: RunPython, nearest: Path) -> None:
    result = run_python(
        "import numpy as np, vapoursynth as vs\n"
        "clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=40, height=30, length=1, color=[90, 100, 150])\n"
        f"options = dict(model={str(nearest)!r}, backend='openvino')\n"
        "for factor, size in (1.5, (60, 44)), (1, (40, 30)), (1.1, (44, 32)):\n"
        "    wanted = dict(width=size[0], height=size[1])\n"
        "    by_factor, by_size = (clip.srvid.Upscale(**options, **what) for what in (dict(scale=factor), wanted))\n"
        "    for one, other in zip(by_factor.get_frame(0), by_size.get_frame(0), strict=True):\n"
        "        assert np.array_equal(one, other)\n"
        "    print(by_factor.width, by_factor.height)\n"
    )
    assert result.stdout == "60 44\n40 30\n44 32\n", result.stderr


def test_no_script_can_answer_a_call_that_is_not_its_own(run_python: RunPython) -> None:
    """Tokens are numbers that scripts can make up; none may ever be followed as an address."""
    result = run_python(
        "import threading, vapoursynth as vs\n"
        "import vapoursynth_filter.filter as module, vapoursynth_filter.bridge as bridge\n"
        "core = vs.core.core\n"
        "clip, other = (core.std.BlankClip(length=1, width=side) for side in (64, 96))\n"
        "refused = []\n"
        "def attempt(token):\n"
        "    try:\n"
        "        core.srvid.Upscale(other, scale=token)\n"
        "    except vs.Error as error:\n"
        "        refused.append(str(error))\n"
        "live = -2**40\n"
        "for token in (0, -1, 4096, live, live - 1, -2**63, 2**62):\n"
        "    attempt(token)\n"
        "assert len(refused) == 7, refused\n"
        "real, given = bridge.upscale, []\n"
        "def hostile(clip, **options):\n"
        "    given.append((clip.width, options))\n"
        "    bridge.upscale = real\n"
        "    attempt(live + 1)  # a wrong one\n"
        "    thread = threading.Thread(target=attempt, args=(live - 7,)); thread.start(); thread.join()\n"
        "    return clip\n"
        "bridge.upscale = hostile\n"
        "result = core.srvid.Upscale(clip, model='größer.onnx', tile=8)  # the eighth call: its token is live - 7\n"
        "assert given == [(64, {'model': 'größer.onnx', 'tile': 8})], given\n"
        "assert result.width == 64, result\n"
        "assert len(refused) == 9, refused\n"
        "assert all('scale' in text for text in refused), refused\n"
    )
    assert result.returncode == 0, result.stderr


def test_a_failure_that_is_no_refusal_still_reaches_the_script(run_python: RunPython) -> None:
    result = run_python(
        "import vapoursynth as vs, vapoursynth_filter.bridge as bridge\n"
        "clip = vs.core.std.BlankClip(length=1)\n"
        "bridge.upscale = lambda clip, **options: 1 / 0\n"
        "try: vs.core.srvid.Upscale(clip)\n"
        "except vs.Error as error: print('ZeroDivisionError' in str(error))\n"
        "del bridge.dispatch\n"
        "try: vs.core.srvid.Upscale(clip)\n"
        "except vs.Error as error: print(error)\n"
    )
    lines = result.stdout.splitlines()
    assert lines[0] == "True", result
    assert lines[1].startswith("upscale: ")
    assert "dispatch" in lines[1]


def test_a_thousand_calls_leave_nothing_behind(run_python: RunPython) -> None:
    result = run_python(
        "import resource, vapoursynth as vs\n"
        "clip = vs.core.std.BlankClip(length=1)\n"
        "def refused():\n"
        "    try: vs.core.srvid.Upscale(clip, scale=0)\n"
        "    except vs.Error: return\n"
        "    raise AssertionError('not refused')\n"
        "def peak_kib(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for _ in range(500): refused()\n"
        "before = peak_kib()\n"
        "for _ in range(1000): refused()\n"
        "print(peak_kib() - before)\n"
    )
    assert int(result.stdout) < 1024, "KiB grown over 1,000 calls"


def build_wheel(folder: Path, **variables: str) -> zipfile.ZipFile:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=PROJECT,
        env=os.environ | variables,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel)


def test_the_wheel_carries_the_stub_for_every_python(plugin_folder: Path, tmp_path: Path) -> None:
    with build_wheel(tmp_path, SRVID_PLATFORM_TAG="manylinux_2_17_x86_64") as wheel:
        names = set(wheel.namelist())
        assert {"vapoursynth/plugins/srvid/manifest.vs", "vapoursynth_filter/bridge.py"} <= names
        library = wheel.read("vapoursynth/plugins/srvid/manifest.vs").decode().split("\n")[1]
        assert any(Path(name).stem == library for name in names)
        assert wheel.filename is not None
        assert wheel.filename.endswith("-py3-none-manylinux_2_17_x86_64.whl")


@pytest.mark.parametrize("variables", [{"CC": "no-such-compiler"}, {"SRVID_NATIVE": "0"}], ids=str)
def test_the_wheel_is_pure_without_a_compiler(variables: dict[str, str], hook: ModuleType, tmp_path: Path) -> None:
    with build_wheel(tmp_path, **variables) as wheel:
        assert not [name for name in wheel.namelist() if name.startswith("vapoursynth/")]
        assert wheel.filename is not None
        assert wheel.filename.endswith("-py3-none-any.whl")


def test_a_release_without_a_compiler_fails(hook: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        build_wheel(tmp_path, CC="no-such-compiler", SRVID_NATIVE="1")
    assert b"there is no C compiler" in caught.value.stderr


def test_without_vapoursynth_the_import_says_what_to_install(tmp_path: Path) -> None:
    """The wheel's own plugin folder must not pass for VapourSynth."""
    (tmp_path / "vapoursynth" / "plugins" / "srvid").mkdir(parents=True)
    result = subprocess.run(
        [sys.executable, "-S", "-c", "import vapoursynth_filter"],
        env={"PYTHONPATH": os.pathsep.join([str(tmp_path), str(PROJECT)])},
        capture_output=True,
        text=True,
    )
    assert "pip install 'srvid[vapoursynth]'" in result.stderr.splitlines()[-1]


def test_the_documented_lines_compile_a_stub_that_vapoursynth_finds(
    environment: dict[str, str], tmp_path: Path, plugin_folder: Path
) -> None:
    """`plugin_folder`: where there is a compiler and headers; the lines are run as they stand."""
    page = (PROJECT / "docs" / "vapoursynth.md").read_text()
    lines = page[page.index("mkdir -p build/plugins") :].partition("```")[0]
    (tmp_path / "vapoursynth_filter").symlink_to(PROJECT / "vapoursynth_filter")
    installed = Path(vapoursynth.__file__).parent  # holds a stub of its own, which would be found first
    shutil.copytree(
        installed, tmp_path / "site" / "vapoursynth", ignore=shutil.ignore_patterns("srvid", "libbestsource*")
    )
    without = environment | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), environment["PYTHONPATH"]])}
    asked = 'python -c "import vapoursynth as vs; print(vs.core.srvid.plugin_path)"'
    done = subprocess.run(
        ["bash", "-ec", f"{lines}\n{asked}"], cwd=tmp_path, env=without, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "build" / "plugins" / "libsrvid.so")]

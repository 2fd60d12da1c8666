"""Every other line of the documents, too: shell lines of other programs and Python that is no `import srvid`.

Each is named here with the test that runs it, or with what it needs that no test has.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from sr_core.backend import BACKENDS
from sr_image.formats.capabilities import FORMATS
from tests.docs.pages import FENCE, PAGES, PROGRAMS, PROJECT, name_of, shell_lines

# how a line begins → what runs it
LINES = {
    r"pip install srvid\b": "tests/house/test_installed_wheel.py",
    r"pip install 'srvid\[": "tests/docs/test_documents.py: the extras are there; release/make_dist.py resolves each",
    r"curl -": "tests/ui/test_server_life.py",
    r"(mkdir -p|cc|export VAPOURSYNTH_EXTRA_PLUGIN_PATH)\b": "tests/vapoursynth/test_native.py",
    r"vspipe -c y4m script.vpy - \| (x264|ffmpeg|mpv) ": "tests/vapoursynth/test_pipes.py",
    r"mpv --vf=vapoursynth": "tests/vapoursynth/test_mpv.py, where there is an mpv with VapourSynth",
    r"find .* \| srbatch - ": "below",
    r"python -m tests\.fuzz ": "tests/fuzz/test_sample.py",
    r"python -m tests\.cases ": "tests/cases/test_cases.py",
    r"python benchmarks/on_a_card\.py": "tests/trt/test_on_a_card.py",
    r"ray start ": "other machines; a cluster by tests/batch/test_cluster.py",
    r"VK_ICD_FILENAMES=": "tests/webgpu/test_webgpu.py",
    r"make (check|test|bench|demo|dist)\b": "the daily loop; .ci/run does `make test` and `make lint`",
    r"(podman|winget|uvx|pipx) ": "programs that may not be here; release/make_dist.py runs uvx and pipx",
}
# page → what runs its Python that is no `import srvid`
PYTHON = {
    "docs/vapoursynth.md": "tests/vapoursynth/test_pipes.py",
    "docs/mpv.md": "tests/vapoursynth/test_pipes.py and tests/vapoursynth/test_mpv.py",
    "docs/plugins.md": "tests/plugins/test_gimp.py",
}
OTHERS = [line for _, line in shell_lines() if not re.match(rf"({PROGRAMS}) ", line)]


@pytest.mark.parametrize("line", OTHERS)
def test_what_runs_a_line_is_named(line: str) -> None:
    assert [pattern for pattern in LINES if re.match(pattern, line)], "run it by a test, or say why not"


def test_what_runs_the_other_python_is_named() -> None:
    pages = {
        name_of(page)
        for page in PAGES
        for language, code in FENCE.findall(page.read_text())
        if language == "python" and "import srvid" not in code
    }
    assert pages == PYTHON.keys()


def test_the_tests_that_are_named_are_there() -> None:
    for reason in (*LINES.values(), *PYTHON.values()):
        for name in re.findall(r"(?:tests|release|\.ci)/[\w/.]+", reason):
            assert (PROJECT / name.rstrip(".:")).exists(), name


def test_every_target_of_make_that_is_named_is_one() -> None:
    targets = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = page.read_text()
        named = re.findall(r"`make ([\w-]+)`|^    make ([\w-]+)", text, re.MULTILINE)
        assert {a or b for a, b in named} <= targets, name_of(page)


@pytest.mark.skipif(os.name == "nt", reason="a line for a shell")
def test_the_documented_find_feeds_srbatch(tmp_path: Path) -> None:
    (line,) = {line for line in OTHERS if line.startswith("find ")}
    program = tmp_path / "bin" / "srbatch"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from srvid_cli.srbatch import main; main()' \"$@\"\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "work" / "more").mkdir(parents=True)
    for name in ("a.png", "more/b.png"):
        Image.new("RGB", (8, 8), "teal").save(tmp_path / "work" / name)
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cli"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": paths}
    done = subprocess.run(
        ["bash", "-c", f"{line} --model nearest"],
        cwd=tmp_path / "work", env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "work" / "out").glob("*.png")) == ["a.png", "b.png"]


# ---- pip

EXTRAS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
PIP = re.compile(r"pip install ((?:'[^']+'|[\w.\[\],{}-]+)(?: '[^']+'| [a-z][\w-]+)*)")
OTHER_PACKAGES = {"vsjetpack"}  # an extra of no one's: srvid works beside it


def named_packages(text: str) -> set[str]:
    """What `pip install` names in a text; {…} is what a program fills in."""
    prose = {"is", "and", "on", "brings", "installs", "from", "beside", "everywhere", "it", "to", "each"}
    words = {word for match in PIP.findall(text) for word in shlex.split(match)}
    return {word for word in words if word not in prose and "{" not in word and not word.startswith((".", "-"))}


def test_every_hint_of_pip_names_what_can_be_installed() -> None:
    packages = {re.split(r"[\[<>=;]", need)[0].strip() for extra in EXTRAS.values() for need in extra} | OTHER_PACKAGES
    tops = [top for top in PROJECT.iterdir() if top.is_dir() and top.name in {
        "srvid", "sr_core", "sr_video", "sr_image", "sr_work", "sr_zoo", "sr_train", "trt_build", "sr_plugins", "sr_ui",
        "vapoursynth_filter", "cli",
    }]  # fmt: skip
    files = [path for top in tops for path in top.rglob("*.py")]
    named = set().union(*(named_packages(path.read_text(encoding="utf-8")) for path in [*files, *PAGES]))
    extras = {extra for word in named for found in re.findall(r"^srvid\[(.*)\]$", word) for extra in found.split(",")}
    assert {"ui", "import", "gpu"} <= extras
    assert extras <= EXTRAS.keys()
    assert {word.partition("[")[0] for word in named} - {"srvid"} <= packages


def test_the_extras_that_programs_fill_into_hints_bring_what_is_needed() -> None:
    needed = {(package, extra) for _, package, extra in BACKENDS.values() if extra}
    needed |= {entry.needs for entry in FORMATS.values() if entry.needs is not None}
    assert len(needed) >= 5
    for package, extra in needed:
        brought = {re.split(r"[\[<>=;]", need)[0].strip().replace("-", "_") for need in EXTRAS[extra]}
        assert package in brought, (package, extra)


def test_a_hint_of_a_package_that_is_not_there_would_be_noticed() -> None:
    assert named_packages("hint: pip install 'srvid[ray]' vapoursynth-bestsorce") == {
        "srvid[ray]", "vapoursynth-bestsorce",
    }  # fmt: skip

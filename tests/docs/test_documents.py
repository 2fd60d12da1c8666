"""What the documents say is so: examples run, commands parse, links lead somewhere, figures are measured ones."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from html import escape
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image

import srvid
from sr_zoo.models import shipped_models
from srvid_cli.commands import load_commands, walk_commands
from tests.docs.pages import FENCE, PAGES, PROJECT, documented_commands, inline_commands, name_of

sys.path.insert(0, str(PROJECT / "benchmarks"))
from results import with_results

# ---- Python


def python_examples() -> list[tuple[str, str]]:
    """(page, code) of every example that needs no VapourSynth; those have tests of their own."""
    return [
        (name_of(page), code)
        for page in PAGES
        for language, code in FENCE.findall(page.read_text())
        if language == "python" and "import srvid" in code
    ]


@pytest.mark.parametrize(("page", "code"), python_examples())
def test_a_python_example_runs(page: str, code: str, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)).save(tmp_path / "photo.jpg")
    (tmp_path / "in.mp4").write_bytes((PROJECT / "examples" / "flower.mp4").read_bytes())
    if "container" not in code and "source.decode(video)" in code:  # a whole clip: its first frames will do
        code = code.replace("source.decode(video)", "(f for f, _ in zip(source.decode(video), range(3)))")
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cli")])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_there_are_examples_to_run() -> None:
    pages = [page for page, _ in python_examples()]
    assert pages.count("docs/python.md") >= 5
    assert "README.md" in pages


# ---- commands


def parsed(words: list[str]) -> None:
    """Let click read the line, run nothing; raises where it would be refused."""
    command: click.Command = load_commands()[words[0]]
    context, rest = click.Context(command, info_name=words[0]), words[1:]
    while rest and isinstance(command, click.Group):
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
    files = [parameter for parameter in command.params if isinstance(parameter.type, click.Path)]
    before = [(parameter.type, parameter.type.exists) for parameter in files if isinstance(parameter.type, click.Path)]
    for kind, _ in before:
        kind.exists = False  # the files of an example are not here
    try:
        command.make_context(words[0], list(rest), parent=context)
    finally:
        for kind, existed in before:
            kind.exists = existed


@pytest.mark.parametrize(("page", "line"), documented_commands())
def test_a_documented_command_is_one(page: str, line: str) -> None:
    plain = re.split(r"\s\||\s<|\s>|\s&&|;", line.partition("  #")[0].partition(" # ")[0])[0]
    for alternative in expand(plain):
        words = shlex.split(alternative)
        if words[-1] != "--list":
            parsed(words)


def expand(line: str) -> list[str]:
    """'srkit models list | info X' style alternatives are cut before; '[…]' marks what may be left out."""
    without = re.sub(r"\[[^\]]*\]", "", line)
    return [without.replace("…", "x")]


@pytest.mark.parametrize(("page", "line"), inline_commands())
def test_a_command_inside_a_sentence_is_one(page: str, line: str) -> None:
    """Its name and options are; what it works on may be left out there, or be a word such as HOST."""
    words = [word for word in shlex.split(re.split(r"\s[|<>]", line)[0].replace("…", "")) if not word.isupper()]
    try:
        parsed(words)
    except click.MissingParameter:
        pass
    except click.UsageError as error:
        if not isinstance(error, click.exceptions.NoArgsIsHelpError):
            raise


def test_a_wrong_option_would_be_noticed() -> None:
    with pytest.raises(click.UsageError):
        parsed(["srvid", "in.mp4", "out.mp4", "--no-such-option"])


# ---- links, figures, installs


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page if not path else (page.parent / path).resolve()
        if not file.exists() or (anchor and anchor not in anchors_of(file)):
            lost.append(target)
    assert lost == []


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_the_readmes_decibels_are_those_inside_the_models() -> None:
    text = (PROJECT / "README.md").read_text()
    measured = {model.spec.name: model.spec.psnr_y["set5"] for model in shipped_models() if "set5" in model.spec.psnr_y}
    stated = " / ".join(f"{measured[f'clear-x{scale}']:.2f}" for scale in (2, 3, 4))
    assert f"measures {stated} dB on Set5" in text


def ratios_in_results() -> list[float]:
    """srvid / peer of every kept run of against_mlrt.py, 8-bit YUV, each in what it takes on such a CPU by itself."""
    rows = [
        dict(zip(reversed(result["columns"]), reversed(row), strict=True))  # the first "ratio" is the CPU's
        for result in results()
        if "against_mlrt.py" in result["command"]
        for row in result["rows"]
    ]
    shown = [(" ".join(str(cell) for cell in row.values()), row) for row in rows]
    return [row["ratio"] for text, row in shown if "auto" in text and "YUV420P8" in text]


def test_the_readmes_share_of_the_peers_time_is_that_of_every_result() -> None:
    ratios = ratios_in_results()
    assert len(ratios) >= 9
    stated = f"{min(ratios):.2f} to {max(ratios):.2f} of vs-mlrt's CPU time"
    assert stated in (PROJECT / "README.md").read_text()


# ---- benchmarks


def results() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((PROJECT / "benchmarks" / "results").glob("*.json"))]


def test_every_result_names_its_machine_versions_peers_and_a_command_that_is_there() -> None:
    assert len(results()) >= 3
    for result in results():
        assert result["rows"], result["title"]
        assert all(len(row) == len(result["columns"]) for row in result["rows"])
        assert {"srvid", "Python"} <= result["versions"].keys()
        assert result["peers"], "a figure without a peer says little"
        assert " CPUs, " in result["machine"]
        assert (PROJECT / result["command"].split()[1]).is_file()


def test_a_page_shows_the_results_that_are_kept_and_no_others() -> None:
    done = [(name_of(page), page.read_text(), with_results(page.read_text())) for page in PAGES]
    assert any("| peer CPU |" in text for _, text, _ in done)  # one that shows some is known, so the rest is compared
    for name, text, fresh in done:
        assert text == fresh, f"python benchmarks/results.py {name}"


# ---- the site


def test_the_site_builds_without_a_warning_and_holds_every_command(tmp_path: Path) -> None:
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("needs pip install 'srvid[docs]'")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=PROJECT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(PROJECT / "cli")},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    commands = (tmp_path / "site" / "reference" / "commands" / "index.html").read_text()
    assert all(f'id="{name.replace(" ", "-")}"' in commands for name, _, _ in walk_commands())
    benchmarks = (tmp_path / "site" / "benchmarks" / "index.html").read_text()
    assert all(escape(result[part], quote=False) in benchmarks for result in results() for part in ("title", "machine"))
    python = (tmp_path / "site" / "reference" / "python" / "index.html").read_text()
    public = [name for name in srvid.__all__ if name != "__version__"]
    assert [name for name in (*public, "Upscaler.frames") if f'id="srvid.{name}"' not in python] == []
    for page in (tmp_path / "site").rglob("*.html"):  # a table or list that is run into the text shows its marks
        text = re.sub(r"<(pre|code|script).*?</\1>", "", page.read_text(), flags=re.DOTALL)
        assert not re.search(r"\|-{2,}|<p>[^<]*\n[-*] ", text), page.parent.name

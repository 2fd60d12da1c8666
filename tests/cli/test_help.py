"""Help and guesses: what a newcomer reads, and what is said of a misspelt word."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sr_core.errors import BadInput
from sr_core.wording import as_argument, as_flag, closest, option, spell
from srvid_cli.batch.options import BatchOptions
from srvid_cli.command import GroupedCommand
from srvid_cli.engine_options import EngineOptions
from srvid_cli.pool_options import PoolOptions
from srvid_cli.srbatch import srbatch_command
from srvid_cli.srkit import COMMANDS, group
from srvid_cli.srvid import srvid_command
from srvid_cli.video_options import VideoOptions

PROJECT = Path(__file__).resolve().parents[2]
CORE = ("sr_core", "sr_video", "sr_image", "sr_work", "sr_zoo", "trt_build", "srvid", "sr_train", "vapoursynth_filter")


@pytest.mark.parametrize("command", [srvid_command, srbatch_command])
def test_help_shows_examples_before_options_and_every_option_in_a_group(command: click.Command) -> None:
    text = CliRunner().invoke(command, ["--help"], terminal_width=100).output
    headings = [text.index(name) for name in ("Examples:", "Everyday:", "Output:", "Engine:", "Many machines:")]
    assert headings == sorted(headings)
    assert isinstance(command, GroupedCommand)
    other = command.rows_by_group(click.Context(command))["Other"]
    assert [row[0].split(", ")[-1] for row in other] == ["--version", "--help"]


@pytest.mark.parametrize(("command", "options"), [(srvid_command, VideoOptions), (srbatch_command, BatchOptions)])
def test_every_option_is_a_field_of_the_commands_class(command: click.Command, options: type) -> None:
    given = {parameter.name for parameter in command.params if isinstance(parameter, click.Option)}
    shared = {field.name for part in (EngineOptions, PoolOptions) for field in fields(part)}
    assert given - {"version"} == ({field.name for field in fields(options)} - {"engine", "pool"}) | shared


def test_a_codec_is_known_by_its_other_names_and_guessed_when_misspelt(tmp_path: Path) -> None:
    wrong = CliRunner().invoke(srvid_command, ["a.mp4", "b.mp4", "--codec", "libx625"])
    assert wrong.exit_code == 2
    assert "did you mean libx265?" in wrong.output
    missing = CliRunner().invoke(srvid_command, [str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4"), "--codec", "x265"])
    assert isinstance(missing.exception, BadInput)  # the file: the codec is fine


def test_a_misspelt_model_or_command_is_guessed() -> None:
    wrong = CliRunner().invoke(srvid_command, ["a.mp4", "b.mp4", "--modle", "clear"])
    assert "--model" in wrong.output
    assert closest("clera-x4", ["clear-x4", "swift-x4"]) == "did you mean clear-x4? "
    assert closest("something else", ["clear-x4"]) == ""
    assert "did you mean models?" in CliRunner().invoke(group, ["model", "list"]).output.lower()


def options_named_in(package: str) -> set[str]:
    """The first argument of every call of `option(...)` in a package."""
    names = set()
    for path in (PROJECT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "option":
                first = node.args[0]
                names |= {first.value} if isinstance(first, ast.Constant) else set()
    return names


def flags() -> set[str]:
    commands = [srvid_command, srbatch_command]
    commands += [command for name in COMMANDS if (command := group.get_command(click.Context(group), name))]
    return {flag for command in commands for parameter in command.params for flag in parameter.opts}


def test_every_option_that_the_core_names_exists() -> None:
    named = set().union(*map(options_named_in, CORE))
    assert len(named) > 20
    assert {as_flag(name, None) for name in named} <= flags()


@pytest.mark.parametrize("package", [name for name in CORE if name != "sr_train"])
def test_no_message_of_the_core_spells_a_flag(package: str) -> None:
    found = []
    for path in (PROJECT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise):
                texts = [leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant)]
                whole = ("ray start", "srkit ")  # a command of its own, whoever reads it
                found += [t for t in texts if isinstance(t, str) and "--" in t and not any(word in t for word in whole)]
    assert found == []


def test_each_front_end_spells_an_option_its_own_way() -> None:
    text = f"use {option('tile', 64)}, {option('overwrite', True)} or {option('options', 'g=3')}"
    assert spell(text, as_flag) == "use --tile 64, --overwrite or -o g=3"
    assert spell(text, as_argument) == "use tile=64, overwrite=True or options=g=3"
    error = BadInput("no", hint=text)
    assert error.hint == "use tile=64, overwrite=True or options=g=3"
    assert str(error) == f"no\nhint: {error.hint}"

"""`srkit plug`: what is written, where, and what is left alone."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sr_core.errors import OutputExists
from sr_plugins.install import examine, install, uninstall
from sr_plugins.places import FILES, HOSTS, Place, System, contents_of, places_of

MODELS = ("clear",)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def place_in(host: str, folder: Path) -> Place:
    root = folder / "root"
    root.mkdir()
    return Place(host=host, root=root, kritarc=folder / "kritarc" if host == "krita" else None)


@pytest.mark.parametrize("host", HOSTS)
def test_installing_twice_changes_nothing_and_uninstalling_leaves_nothing(host: str, tmp_path: Path) -> None:
    place = place_in(host, tmp_path)
    install(place, MODELS)
    once = everything(tmp_path)
    assert set(FILES[host].values()) <= {name.removeprefix("root/") for name in once}
    install(place, MODELS)
    assert everything(tmp_path) == once
    uninstall(place)
    assert set(everything(tmp_path)) <= {"kritarc"}
    assert uninstall(place) == []


@pytest.mark.parametrize("host", HOSTS)
def test_a_file_of_somebody_else_is_never_overwritten_or_removed(host: str, tmp_path: Path) -> None:
    place = place_in(host, tmp_path)
    theirs = place.root / next(iter(FILES[host].values()))
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(OutputExists, match="is in the way"):
        install(place, MODELS)
    assert everything(place.root) == {str(theirs.relative_to(place.root)): b"mine"}
    theirs.unlink()
    install(place, MODELS)
    theirs.write_text("edited by the user")
    (place.ours / "notes.txt").write_text("mine too")
    with pytest.raises(OutputExists):
        install(place, MODELS)
    uninstall(place)
    assert theirs.read_text() == "edited by the user"
    assert (place.ours / "notes.txt").read_text() == "mine too"


def test_an_older_version_is_replaced_and_its_surplus_removed(tmp_path: Path) -> None:
    place = place_in("gimp", tmp_path)
    install(place, MODELS)
    import hashlib

    old = place.ours / "old_helper.py"
    old.write_bytes(b"old")
    client = place.ours / "srvid_client.py"
    client.write_bytes(b"older client")
    listed = json.loads(place.manifest.read_text())
    listed["files"]["plug-ins/srvid_upscale/old_helper.py"] = hashlib.sha256(b"old").hexdigest()
    listed["files"]["plug-ins/srvid_upscale/srvid_client.py"] = hashlib.sha256(b"older client").hexdigest()
    place.manifest.write_text(json.dumps(listed))
    assert any("another version" in finding.text for finding in examine(place))
    install(place, MODELS)
    assert not old.exists()
    assert client.read_bytes() == contents_of("gimp")["plug-ins/srvid_upscale/srvid_client.py"]


def test_gimp_s_file_is_executable_and_stands_in_a_folder_of_its_name(tmp_path: Path) -> None:
    place = place_in("gimp", tmp_path)
    install(place, MODELS)
    script = place.root / "plug-ins/srvid_upscale/srvid_upscale.py"
    assert stat.S_IMODE(script.stat().st_mode) & 0o111
    assert script.read_text().startswith("#!/usr/bin/env python3")


def test_krita_s_settings_keep_every_other_line(tmp_path: Path) -> None:
    place = place_in("krita", tmp_path)
    assert place.kritarc is not None
    before = "[advancedColorSelector]\ngamma=2.2\n\n[python]\nenable_tenscripts=true\n\n[theme]\nTheme=Dark\n"
    place.kritarc.write_text(before)
    install(place, MODELS)
    lines = place.kritarc.read_text().splitlines()
    assert lines[lines.index("[python]") + 1] == "enable_srvid_upscale=true"
    uninstall(place)
    assert place.kritarc.read_text() == before


@pytest.mark.parametrize(
    ("platform", "variables", "folders", "expected"),
    [
        ("linux", {}, [".config/GIMP/3.0/plug-ins", ".config/GIMP/3.2", ".config/GIMP/2.10"], ["3.0", "3.2"]),
        ("linux", {}, [".var/app/org.gimp.GIMP/config/GIMP/3.0"], ["3.0"]),
        ("linux", {"XDG_CONFIG_HOME": "{home}/cfg"}, ["cfg/GIMP/3.0", ".config/GIMP/3.0"], ["3.0"]),
        ("win32", {"APPDATA": "{home}/Roaming"}, ["Roaming/GIMP/3.0"], ["3.0"]),
        ("darwin", {}, ["Library/Application Support/GIMP/3.0"], ["3.0"]),
        ("linux", {"GIMP3_DIRECTORY": "{home}/own"}, [], ["own"]),
    ],
)
def test_gimp_is_found_wherever_it_looks(
    tmp_path: Path, platform: str, variables: dict[str, str], folders: list[str], expected: list[str]
) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    environ = {name: value.format(home=tmp_path) for name, value in variables.items()}
    found = places_of("gimp", System(home=tmp_path, platform=platform, environ=environ))
    assert [place.root.name for place in found] == expected
    assert [place.is_flatpak for place in found] == ["org.gimp.GIMP" in str(place.root) for place in found]


def test_krita_is_found_as_package_and_as_flatpak(tmp_path: Path) -> None:
    (tmp_path / ".local/share/krita").mkdir(parents=True)
    (tmp_path / ".var/app/org.kde.krita/data/krita").mkdir(parents=True)
    found = places_of("krita", System(home=tmp_path, platform="linux", environ={}))
    assert [place.is_flatpak for place in found] == [False, True]
    assert found[1].kritarc == tmp_path / ".var/app/org.kde.krita/config/kritarc"


def test_the_doctor_names_each_fault_and_what_mends_it(tmp_path: Path) -> None:
    place = place_in("gimp", tmp_path)
    assert [finding.hint for finding in examine(place)] == ["srkit plug install gimp"]
    install(place, MODELS)
    assert all(finding.is_fine for finding in examine(place))
    (place.root / "plug-ins/srvid_upscale/srvid_upscale.py").chmod(0o644)
    (place.ours / "srvid_client.py").unlink()
    facts = json.loads(place.launch_file.read_text())
    place.launch_file.write_text(json.dumps({**facts, "command": [sys.executable, "-c", "raise SystemExit('gone')"]}))
    said = " | ".join(finding.text for finding in examine(place) if not finding.is_fine)
    assert "not executable" in said
    assert "srvid_client.py is missing" in said
    assert "launch.json was changed" in said
    assert "gone" in said


def test_the_doctor_sees_that_krita_has_the_plug_in_switched_off(tmp_path: Path) -> None:
    place = place_in("krita", tmp_path)
    assert place.kritarc is not None
    install(place, MODELS)
    place.kritarc.write_text("[python]\nenable_srvid_upscale=false\n")
    assert any("switched off" in finding.text for finding in examine(place))


def test_a_folder_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    from srvid_cli.srkit.plug import command

    done = CliRunner().invoke(command, ["install", "gimp", "--into", str(tmp_path / "typo")])
    assert done.exit_code == 2
    assert "does not exist" in done.output
    assert not (tmp_path / "typo").exists()


def test_the_command_installs_into_a_named_folder_and_reports(tmp_path: Path) -> None:
    from srvid_cli.srkit.plug import command

    for action in ("install", "doctor", "uninstall"):
        done = CliRunner().invoke(command, [action, "gimp", "--into", str(tmp_path)])
        assert done.exit_code == 0, done.output
        assert str(tmp_path) in done.output
    assert not (tmp_path / "plug-ins/srvid_upscale").exists()

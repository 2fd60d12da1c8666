"""What a release is made from: descriptions, containers, names of the stub. `make dist` itself takes minutes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import skip_or_fail

PROJECT = Path(__file__).resolve().parents[2]
RELEASE = PROJECT / "release"
INLINE_RUNNERS = re.compile(r"`((?:uvx|pipx run) [^`]+)`")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, RELEASE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recipes() -> ModuleType:
    return load("recipes")


@pytest.fixture
def written(recipes: ModuleType, tmp_path: Path) -> dict[str, str]:
    sdist = tmp_path / "srvid-0.1.0.tar.gz"
    sdist.write_bytes(b"content")
    paths = recipes.write_recipes(
        PROJECT / "pyproject.toml", sdist, tmp_path / "recipes", index="https://index.example"
    )
    return {path.name: path.read_text() for path in paths}


def test_every_recipe_has_version_checksum_and_every_program(written: dict[str, str]) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    checksum = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"  # sha256 of 'content'
    assert set(written) == {"recipe.yaml", "PKGBUILD", "srvid.rb"}
    for text in written.values():
        assert checksum in text
        assert "https://index.example/packages/source/s/srvid/srvid-0.1.0.tar.gz" in text
        assert all(script in text for script in project["scripts"])


def test_the_conda_recipe_is_yaml_and_needs_what_the_project_needs(written: dict[str, str]) -> None:
    yaml = pytest.importorskip("yaml")
    recipe = yaml.safe_load(written["recipe.yaml"])
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert recipe["context"]["version"] == project["version"]
    assert len(recipe["requirements"]["run"]) == 1 + len(project["dependencies"])
    assert "python >=3.12" in recipe["requirements"]["run"]
    assert len(recipe["build"]["python"]["entry_points"]) == len(project["scripts"])


def test_the_arch_recipe_is_bash(written: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "PKGBUILD").write_text(written["PKGBUILD"])
    subprocess.run(["bash", "-n", str(tmp_path / "PKGBUILD")], check=True)


# A stand-in for Homebrew: remembers what the class says of itself, and what `install` calls.
HOMEBREW = """
require "json"
require "pathname"
module Language; module Python; module Virtualenv; end; end; end
Pathname.class_eval { def install_symlink(*links) = $calls << ["install_symlink", *links.map(&:to_s)] }
$calls = []
class Formula
  class << self
    attr_reader :said, :tested
    %w[desc homepage url sha256 license depends_on].each do |word|
      define_method(word) { |text| (@said ||= {})[word] = text }
    end
    def test(&block) = @tested = block
    def [](name) = Struct.new(:opt_bin).new(Pathname("/opt/#{name}/bin"))
  end
  %w[libexec bin man1 buildpath].each { |place| define_method(place) { Pathname("/#{place}") } }
  %w[system virtualenv_create generate_completions_from_executable].each do |word|
    define_method(word) { |*given, **named| $calls << [word, *given.map(&:to_s), *named.map { |k, v| "#{k}=#{v}" }] }
  end
end
load ARGV[0]
Srvid.new.install
puts JSON.generate({said: Srvid.said, tested: !Srvid.tested.nil?, calls: $calls})
"""


def test_the_homebrew_formula_installs_every_program_its_pages_and_completions(
    written: dict[str, str], tmp_path: Path
) -> None:
    if shutil.which("ruby") is None:
        skip_or_fail("needs ruby")
    (tmp_path / "srvid.rb").write_text(written["srvid.rb"])
    words = ["ruby", "-w", "-e", HOMEBREW, str(tmp_path / "srvid.rb")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    formula = json.loads(done.stdout)
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert formula["tested"]
    assert formula["said"]["desc"] == project["description"]
    assert formula["said"]["license"] == project["license"]
    calls = {tuple(call) for call in formula["calls"]}
    assert ("install_symlink", *(f"/libexec/bin/{script}" for script in project["scripts"])) in calls
    assert ("system", "/bin/srkit", "man", "--out", "/man1") in calls
    completed = {call[1] for call in calls if call[0] == "generate_completions_from_executable"}
    assert completed == {f"/bin/{script}" for script in project["scripts"]}


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """resolve_extras() on a pip that says `stderr` of the extra tensorrt and finds everything else."""
    load("run")
    module = load("resolve")

    def resolve_extras(stderr: str, *, is_reached: bool = False, is_published: bool = True) -> list[str]:
        def pip(*words: object, **_: object) -> subprocess.CompletedProcess[str]:
            fails = str(words[-1]).endswith("[tensorrt]") or ("--no-deps" in words and not is_published)
            shown = [str(word) for word in words]
            return subprocess.CompletedProcess(shown, int(fails), '{"install": []}', stderr if fails else "")

        monkeypatch.setattr(module, "attempt", pip)
        monkeypatch.setattr(sys.modules["run"], "attempt", pip)
        monkeypatch.setattr(module, "can_reach", lambda index: is_reached)
        unknown: list[str] = module.resolve_extras(Path("srvid.whl"))
        return unknown

    return resolve_extras


PLACEHOLDER = """
      The installation of tensorrt-cu13-libs for version 11.4.0.106 failed.

      This is a special placeholder package which downloads a real wheel package
      from https://index.example/. If https://index.example/ is not reachable, we
      cannot download the real wheel file to install.
"""


def test_an_extra_behind_an_index_out_of_reach_is_said_to_be_unchecked(
    resolving: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (unknown,) = resolving(PLACEHOLDER)
    assert unknown.startswith("srvid[tensorrt]: not checked here: tensorrt-cu13-libs is a placeholder")
    assert "https://index.example, which cannot be reached" in unknown
    assert unknown in capsys.readouterr().out  # at once, and again at the end


@pytest.mark.parametrize(
    ("stderr", "facts"),
    [
        ("ERROR: No matching distribution found for tensorrt>=99", {}),
        (PLACEHOLDER, {"is_reached": True}),  # then the placeholder itself is at fault
        (PLACEHOLDER, {"is_published": False}),  # what is asked for is not even there
    ],
    ids=["no such version", "the index answers", "not published"],
)
def test_an_extra_that_cannot_be_installed_ends_the_release(
    resolving: Callable[..., list[str]], stderr: str, facts: dict[str, bool]
) -> None:
    with pytest.raises(SystemExit, match=r"tensorrt"):
        resolving(stderr, **facts)


def test_the_local_index_holds_the_wheels_beside_what_pip_is_set_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load("run")
    runners = load("try_runners")
    wheel = tmp_path / "srvid-9.9.9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("srvid-9.9.9.dist-info/METADATA", "Metadata-Version: 2.1\nName: srvid\nVersion: 9.9.9\n")
        archive.writestr("srvid-9.9.9.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    index = runners.write_index([wheel], tmp_path / "index")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    (tmp_path / "pip.conf").write_text("[global]\nextra-index-url = file:///one\n    file:///two\n")
    environment = runners.environment_of(index, tmp_path)
    assert environment["PIP_EXTRA_INDEX_URL"].split() == ["file:///one", "file:///two", index]
    pip = (
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--index-url",
        index,
        "--dest",
        tmp_path / "got",
        "srvid",
    )
    subprocess.run(pip, check=True, env={**os.environ, "PIP_NO_INDEX": "0"})
    assert (tmp_path / "got" / wheel.name).exists()


def test_every_form_in_the_documents_is_run_by_make_dist() -> None:
    load("run")
    tried = load("try_runners").LINES
    for line in INLINE_RUNNERS.findall((PROJECT / "docs" / "index.md").read_text()):
        assert any(run.startswith(line) for run in tried), line


def test_every_recipe_is_tried_by_make_dist(recipes: ModuleType) -> None:
    load("run")
    assert load("try_recipes").TRIALS.keys() == {Path(name).name for name in recipes.RECIPES}


@pytest.mark.parametrize("name", ["Containerfile.cpu", "Containerfile.nvidia"])
def test_a_trial_without_an_engine_follows_every_step_of_a_container(name: str) -> None:
    """What `release/try_containerfile.py` reads of the file is all there is in it."""
    trial = load("try_containerfile")
    text = (RELEASE / name).read_text()
    instructions = trial.read_instructions(text)
    assert {"FROM", "COPY", "RUN", "ENV", "USER"} <= {word for word, _ in instructions}
    assert {word for word, _ in instructions} <= {
        "FROM", "COPY", "RUN", "ENV", "USER", "LABEL", "WORKDIR", "CMD"
    }  # fmt: skip
    runs = [rest for word, rest in instructions if word == "RUN"]
    assert len(runs) == text.count("\nRUN ")
    assert "pip install" in runs[0]
    assert "pip uninstall" in runs[0]  # continued lines are one
    assert "SRVID_CACHE=/tmp/srvid" in trial.environment_of(instructions)
    copies = [rest for word, rest in instructions if word == "COPY"]
    assert [rest.split()[-1] for rest in copies] == ["/wheels/", "/opt/srvid"]


@pytest.mark.parametrize("name", ["Containerfile.cpu", "Containerfile.nvidia"])
def test_every_stage_of_a_container_begins_with_one_base(name: str) -> None:
    """`release/build_image.py` makes that base where it cannot be fetched."""
    load("try_containerfile")
    assert load("build_image").base_of(RELEASE / name) == "python:3.12-slim-bookworm"


@pytest.mark.parametrize("name", ["Containerfile.cpu", "Containerfile.nvidia"])
def test_containers_are_linted_and_run_as_nobody_special(name: str) -> None:
    text = (RELEASE / name).read_text()
    assert "\nUSER 1000\n" in text
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert "srvid[rtx]" in text if "nvidia" in name else "srvid\\" not in text
    assert "rtx" in extras
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if linter is None:
        skip_or_fail("needs hadolint: pip install 'srvid[release]'")
    done = subprocess.run([linter, str(RELEASE / name)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_stub_is_named_as_each_system_wants() -> None:
    spec = importlib.util.spec_from_file_location("hatch_build", PROJECT / "hatch_build.py")
    pytest.importorskip("hatchling")
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    names = {tag: hook.library_name(tag) for tag in ("manylinux_2_17_aarch64", "win_amd64", "macosx_11_0_arm64")}
    assert list(names.values()) == ["libsrvid.so", "srvid.dll", "libsrvid.dylib"]

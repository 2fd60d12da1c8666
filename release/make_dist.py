"""Everything a release is, made and tried here; publishing then needs only a key.

    make dist                        or: python release/make_dist.py [--skip-install]

    dist/*.tar.gz, *.whl             one sdist; a wheel for each platform, its stub compiled by zig
    dist/recipes/                    conda, Homebrew, AUR: generated from pyproject.toml
    dist/sbom.cdx.json               what a plain installation brings, with licences (CycloneDX 1.6)
    dist/SHA256SUMS

What is checked: twine and check-wheel-contents on every file; the files beside each other hold the same
Python; the wheel of this machine in an empty environment, with the demo run from outside the checkout; that
pip resolves every other platform from its tags alone, and here every extra that a hint can name (resolve.py);
`uvx srvid` and `pipx run srvid` (try_runners.py); and the recipes, as far as try_recipes.py can. What could
not be checked here is said at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from recipes import write_recipes
from resolve import resolve, resolve_extras
from run import PROJECT, run
from sbom import write_sbom
from try_recipes import try_recipe
from try_runners import try_runners

DIST = PROJECT / "dist"


@dataclass(frozen=True, kw_only=True)
class Platform:
    """One wheel: its tag, zig's target, and the tags by which pip there looks for what srvid needs."""

    tag: str
    target: str
    pip_tags: tuple[str, ...]

    @property
    def is_here(self) -> bool:
        """It is this machine's."""
        machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(os.uname().machine, os.uname().machine)
        return sys.platform == "linux" and self.tag == f"manylinux_2_17_{machine}"


PLATFORMS = (
    Platform(
        tag="manylinux_2_17_x86_64",
        target="x86_64-linux-gnu.2.17",
        pip_tags=("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    ),
    Platform(
        tag="manylinux_2_17_aarch64",
        target="aarch64-linux-gnu.2.17",
        # OpenVINO's own wheels for ARM ask for glibc 2.35: Ubuntu 22.04, Debian 12
        pip_tags=(
            "manylinux_2_35_aarch64",
            "manylinux_2_28_aarch64",
            "manylinux_2_17_aarch64",
            "manylinux2014_aarch64",
        ),
    ),
    Platform(tag="win_amd64", target="x86_64-windows-gnu", pip_tags=("win_amd64",)),
    Platform(
        tag="macosx_11_0_arm64",
        target="aarch64-macos",
        pip_tags=("macosx_14_0_arm64", "macosx_13_0_arm64", "macosx_12_0_arm64", "macosx_11_0_arm64"),
    ),
)


def build() -> list[Path]:
    """The sdist and one wheel a platform, into an empty dist/."""
    shutil.rmtree(DIST, ignore_errors=True)
    python, common = sys.executable, ("--no-isolation", "--outdir", DIST)
    run(python, "-m", "build", "--sdist", *common)
    for platform in PLATFORMS:
        compiler = f"{python} -m ziglang cc -target {platform.target}"
        run(python, "-m", "build", "--wheel", *common, CC=compiler, SRVID_NATIVE="1", SRVID_PLATFORM_TAG=platform.tag)
        print(f"built for {platform.tag}")
    return sorted(path for path in DIST.iterdir() if path.suffix in (".whl", ".gz"))


def check(files: list[Path]) -> None:
    """What an index and its users demand of the files."""
    run(sys.executable, "-m", "twine", "check", "--strict", *files)
    wheels = [path for path in files if path.suffix == ".whl"]
    run(Path(sys.executable).with_name("check-wheel-contents"), *wheels)
    contents = [_python_of(wheel) for wheel in wheels]
    if any(content != contents[0] for content in contents):
        sys.exit("the wheels hold different Python")
    print(f"checked {len(files)} files; {len(contents[0])} of each wheel are the same in all")


def _python_of(wheel: Path) -> dict[str, str]:
    """Name → hash of every file that no platform changes."""
    with zipfile.ZipFile(wheel) as archive:
        names = [
            name for name in archive.namelist() if ".dist-info/" not in name and not name.startswith("vapoursynth/")
        ]
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}


def install_and_try(wheel: Path, folder: Path) -> Path:
    """The wheel in an empty environment; the demo is run from outside the checkout. Returns its Python."""
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    pip = (programs / "python", "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "-c", PROJECT / "constraints.txt", wheel, cwd=folder)
    shutil.copy(PROJECT / "examples" / "flower.mp4", folder)
    clean = {"PYTHONPATH": "", "SRVID_CACHE": str(folder / "cache")}
    run(programs / "srvid", "flower.mp4", "large.mp4", "--scale", 2, "--end", 0.3, cwd=folder, **clean)
    run(programs / "srkit", "compare", "flower.mp4", "large.mp4", "look.png", "--at", 0.1, cwd=folder, **clean)
    print(run(programs / "srvid", "--version", cwd=folder, **clean).strip())
    return programs / "python"


def published_at() -> str:
    """The index to which twine uploads, as its users see it."""
    from twine.utils import DEFAULT_REPOSITORY

    return f"https://{urlsplit(DEFAULT_REPOSITORY).netloc.removeprefix('upload.')}"


def main() -> None:
    """Build, check, try, describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skip-install", action="store_true", help="Build and check only.")
    skips = parser.parse_args().skip_install
    files = build()
    check(files)
    wheels = {platform: next(path for path in files if platform.tag in path.name) for platform in PLATFORMS}
    unknown = []
    if not skips:
        for platform, wheel in wheels.items():
            count = resolve(wheel, pip_tags=(*platform.pip_tags, platform.tag))
            print(f"{platform.tag}: pip resolves {count} packages", flush=True)
        with tempfile.TemporaryDirectory() as place:
            for platform, wheel in wheels.items():
                if platform.is_here:
                    python = install_and_try(wheel, Path(place))
                    unknown += resolve_extras(wheel)
                    print(f"wrote {write_sbom(python, DIST / 'sbom.cdx.json')}")
            try_runners(list(wheels.values()), Path(place))
    sdist = next(path for path in files if path.suffix == ".gz")
    for path in write_recipes(PROJECT / "pyproject.toml", sdist, DIST / "recipes", index=published_at()):
        print(f"wrote {path.relative_to(PROJECT)}: {try_recipe(path, sdist, skips=skips)}")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in files]
    (DIST / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")
    print("\n".join(unknown) if unknown else "all was checked")


if __name__ == "__main__":
    main()

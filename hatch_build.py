"""Build hook: compile vapoursynth_filter/native/srvid.c into the wheel.

The wheel then holds vapoursynth/plugins/srvid/{libsrvid.so, manifest.vs}, where VapourSynth loads it
by itself, so `core.srvid.Upscale` is there after `pip install`, editable or not. The stub links to nothing of Python's:
one py3-none-<platform> wheel serves every version. Without a compiler or without VapourSynth's headers the
wheel is pure, says so, and lacks only that name: `from vapoursynth_filter import upscale` is the same filter.

    SRVID_NATIVE=0 | 1           never | or fail (a release); unset: where it can be
    SRVID_PLATFORM_TAG           the wheel's platform, else this machine's own (linux_x86_64, which no index
                                 takes); for a release manylinux_2_17_x86_64, with CC set to
                                 "python -m ziglang cc -target x86_64-linux-gnu.2.17"; release/make_dist.py does so
                                 for every platform
    CC                           the compiler, else cc, gcc or clang
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

INSTALLED_FOLDER = "vapoursynth/plugins/srvid"


def platform_tag() -> str:
    """The wheel's platform: the one that is asked for, or this machine's own."""
    from packaging import tags

    return os.environ.get("SRVID_PLATFORM_TAG") or next(tags.platform_tags())


def library_name(platform: str) -> str:
    """What the stub is called on `platform`, a wheel's platform tag."""
    return {"win": "srvid.dll", "mac": "libsrvid.dylib"}.get(platform[:3], "libsrvid.so")


def find_compiler() -> list[str] | None:
    """The C compiler's command, or None."""
    chosen = os.environ.get("CC")
    for command in [shlex.split(chosen)] if chosen else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(command[0]):
            return command
    return None


def find_headers() -> Path | None:
    """The folder with VapourSynth4.h, or None."""
    try:
        import vapoursynth
    except ImportError:
        return None
    return Path(vapoursynth.get_include())


def read_version() -> str:
    """The project's version, of which pyproject.toml is the home."""
    with (Path(__file__).parent / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def compile_stub(compiler: list[str], headers: Path, source: Path, folder: Path) -> list[Path]:
    """Compile `source` into `folder`; return the library and the manifest that VapourSynth reads."""
    folder.mkdir(parents=True, exist_ok=True)
    library, manifest = folder / library_name(platform_tag()), folder / "manifest.vs"
    position_independent = [] if library.suffix == ".dll" else ["-fPIC"]
    options = ["-std=c11", "-O2", "-Wall", "-Wextra", "-shared", *position_independent, f"-I{headers}"]
    options.append(f'-DSRVID_VERSION="{read_version()}"')
    subprocess.run([*compiler, *options, str(source), "-o", str(library)], check=True)
    manifest.write_text(f"[VapourSynth Manifest V1]\n{library.stem}\n", encoding="utf-8")
    return [library, manifest]


class NativeStub(BuildHookInterface[Any]):
    """Add the compiled stub to a wheel, or leave the wheel pure."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        wanted = os.environ.get("SRVID_NATIVE", "auto")
        if self.target_name != "wheel" or wanted == "0":
            return
        compiler, headers = find_compiler(), find_headers()
        if compiler is None or headers is None:
            missing = "C compiler" if compiler is None else "VapourSynth headers"
            if wanted == "1":
                raise RuntimeError(f"SRVID_NATIVE=1, but there is no {missing}")
            self.app.display_warning(f"srvid: no {missing}, so this wheel has no core.srvid.Upscale")
            return
        root = Path(self.root)
        source = root / "vapoursynth_filter" / "native" / "srvid.c"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"
        included = "force_include_editable" if version == "editable" else "force_include"
        for built in compile_stub(compiler, headers, source, root / "build" / "vapoursynth"):
            build_data[included][str(built)] = f"{INSTALLED_FOLDER}/{built.name}"

"""A case number → one damaged input and the command that gets it, the same for ever with one seed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz import judge
from tests.fuzz.mutations import damaged_bytes, damaged_json, damaged_onnx, damaged_value
from tests.fuzz.seeds import IMAGES, REQUESTS, SEEDS, VIDEOS, request_bytes
from tests.fuzz.states import STATES, State

Judge = Callable[[int, bytes], str]
KINDS = {"video": 42, "image": 34, "model": 10, "record": 9, "request": 5}  # shares of all cases
TORCH_SHARE = 0.02  # of the models
_PLAIN = ("--scale", "2", "--model", "nearest")


def _not_judged(code: int, said: bytes) -> str:
    """Where there is no second opinion."""
    return ""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case, laid out in its folder.

    Attributes:
        given: names of the files that were there before, and that may be there after.
        made: prefixes of what the command may leave under these names.
    """

    kind: str
    seed: str
    command: Callable[[], object]
    words: tuple[str, ...]
    judge: Judge = _not_judged
    given: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def strays(self, folder: Path) -> list[str]:
        """Files left that were neither given nor asked for, as the last part of their path."""
        left = []
        for place, _, names in os.walk(folder):
            for name in names:
                relative = Path(place, name).relative_to(folder).as_posix()
                if relative not in self.given and not relative.startswith(self.made):
                    left.append(relative.split("/", 1)[0] if relative.split("/", 1)[0] not in ("out",) else name)
        return sorted(set(left))


def kind_of(number: int, seed: int) -> tuple[str, str]:
    """(kind, name of the file that is damaged; '' for records and requests) of a case."""
    return _drawn(_random(number, seed))


def case_of(number: int, seed: int, seeds: Path, states: Path, folder: Path) -> Case:
    """Lay case `number` out in the empty `folder`."""
    random = _random(number, seed)
    kind, name = _drawn(random)
    if kind == "record":
        return _record(random, states, folder)
    if kind == "request":
        return _request(random, folder)
    return {"video": _video, "image": _image, "model": _model}[kind](random, seeds / kind / name, folder)


def _random(number: int, seed: int) -> Random:
    return Random(hashlib.sha256(f"{seed}:{number}".encode()).digest())


def _drawn(random: Random) -> tuple[str, str]:
    kind = random.choices(list(KINDS), list(KINDS.values()))[0]
    if kind not in SEEDS:
        return kind, ""
    names = sorted(SEEDS[kind])
    if kind == "model":  # torch takes a hundred times as long
        is_torch = random.random() < TORCH_SHARE
        names = [name for name in names if name.endswith(".onnx") != is_torch]
    return kind, random.choice(names)


def command_of(program: str, words: tuple[str, ...]) -> Callable[[], object]:
    """The installed command, as its entry point calls it."""

    def run() -> object:
        sys.argv = [program, *words]
        if program == "srvid":
            from srvid_cli.srvid import main
        elif program == "srbatch":
            from srvid_cli.srbatch import main
        else:
            from srvid_cli.srkit import main
        return main()

    return run


def _video(random: Random, seed: Path, folder: Path) -> Case:
    name = f"in{seed.suffix}"
    (folder / name).write_bytes(damaged_bytes(seed.read_bytes(), random))
    target = (
        f"o.{random.choice(('mkv', 'mkv', 'mkv', 'mp4', 'mp4', 'mov', 'webm') if seed.suffix != '.gif' else ('mkv',))}"
    )
    codec = ("--codec", "ffv1") if target.endswith("mkv") and random.random() < 0.3 else ()
    if target.endswith("webm"):
        codec = ("--preset", "12")
    preset = codec or ("--preset", "ultrafast")
    way = random.choice(
        ((), (), ("--salvage",), ("--segment", "0.1"), ("--no-segments",), ("--segment", "0.1", "--salvage"))
    )
    words = (name, target, *_PLAIN, *preset, *way)
    return Case(
        kind="video", seed=seed.name, command=command_of("srvid", words), words=("srvid", *words), given=(name,),
        made=(target,), judge=lambda code, said: judge.video(name, target, code, said),
    )  # fmt: skip


def _image(random: Random, seed: Path, folder: Path) -> Case:
    name = f"in{seed.suffix}"
    (folder / name).write_bytes(damaged_bytes(seed.read_bytes(), random))
    other = random.choice(("", "", "", "png", "jpeg", "webp", "tiff", "bmp", "gif", "exr"))
    way = (("--format", other) if other else ()) + random.choice(((), (), ("--profile", "srgb"), ("--dpi", "scale")))
    background = ("--background", "white") if other in ("jpeg", "bmp") else ()
    words = (name, "out", *_PLAIN, *way, *background)
    return Case(
        kind="image", seed=seed.name, command=command_of("srbatch", words), words=("srbatch", *words), given=(name,),
        made=("out/in.", "out/.srbatch.jsonl", "out/.srbatch.lock"),
        judge=lambda code, said: judge.image(name, code, said),
    )  # fmt: skip


def _model(random: Random, seed: Path, folder: Path) -> Case:
    name = f"in{seed.suffix}"
    damaged = damaged_onnx if seed.suffix == ".onnx" else damaged_bytes
    (folder / name).write_bytes(damaged(seed.read_bytes(), random))
    way, program, made = random.randrange(4), "srkit", ("out",)
    words: tuple[str, ...] = ("models", "info", name)
    given = [name]
    if way == 1:
        words, made = ("models", "import", name, "-o", "x.onnx"), ("x.onnx",)
    elif way == 2:
        program, words = "srbatch", ("tiny.png", "x.png", "--scale", "2", "--model", name, "--tile", "64")
        (folder / "tiny.png").write_bytes(IMAGES["rgb.png"]())
        given, made = [*given, "tiny.png"], ("x.png",)
    elif way == 3:
        program, words = (
            "srvid",
            ("raw.y4m", "o.mkv", "--scale", "2", "--model", name, "--tile", "64", "--codec", "ffv1"),
        )
        (folder / "raw.y4m").write_bytes(VIDEOS["raw.y4m"]())
        given, made = [*given, "raw.y4m"], ("o.mkv",)
    return Case(
        kind="model", seed=seed.name, command=command_of(program, words), words=(program, *words), given=tuple(given),
        made=made, environment={"SRVID_CACHE": str(folder.parent / "cache")},
    )  # fmt: skip


def _record(random: Random, states: Path, folder: Path) -> Case:
    """A state that a real run left, with one of its records damaged."""
    state: State = random.choice(STATES)
    shutil.copytree(states / state.name, folder, dirs_exist_ok=True, symlinks=True)
    path = random.choice(sorted(path for pattern in state.records for path in folder.glob(pattern)))
    content = path.read_bytes()
    path.write_bytes(
        damaged_json(content, random) if path.suffix.startswith(".json") else damaged_bytes(content, random)
    )
    given = tuple(entry.relative_to(folder).as_posix() for entry in folder.rglob("*"))
    variables = {name: str(folder / value) for name, value in state.variables.items()}
    command: Callable[[], object] = state.command or command_of(state.words[0], state.words[1:])
    return Case(
        kind="record", seed=f"{state.name}/{path.name}", command=command, words=state.words, given=given,
        made=state.made, environment=variables,
    )  # fmt: skip


def _request(random: Random, folder: Path) -> Case:
    """A conversation with the service: one damaged request, then a good one that must be answered."""
    request: dict[str, Any] = dict(random.choice(REQUESTS))
    way = random.random()
    if way < 0.6:
        changed = damaged_value({**request, "protocol": 1, "token": "TOKEN"}, random)
        body = json.dumps(changed).encode()
        data = b"J" + len(body).to_bytes(8, "little") + body + request_bytes(request, "TOKEN")[-90:]
    else:
        data = damaged_bytes(request_bytes(request, "TOKEN"), random)
    (folder / "request.bin").write_bytes(data)
    from tests.fuzz.service import converse

    return Case(
        kind="request", seed=str(request["do"]), command=lambda: converse(Path("request.bin")), words=("serve",),
        given=("request.bin",), made=("worker",),
    )  # fmt: skip

"""What real runs leave behind that later runs read: unfinished jobs, journals, sidecars, caches."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.seeds import IMAGES, _video


@dataclass(frozen=True, kw_only=True)
class State:
    """A folder as a run left it.

    Attributes:
        make: writes it into the current folder.
        records: globs of the files that are damaged, below the folder.
        words: the command that then reads them; `command` where it is no command line.
        made: prefixes of what that may write.
        variables: environment, values below the folder.
    """

    name: str
    make: Callable[[], None]
    records: tuple[str, ...]
    words: tuple[str, ...]
    command: Callable[[], object] | None = None
    made: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


_JOB = ("srvid", "long.mkv", "o.mkv", "--scale", "2", "--model", "nearest", "--codec", "ffv1", "--segment", "0.1")
_BATCH = ("srbatch", "a.png", "out", "--scale", "2", "--model", "nearest")


def _stopped_job() -> None:
    """Three of six segments of a video: the run is told to stop as soon as it has them."""
    Path("long.mkv").write_bytes(_video("mkv", "libx264", options={"preset": "ultrafast"})())
    wanted = Path("o.mkv.srvid", "00000.json")

    def stop() -> None:
        deadline = time.monotonic() + 60
        while not wanted.exists() and time.monotonic() < deadline:
            time.sleep(0.0005)
        os.kill(os.getpid(), signal.SIGTERM)

    from srvid_cli.srvid import main

    threading.Thread(target=stop, daemon=True).start()
    sys.argv = list(_JOB)
    try:
        main()
    except SystemExit as leave:
        if leave.code != 130:
            raise RuntimeError(f"the job was to be stopped, and ended with {leave.code}") from leave


def _finished_batch() -> None:
    Path("a.png").write_bytes(IMAGES["rgb.png"]())
    from srvid_cli.srbatch import main

    sys.argv = list(_BATCH)
    try:
        main()
    except SystemExit:
        return


def _engine_store() -> None:
    """An engine's files as trt_build writes them; the plan is bytes that nobody opens."""
    import hashlib

    from sr_core.engine_key import BuildOptions, EngineFacts, EngineKey
    from trt_build.store import EngineStore

    plan = b"plan" * 16
    key = EngineKey(
        graph_sha256="0" * 64, recipe="1", precision="fp16+fp32", library="tensorrt_rtx", library_version="1.7.1.116",
        target="sm89", options=BuildOptions(),
    )  # fmt: skip
    facts = EngineFacts(
        key=key, label="clear-x4", scale=4, width=64, height=64, depth=8, planes=(("y", "uint8", (64, 64)),),
        engine_sha256=hashlib.sha256(plan).hexdigest(), engine_bytes=len(plan), activation_bytes=1, weights_bytes=1,
        build_seconds=1.0, final_onnx_sha256="0" * 64,
    )  # fmt: skip
    EngineStore(Path("engines")).put(plan, facts)


def _worker_file() -> None:
    Path("worker.json").write_text(json.dumps({"protocol": 1, "port": 9, "token": "x", "pid": 1, "version": "0"}))


def _recipe() -> None:
    Path("recipe.toml").write_bytes((Path(__file__).parents[2] / "configs" / "clear-x2.toml").read_bytes())


def _read_recipe() -> object:
    import click

    from sr_train.config import read_config
    from srvid_cli.errors import run_command

    return run_command(click.Command("srkit", callback=lambda: read_config(Path("recipe.toml")) and None), "srkit")


STATES: tuple[State, ...] = (
    State(
        name="job", make=_stopped_job, records=("o.mkv.srvid/manifest.json", "o.mkv.srvid/*.json"), words=_JOB,
        made=("o.mkv",), variables={"SRVID_CACHE": "cache"},
    ),
    State(
        name="batch", make=_finished_batch, records=("out/.srbatch.jsonl",), words=_BATCH,
        made=("out/a.png", "out/.srbatch.jsonl", "out/.srbatch.lock"),
    ),
    State(
        name="engines", make=_engine_store, records=("engines/*.json",),
        words=("srkit", "engines", "--dir", "engines", "list"),
    ),
    State(
        name="worker", make=_worker_file, records=("worker.json",), words=("srkit", "serve", "--status"),
        variables={"SRVID_WORKER_FILE": "worker.json"},
    ),
    State(name="recipe", make=_recipe, records=("recipe.toml",), words=("srkit", "train"), command=_read_recipe),
)  # fmt: skip

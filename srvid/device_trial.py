"""Which of this machine's devices is fastest for a model: measured once for model, devices and drivers, and kept.

    CPU, Intel GPU, NPU, WebGPU … ─► each enlarges the same frame, in turns ─► the fastest that computes the same

The frame is one tile of a GPU and several of a CPU; copies to and from the device and all its contexts are in the
time, as in a run. The CPU is preferred: another device must be clearly faster (`sr_core.backends.choice`). A device
that does not run the model, or computes something else, is out of the question, and `srkit doctor` says why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from sr_core.backends.choice import Trial, Verdict, decide, interleaved_seconds
from sr_core.backends.fidelity import gate_planes
from sr_core.color import ColorSpec
from sr_core.difference import difference
from sr_core.errors import EngineError
from sr_core.frame import Planes, yuv
from sr_core.graph.compose import compose
from sr_core.tiles.tiling import round_up
from sr_core.upscaler import Upscaler

if TYPE_CHECKING:
    from onnx import ModelProto

    from sr_core.backend import Backend, Precision, Progress
    from sr_core.model_spec import ModelSpec

SIZE = (512, 288)  # of the frame that is enlarged; see above
SAME_DB = 45.0  # against the most preferred device; FP16 gives 57 and more, a wrong shader 5 to 30
_FORMAT, _COLOR = yuv("420"), ColorSpec()


def fastest_first(
    backends: Sequence[Backend],
    model: ModelProto,
    spec: ModelSpec,
    *,
    precision: Precision = "auto",
    progress: Progress | None = None,
) -> tuple[tuple[Backend, ...], Verdict]:
    """Those of `backends` that run `model`, the one to take first; and what was found.

    Args:
        backends: the preferred one first, which is what the others are compared with; no two of one name and device.

    Raises:
        EngineError: none of them runs it.
    """
    ways = {_way(backend): backend for backend in backends}
    question = {
        "network": f"{spec.name} {hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()[:12]}",
        "precision": precision,
        "devices": "; ".join(
            f"{way} ({version})" if (version := getattr(backend, "version", "")) else way
            for way, backend in ways.items()
        ),
    }
    verdict = decide(question, partial(_trials, ways, model, spec, precision, progress))
    seconds = {trial.way: trial.seconds for trial in verdict.trials if trial.seconds and not trial.refusal}
    rest = sorted(seconds.keys() - {verdict.way}, key=lambda way: seconds[way] or 0.0)
    return tuple(ways[way] for way in (verdict.way, *rest)), verdict


def _way(backend: Backend) -> str:
    return f"{backend.name} on {backend.device}"


def _trials(
    ways: dict[str, Backend], model: ModelProto, spec: ModelSpec, precision: Precision, progress: Progress | None
) -> Iterator[Trial]:
    width, height = spec.fixed_size or (round_up(max(length, spec.smallest), 2 * spec.size_multiple) for length in SIZE)
    planes: Planes = tuple(gate_planes(compose(model, spec, _FORMAT, _COLOR, width=width, height=height)))
    with ExitStack() as stack:
        runs, pictures, refused = dict[str, partial[Planes]](), dict[str, Planes](), dict[str, str]()
        for way, backend in ways.items():
            try:
                upscaler = stack.enter_context(Upscaler(model, spec, backend, precision=precision, reuse=False))
                run = partial(upscaler.planes, planes, _FORMAT, _COLOR)
                pictures[way] = run()  # compiles what it needs
                runs[way] = run
            except EngineError as error:
                refused[way] = error.message.partition("\n")[0]
        if not runs:
            raise EngineError("; ".join(f"{way}: {reason}" for way, reason in refused.items()))
        seconds = interleaved_seconds(runs, tell=partial(progress, "choosing a device") if progress else None)
    reference = next(iter(pictures.values()), ())
    for way in ways:
        if way in refused:
            yield Trial(way=way, refusal=refused[way])
            continue
        pairs = zip(pictures[way], reference, strict=True)
        reached = min(difference(actual, expected, peak=255.0).psnr_db for actual, expected in pairs)
        is_wrong = reached < SAME_DB
        yield Trial(way=way, seconds=seconds[way], refusal=f"{reached:.0f} dB against the first" if is_wrong else "")

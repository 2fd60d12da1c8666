"""`srvid --plan`: what a run would be like, for people or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sr_core.wording import count_of, text_from_bytes
from sr_video.timing import text_from_seconds
from srvid_cli.events import emit
from srvid_cli.spelling import tell

if TYPE_CHECKING:
    from sr_video.decide.plan import Request
    from sr_video.segments.forecast import Forecast
    from sr_video.segments.terms import Segmenting
    from srvid.recipe import EngineRecipe
    from srvid_cli.progress import ProgressLine
    from srvid_cli.video_options import VideoOptions


def show_forecast(
    request: Request,
    recipe: EngineRecipe,
    segmenting: Segmenting,
    options: VideoOptions,
    line: ProgressLine,
    *,
    model_note: str = "",
) -> None:
    """Probe for two seconds, print, stop; nothing is written. `line` names what takes longer than that."""
    from sr_video.decide.paths import check_source
    from sr_video.segments.forecast import estimate

    check_source(request)
    try:
        forecast = estimate(
            request, recipe, segment_seconds=segmenting.seconds, adapts=segmenting.adapts, doing=line.phase
        )
    finally:
        line.clear()
    workers = options.pool.processes
    fps = forecast.fps * workers
    eta = None if forecast.frames is None else forecast.frames / fps
    notes = [*_notes(request), *forecast.plan.notes, *([model_note] if model_note else [])]
    cluster = _cluster(options.pool.ray) if options.pool.ray else ""
    if options.as_json:
        emit(
            "plan",
            frames=forecast.frames,
            segments=forecast.segments,
            engine=forecast.engine,
            workers=workers,
            cluster=cluster,
            steady=forecast.plan.steady,
            fps=round(fps, 3),
            eta_seconds=None if eta is None else round(eta, 1),
            memory_bytes=forecast.memory_bytes,
            output_bytes=forecast.output_bytes,
            notes=notes,
        )
        return
    rows = _rows(forecast, workers, fps, eta)
    if cluster:
        rows.append(("cluster", f"{cluster}; speed and time are those of this machine alone"))
    for name, text in rows + [("note", note) for note in notes]:
        click.echo(f"{name:<8} {tell(text)}")


def _notes(request: Request) -> list[str]:
    """What a run would refuse, or replace."""
    target = Path(request.target)
    if request.target.startswith("pipe:") or not target.is_file():
        return []
    fate = "would be replaced" if request.overwrite else "exists already: --overwrite replaces it"
    return [f"{target} {fate}"]


def _cluster(address: str) -> str:
    from sr_work.connect import connect, describe_cluster

    return f"{address}: {describe_cluster(connect(address))}"


def _rows(forecast: Forecast, workers: int, fps: float, eta: float | None) -> list[tuple[str, str]]:
    encoder = forecast.plan.encoder
    frames = "unknown" if forecast.frames is None else str(forecast.frames)
    segments = "" if forecast.segments is None else f" in about {count_of(forecast.segments, 'segment')}"
    engine = ", ".join(f"{key} {value}" for key, value in forecast.engine.items() if key != "model digest")
    rows = [
        ("frames", frames + segments),
        ("output", f"{encoder.width}x{encoder.height} {encoder.pix_fmt}, {encoder.codec.encoder}"),
        ("engine", engine),
        *([("steady", "each frame is averaged with the one before and the one after")] if forecast.plan.steady else []),
        ("speed", f"{fps:.2f} fps" + (f" ({workers} workers at {forecast.fps:.2f})" if workers > 1 else "")),
        ("time", "unknown" if eta is None else f"about {text_from_seconds(eta)}"),
    ]
    if forecast.output_bytes is not None:
        rows.append(("size", f"about {text_from_bytes(forecast.output_bytes)} of video, the same again while joining"))
    if forecast.memory_bytes is not None:
        rows.append(("memory", f"about {text_from_bytes(forecast.memory_bytes * workers)}"))
    return rows

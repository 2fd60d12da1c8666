"""`srvid --plan`: what a run would be like, for people or as JSON."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import click

from sr_core.timing import text_from_seconds
from sr_core.wording import counted
from srvid_cli.events import emit

if TYPE_CHECKING:
    from sr_core.media.plan import Request
    from sr_core.segments.crew import EngineChoice
    from sr_core.segments.forecast import Forecast


def show_forecast(
    request: Request, choice: EngineChoice, *, segment_seconds: Fraction | None, workers: int, as_json: bool
) -> None:
    """Probe for two seconds, print, stop; nothing is written."""
    from sr_core.segments.forecast import foresee

    forecast = foresee(request, choice, segment_seconds=segment_seconds)
    fps = forecast.fps * workers
    eta = None if forecast.frames is None else forecast.frames / fps
    if as_json:
        emit(
            "plan",
            frames=forecast.frames,
            segments=forecast.segments,
            engine=forecast.engine,
            workers=workers,
            fps=round(fps, 3),
            eta_seconds=None if eta is None else round(eta, 1),
            memory_bytes=forecast.memory_bytes,
            output_bytes=forecast.output_bytes,
            notes=list(forecast.plan.notes),
        )
        return
    for name, text in _rows(forecast, workers, fps, eta):
        click.echo(f"{name:<8} {text}")


def _rows(forecast: Forecast, workers: int, fps: float, eta: float | None) -> list[tuple[str, str]]:
    encoder = forecast.plan.encoder
    frames = "unknown" if forecast.frames is None else str(forecast.frames)
    segments = "" if forecast.segments is None else f" in about {counted(forecast.segments, 'segment')}"
    engine = ", ".join(f"{key} {value}" for key, value in forecast.engine.items() if key != "model digest")
    rows = [
        ("frames", frames + segments),
        ("output", f"{encoder.width}x{encoder.height} {encoder.pix_fmt}, {encoder.codec.encoder}"),
        ("engine", engine),
        ("speed", f"{fps:.2f} fps" + (f" ({workers} workers at {forecast.fps:.2f})" if workers > 1 else "")),
        ("time", "unknown" if eta is None else f"about {text_from_seconds(eta)}"),
    ]
    if forecast.output_bytes is not None:
        rows.append(("size", f"about {forecast.output_bytes / 1e6:.1f} MB of video, the same again while joining"))
    if forecast.memory_bytes is not None:
        rows.append(("memory", f"about {forecast.memory_bytes * workers / 1e9:.1f} GB"))
    return rows + [("note", note) for note in forecast.plan.notes]
